"""Who has said nothing for too long: one timer for all replies in flight, since nearly every one comes long before its limit."""

from __future__ import annotations

import asyncio
from typing import Protocol

from ..units import Seconds

LEAST_SECONDS: Seconds = 0.001
"""Between two looks, whatever a reply says."""


class Watched(Protocol):
    """Something that may fall silent."""

    def check_silence(self, now: Seconds) -> Seconds:
        """Give up where the limit is reached; returns how long nobody needs to look again."""
        ...


class SilenceWatch:
    """Looks at replies when the first of them may have reached its limit. Watching and forgetting one costs no timer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.due: Seconds = 0.0
        """When the timer goes off."""

    def __len__(self) -> int:
        return len(self._watched)

    def watch(self, reply: Watched, now: Seconds, seconds: Seconds) -> None:
        """Look at it in so long, at the latest; and then as often as it says, until it is forgotten."""
        self._watched.add(reply)
        if self._timer is None or now + seconds < self.due:
            self._arm(now + seconds)

    def forget(self, reply: Watched) -> None:
        """It has come to its end."""
        self._watched.discard(reply)

    def close(self) -> None:
        """Look no more."""
        self._watched.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, due: Seconds) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.due = due
        self._timer = self.loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer = None
        now = self.loop.time()
        waits = [reply.check_silence(now) for reply in list(self._watched)]
        if self._watched:
            self._arm(now + max(LEAST_SECONDS, min(waits)))
