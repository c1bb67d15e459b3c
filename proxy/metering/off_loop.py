"""Work that may hang (a disk, a mount), done in a thread of its own that neither the event loop nor the exit waits for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def off_loop(call: Callable[[], T], *, name: str) -> T:
    """What `call` returns or raises. Cancelled, it waits no longer; the thread then ends by itself, if it ever does."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[T] = loop.create_future()

    def run() -> None:
        try:
            result = call()
        except (OSError, ValueError) as error:
            _post(loop, outcome, error=error)
        except BaseException as error:
            _post(loop, outcome, error=error)
            raise
        else:
            _post(loop, outcome, result=result)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await outcome


def _post(
    loop: asyncio.AbstractEventLoop, outcome: asyncio.Future[T], *, result: T | None = None, error: BaseException | None = None
) -> None:
    def settle() -> None:
        if outcome.done():
            return
        if error is not None:
            outcome.set_exception(error)
        else:
            outcome.set_result(result)  # type: ignore[arg-type]  # None is a result where T is None

    with suppress(RuntimeError):  # the loop has gone
        loop.call_soon_threadsafe(settle)
