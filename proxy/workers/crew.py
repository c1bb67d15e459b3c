"""The worker processes: started, greeted, missed when they die, and started again.

A worker that ends without having been asked to is replaced: at once the first time, and later the more slowly the sooner it
dies again. The others go on meanwhile; the system gives new connections to those that accept.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec
import structlog

from ..errors import JevonsError
from ..metering.shared_counts import SharedCounts
from ..units import Seconds
from . import messages
from .forks import Fork, Forks
from .link import Link, frame

FIRST_PAUSE_SECONDS: Final[Seconds] = 0.1
MOST_PAUSE_SECONDS: Final[Seconds] = 10.0
HEALTHY_SECONDS: Final[Seconds] = 30.0
"""Who has lived for so long is started again at once."""
END_SECONDS: Final[Seconds] = 5.0
"""Beyond the deadline of the drain, how long a worker may take to end."""

log = structlog.get_logger("jevons.workers")


@dataclass(slots=True)
class Hand:
    """One worker that runs."""

    number: int
    link: Link[messages.ToOwner]
    process: Process | Fork
    is_ready: bool = False


class Crew:
    """All of them.

    Args:
        size: How many.
        greet: The first word to a worker, by its number.
        receive: Takes what one says.
        joined: Told when one accepts connections.
        gone: Told when one is gone, with all that it had.
        forks: Those that wait for their welcome already; whoever else is wanted is started.
    """

    def __init__(
        self,
        size: int,
        *,
        greet: Callable[[int], messages.Welcome],
        receive: Callable[[int, messages.ToOwner], None],
        joined: Callable[[int], None],
        gone: Callable[[int], None],
        forks: Forks | None = None,
    ) -> None:
        self.hands: dict[int, Hand] = {}
        """By number: those whose process runs."""
        self.restarts = 0
        self.problem: str | None = None
        """Why a worker could not begin."""
        self.url = ""
        self.is_complete = asyncio.Event()
        """Set once all accept connections, or one cannot."""
        self._forks = forks or Forks(*SharedCounts.create(size))
        self.counts, self._descriptor = self._forks.counts, self._forks.descriptor
        self._size = size
        self._greet = greet
        self._receive = receive
        self._joined = joined
        self._gone = gone
        self._is_ending = False

    async def run(self) -> None:
        """Keep all of them running, until they have been drained."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for number in range(self._size):
                    tasks.create_task(self._keep(number), name=f"worker {number}")
        finally:
            for hand in self.hands.values():
                with suppress(ProcessLookupError):
                    hand.process.kill()
            os.close(self._descriptor)

    async def _keep(self, number: int) -> None:
        pause: Seconds = 0.0
        loop = asyncio.get_running_loop()
        while not self._is_ending:
            began = loop.time()
            code = await self._live(number)
            if self._is_ending or not self.is_complete.is_set():
                if not self._is_ending:
                    self.problem = self.problem or f"worker {number} ended at its start, with code {code}"
                    self.is_complete.set()
                return
            pause = 0.0 if loop.time() - began > HEALTHY_SECONDS else min(MOST_PAUSE_SECONDS, 2 * pause or FIRST_PAUSE_SECONDS)
            self.restarts += 1
            log.error("worker ended", worker=number, code=code, again_in_seconds=pause)
            await asyncio.sleep(pause)

    async def _live(self, number: int) -> int:
        """One life of a worker; its exit code."""
        is_lost = asyncio.Event()
        link: Link[messages.ToOwner] = Link(messages.ToOwner, lambda message: self._take(number, message), is_lost.set)
        fork = self._forks.by_number.pop(number, None)
        process, end = (fork, fork.end) if fork is not None else await self._start()
        end.setblocking(False)  # noqa: FBT003 - the standard library takes it so
        try:
            await link.open(end)
            self.hands[number] = Hand(number, link, process)
            link.send(self._greet(number))
            await is_lost.wait()
            return await process.wait()
        finally:
            link.close()
            if self.hands.pop(number, None) is not None:
                self.counts.clear(number)
                self._gone(number)
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    async def _start(self) -> tuple[Process, socket.socket]:
        """A worker that is a program of its own, and our end of its line."""
        ours, theirs = socket.socketpair()
        with theirs:
            command = (sys.executable, "-P", "-m", "jevons.proxy.workers.process")
            arguments = (theirs.fileno(), self._descriptor, self._size)
            process = await asyncio.create_subprocess_exec(
                *command,
                *map(str, arguments),
                pass_fds=(theirs.fileno(), self._descriptor),
                stdin=asyncio.subprocess.DEVNULL,
            )
        return process, ours

    def _take(self, number: int, message: messages.ToOwner) -> None:
        match message:
            case messages.Ready(url):
                self.url = url
                self.hands[number].is_ready = True
                self._joined(number)
                if sum(hand.is_ready for hand in self.hands.values()) == self._size:
                    self.is_complete.set()
            case messages.Failed(reason):
                self.problem = reason
                log.error("worker cannot begin", worker=number, reason=reason)
            case _:
                self._receive(number, message)

    def send(self, number: int, message: msgspec.Struct) -> None:
        """Tell one worker; one that is gone hears nothing."""
        hand = self.hands.get(number)
        if hand is not None:
            hand.link.send(message)

    def tell_all(self, message: msgspec.Struct, *, but: int | None = None) -> None:
        """Tell all of them, or all but one."""
        data = frame(message)
        for number, hand in self.hands.items():
            if number != but:
                hand.link.send_frame(data)

    async def drain(self, drain_seconds: Seconds) -> None:
        """Have all of them finish what is in flight, and end; kill who takes longer than it may."""
        self._is_ending = True
        self.tell_all(messages.Drain())
        try:
            async with asyncio.timeout(drain_seconds + END_SECONDS):
                while self.hands:  # noqa: ASYNC110 - each ends by itself
                    await asyncio.sleep(0.02)
        except TimeoutError:
            for hand in list(self.hands.values()):
                log.warning("worker killed at its deadline", worker=hand.number)
                hand.process.kill()


def reserve(host: str, port: int) -> socket.socket:
    """Hold an address for workers that will share it. Raises JevonsError where somebody else has it.

    The address is first taken alone, since the system lets anybody of the same user share one that is shared.
    """
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    with socket.socket(family, kind, protocol) as alone:
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            alone.bind(address)
            alone.listen(1)
        except OSError as error:
            raise JevonsError(f"cannot listen on {host}:{port}: {os.strerror(error.errno or 0).lower()}") from error
        taken = alone.getsockname()
    held = socket.socket(family, kind, protocol)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    held.bind(taken)
    return held
