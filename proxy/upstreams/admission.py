"""The line before a busy upstream: bounded, first come first served, and nobody stands in it for ever.

Who leaves while waiting is out of the line at once; what was handed over in that very moment is given back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from ..units import Seconds

S = TypeVar("S")


class LineFullError(Exception):
    """There is no room to wait in."""


class WaitedTooLongError(Exception):
    """No place came free in time."""


class Line(Generic[S]):
    """Those who wait for a place."""

    def __init__(self, requests: int, seconds: Seconds) -> None:
        self.requests = requests
        self.seconds = seconds
        self.full = 0
        """Turned away, since the line was full."""
        self.late = 0
        """Sent off, since they had waited for too long."""
        self.turns: dict[asyncio.Future[S | None], Callable[[], S | None]] = {}
        """Of those who wait, in their order, with how each takes a place."""

    def __len__(self) -> int:
        return len(self.turns)

    async def wait(self, take: Callable[[], S | None], give_back: Callable[[S], None]) -> S | None:
        """Wait until `take` has given a place; None where waiting has become pointless.

        Raises LineFullError or WaitedTooLongError. `give_back` gets a place that came when nobody was there any more.
        """
        if len(self.turns) >= self.requests:
            self.full += 1
            raise LineFullError
        turn: asyncio.Future[S | None] = asyncio.get_running_loop().create_future()
        self.turns[turn] = take
        self.move()
        is_here = False
        try:
            await asyncio.wait((turn,), timeout=self.seconds)
            is_here = turn.done()
        finally:
            self.turns.pop(turn, None)
            if not is_here and turn.done() and not turn.cancelled() and (place := turn.result()) is not None:
                give_back(place)
        if not is_here:
            self.late += 1
            raise WaitedTooLongError
        return turn.result()

    def move(self) -> None:
        """A place may have come free: whoever is first and can take one does, and so on while there are any."""
        has_moved = False
        for turn, take in list(self.turns.items()):
            if turn.done():
                continue
            place = take()
            if place is not None:
                del self.turns[turn]
                turn.set_result(place)
                has_moved = True
            elif has_moved:
                return

    def dismiss(self) -> None:
        """There is nothing to wait for any more."""
        for turn in self.turns:
            if not turn.done():
                turn.set_result(None)
        self.turns.clear()
