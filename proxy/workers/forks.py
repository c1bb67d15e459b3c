"""The first workers: forks of their owner, made while it has read its modules and nothing else.

A program that starts anew reads its modules for half a second and more, and has the memory of them to itself. What is forked
has them, and shares with its owner what neither changes. That is safe as long as there is one thread, before a device is open
and before the event loop; whoever has to be replaced later is a program of its own (`crew.py`).
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Final

from ..metering.shared_counts import SharedCounts
from . import process

_THREADS: Final = Path("/proc/self/task")
_NAME: Final = Path("/proc/self/comm")
"""Of this process, as `ps -A` and `top` show it."""


class Fork:
    """One that waits for its welcome: as `asyncio.subprocess.Process`, as far as its crew wants that. `end`: ours of its line."""

    def __init__(self, forked: ForkProcess, end: socket.socket) -> None:
        self._forked = forked
        self.end = end
        self.pid = forked.pid or 0

    @property
    def returncode(self) -> int | None:
        """Its exit code, once it has ended; minus the signal that ended it."""
        return self._forked.exitcode

    def kill(self) -> None:
        """End it at once."""
        self._forked.kill()

    async def wait(self) -> int:
        """Its exit code, when it has ended."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._forked.sentinel, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._forked.sentinel)
        self._forked.join()  # it has let go of its end of the sentinel: it takes no time
        return self.returncode or 0


@dataclass(slots=True)
class Forks:
    """Those that were forked, by number, and the table of counts that they share."""

    counts: SharedCounts
    descriptor: int
    by_number: dict[int, Fork] = field(default_factory=dict)


def fork_workers(size: int) -> Forks:
    """So many; none where this process has more than one thread."""
    forks = Forks(*SharedCounts.create(size))
    if len(list(_THREADS.iterdir())) == 1:
        gc.collect()
        gc.freeze()  # a collection writes to every object that it looks at, and what is written to is not shared any more
        context = multiprocessing.get_context("fork")
        for number in range(size):
            ours, theirs = socket.socketpair()
            ends = (ours, *(fork.end for fork in forks.by_number.values()))
            forked = context.Process(target=_work, args=(theirs, ends, forks.counts), name=f"worker {number}", daemon=True)
            forked.start()
            theirs.close()
            forks.by_number[number] = Fork(forked, ours)
    return forks


def _work(end: socket.socket, owners: Sequence[socket.socket], counts: SharedCounts) -> None:
    """A worker, from here to its end. `owners`: what is the owner's alone, or its end would not be noticed."""
    for each in owners:
        each.close()
    _NAME.write_text("jevons-worker")
    sys.exit(process.work(end, counts))
