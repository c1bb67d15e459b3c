"""Reading many streams at once: under load one look every few milliseconds takes the place of a wake-up for every token.

With hundreds of streams of a token each 10 to 30 ms the kernel's wake-ups, and not the bytes, are what a proxy costs. The
sockets of streams that have begun lie in an epoll of their own. At low load the loop watches that epoll, so that every
token passes at once; at high load it does not, and looks into it on a tick. A stream's first bytes are never gathered.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable
from typing import Final

from ..units import Seconds

TICK_SECONDS: Final[Seconds] = 0.010
"""The most that a token may be held: it must not be more than what a token takes to come."""
BUSY_WAKEUPS_PER_SECOND: Final = 400.0
"""From so many wake-ups on, ticks are cheaper: four for every one of them."""
QUIET_EVENTS_PER_TICK: Final = 2.0
STREAMS_PER_TURN: Final = 64
"""So many are read in one go, some 1.5 ms of work, and the rest in the loop's next turns: requests that begin come between."""
_WINDOW_SECONDS: Final[Seconds] = 0.25
CAN_GATHER: Final = hasattr(select, "epoll")
"""Only Linux has it; elsewhere every token passes at once."""
_EVENTS: Final = select.EPOLLIN | select.EPOLLRDHUP if CAN_GATHER else 0


class Gatherer:
    """The epoll of the streams that have begun, and who looks into it when."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, tick_seconds: Seconds = TICK_SECONDS) -> None:
        self.is_ticking = False
        self._loop = loop
        self._tick_seconds = tick_seconds
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._window_began: Seconds = loop.time()
        self._looks = 0
        self._found = 0
        self._left = 0
        """Streams that this tick may still read."""
        self._timer: asyncio.Handle | None = None
        loop.add_reader(self._epoll.fileno(), self._look)

    def close(self) -> None:
        """Watch nothing any more."""
        if self._timer is not None:
            self._timer.cancel()
        if not self.is_ticking:
            self._loop.remove_reader(self._epoll.fileno())
        self._readers.clear()
        self._epoll.close()

    def add(self, descriptor: int, read: Callable[[], None]) -> None:
        """Have `read` called whenever the socket has something, or its end, to give."""
        self._readers[descriptor] = read
        self._epoll.register(descriptor, _EVENTS)

    def remove(self, descriptor: int) -> None:
        """No more; must be called before the socket is closed."""
        if self._readers.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def _look(self) -> None:
        """Read sockets that have something, those first that have waited longest."""
        ready = self._epoll.poll(0, STREAMS_PER_TURN)
        self._left = 0 if len(ready) < STREAMS_PER_TURN else self._left - len(ready)
        self._looks += 1
        self._found += len(ready)
        for descriptor, _ in ready:
            read = self._readers.get(descriptor)
            if read is not None:  # one that was read before it may have removed it
                read()
        now = self._loop.time()
        if now - self._window_began >= _WINDOW_SECONDS:
            self._judge(now)

    def _judge(self, now: Seconds) -> None:
        """Change between watching and ticking where the last window's load asks for it."""
        seconds = now - self._window_began
        if self.is_ticking and self._found / max(1, self._looks) < QUIET_EVENTS_PER_TICK:
            self.is_ticking = False
            self._loop.add_reader(self._epoll.fileno(), self._look)
        elif not self.is_ticking and self._looks / seconds > BUSY_WAKEUPS_PER_SECOND and self._tick_seconds > 0:
            self.is_ticking = True
            self._loop.remove_reader(self._epoll.fileno())
            self._timer = self._loop.call_later(self._tick_seconds, self._tick)
        self._window_began, self._looks, self._found = now, 0, 0

    def _tick(self) -> None:
        self._left = len(self._readers)
        self._go_on()

    def _go_on(self) -> None:
        try:
            self._look()
        finally:  # one reader's bug must not stop the others
            if not self.is_ticking:
                self._timer = None
            elif self._left > 0:
                self._timer = self._loop.call_soon(self._go_on)
            else:
                self._timer = self._loop.call_later(self._tick_seconds, self._tick)
