"""A task whose first step is taken at once, and not in the next turn of the loop: what Python 3.12 calls an eager start.

Where a process has rested, making a task and turning the loop once are a tenth of the time between a request and its sending on.
Nothing in the first step may ask for the current task, as `asyncio.timeout` does: there is none yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any


def start_at_once(work: Coroutine[Any, Any, None], loop: asyncio.AbstractEventLoop) -> asyncio.Task[None]:
    """Take `work` to its first wait; the task, which takes it on from there, ends with whatever it ends with."""
    try:
        waits_for = work.send(None)
    except StopIteration:
        return loop.create_task(_end_with(None))
    except Exception as bug:  # noqa: BLE001 - the guard: it is the task's, and whoever looks at that hears of it
        return loop.create_task(_end_with(bug))
    return loop.create_task(_Begun(work, waits_for))


async def _end_with(bug: Exception | None) -> None:
    try:
        if bug is not None:
            raise bug
    finally:
        del bug  # as below


class _Begun(Coroutine[Any, Any, None]):
    """A coroutine that has taken its first step, as one that has not: its task is told what it waits for."""

    __slots__ = ("_is_told", "_waits_for", "_work")

    def __init__(self, work: Coroutine[Any, Any, None], waits_for: Any) -> None:
        self._work = work
        self._waits_for = waits_for
        self._is_told = False

    def send(self, value: Any) -> Any:
        """The task goes on."""
        if self._is_told:
            return self._work.send(value)
        self._is_told = True
        waits_for, self._waits_for = self._waits_for, None
        return waits_for

    def throw(self, kind: Any, value: Any = None, trace: TracebackType | None = None) -> Any:
        """The task is cancelled, be it before it could begin."""
        self._is_told = True
        try:
            return self._work.throw(kind) if value is None and trace is None else self._work.throw(kind, value, trace)
        finally:
            del kind, value, trace  # an error knows the frames that it has come through: they must not know it

    def close(self) -> None:
        """The task is dropped."""
        self._work.close()

    def __await__(self) -> Generator[Any, Any, None]:
        """Only tasks take it further."""
        raise TypeError("a coroutine that has begun cannot be awaited")
