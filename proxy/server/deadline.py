"""A deadline that moves often and is seldom reached: moving it costs an assignment, not a timer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..units import Seconds


class Deadline:
    """At most one call at a time, at some moment to come."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._call: Callable[[], None] | None = None
        self._at: Seconds = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: Seconds = 0.0

    def set(self, seconds: Seconds, call: Callable[[], None]) -> None:
        """Have `call` called so much later, in place of what was set before."""
        self._call = call
        self._at = self._loop.time() + seconds
        if self._timer is None or self._timer_at > self._at:
            self._arm()

    def set_once(self, seconds: Seconds, call: Callable[[], None]) -> None:
        """The same, unless this very call is set already: it is not put off."""
        if self._call != call:
            self.set(seconds, call)

    def clear(self) -> None:
        """Nothing is called until something is set."""
        self._call = None

    def cancel(self) -> None:
        """The same, for good."""
        self.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._at
        self._timer = self._loop.call_at(self._at, self._check)

    def _check(self) -> None:
        self._timer = None
        if self._call is None:
            return
        if self._loop.time() < self._at:
            self._arm()
            return
        call, self._call = self._call, None
        call()
