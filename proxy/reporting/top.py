"""`jevons top`: the live view in the terminal, until `q` or Ctrl-C; over ssh it needs nothing but the terminal."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from rich.console import Console
from rich.live import Live

from ..errors import JevonsError
from .top_view import render
from .watch import Watched, follow

_QUIT: Final = b"qQ\x03\x04"
"""q, Ctrl-C, Ctrl-D."""
WIDTH: Final = 130


async def look_once(admin: str, token: str | None) -> Watched:
    """One look. Raises JevonsError where there is nobody."""
    async for watched in follow(Watched(), admin, token):
        if watched.problem is not None:
            raise JevonsError(watched.problem)
        return watched
    raise JevonsError(f"no answer from {admin}")


def print_once(watched: Watched) -> None:
    """One picture, for a pipe."""
    console = Console(highlight=False, width=WIDTH)
    console.print(render(watched, width=WIDTH, height=50))


async def watch(admin: str, token: str | None) -> None:
    """Show it until the one who watches has had enough. Raises CannotWatch where it may not be watched."""
    console = Console(highlight=False)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with _keys(stop), Live(console=console, screen=True, auto_refresh=False) as live:
        watching = asyncio.create_task(_show(live, admin, token))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([watching, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in (watching, stopping):
            task.cancel()
        await asyncio.wait([watching, stopping])
    if not watching.cancelled():
        watching.result()


async def _show(live: Live, admin: str, token: str | None) -> None:
    watched = Watched()
    live.update(render(watched, width=live.console.width, height=live.console.height), refresh=True)
    async for _ in follow(watched, admin, token):
        live.update(render(watched, width=live.console.width, height=live.console.height), refresh=True)


@contextmanager
def _keys(stop: asyncio.Event) -> Iterator[None]:
    """Hear single keys; the terminal is as it was afterwards, whatever happens."""
    loop, number = asyncio.get_running_loop(), sys.stdin.fileno()
    if not os.isatty(number):
        yield
        return

    def read() -> None:
        pressed = os.read(number, 64)
        if not pressed or any(key in _QUIT for key in pressed):
            loop.remove_reader(number)
            stop.set()

    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    loop.add_reader(number, read)
    try:
        yield
    finally:
        loop.remove_reader(number)
        with suppress(termios.error):
            termios.tcsetattr(number, termios.TCSADRAIN, before)
