"""The process of a worker: a fork of its owner, or `python -m jevons.proxy.workers.process SOCKET COUNTS ROWS`."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys

import uvloop

from ..errors import JevonsError
from ..garbage import settle_down
from ..logs import configure_logs
from ..metering.shared_counts import SharedCounts
from . import messages
from .link import Link
from .worker import Worker


class Process:
    """Waits for the welcome, and runs the worker."""

    def __init__(self, counts: SharedCounts) -> None:
        self._counts = counts
        self._link: Link[messages.ToWorker] = Link(messages.ToWorker, self._receive, self._drain)
        self._welcome: asyncio.Future[messages.Welcome] = asyncio.get_running_loop().create_future()
        self._worker: Worker | None = None
        self._is_ending = False

    def _receive(self, message: messages.ToWorker) -> None:
        if isinstance(message, messages.Welcome):
            configure_logs(message.log_level)
            self._worker = Worker(self._link, message, self._counts)
            self._welcome.set_result(message)
        elif self._worker is not None:
            self._worker.receive(message)

    def _drain(self) -> None:
        self._is_ending = True
        if self._worker is not None:
            self._worker.drain()
        elif not self._welcome.done():
            self._welcome.cancel()

    async def run(self, end: socket.socket) -> int:
        """Until the end; the exit code."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._drain)
        await self._link.open(end)
        try:
            await self._welcome
        except asyncio.CancelledError:
            return 0
        if self._worker is None:
            return 1
        if self._is_ending:
            self._worker.drain()
        settle_down()
        try:
            await self._worker.run()
        except JevonsError as error:
            self._link.send(messages.Failed(str(error)))
            return 1
        finally:
            self._link.close()
            await asyncio.sleep(0)
        return 0


async def _run(end: socket.socket, counts: SharedCounts) -> int:
    return await Process(counts).run(end)


def work(end: socket.socket, counts: SharedCounts) -> int:
    """Run one worker, to its exit code. The terminal's Ctrl-C and SIGHUP are for the owner, who tells."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(end, counts))


def main(arguments: list[str]) -> int:
    """A worker that is a program of its own."""
    socket_number, counts_number, rows = map(int, arguments)
    return work(socket.socket(fileno=socket_number), SharedCounts.open(counts_number, rows))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
