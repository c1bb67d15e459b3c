"""The circuit breaker of one server: after failures in a row it is left alone for a while, and then tried by one request.

Only what the server did counts: that it could not be reached, broke off, fell silent, or answered with an error of its own.
What it says of a client's request (4xx) is an answer like any other. Pure but for the clock that it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from ..units import Seconds


class BreakerState(StrEnum):
    """Whether requests pass."""

    CLOSED = "closed"
    HALF_OPEN = "half_open"
    """One passes, on trial."""
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When a server is ejected and for how long: twice as long each time that its trial fails."""

    failures: int = 5
    """In a row."""
    seconds: Seconds = 5.0
    most_seconds: Seconds = 60.0


class Breaker:
    """Counts one server's failures in a row. Ask `admits` first, say `begin` when a request goes, and then what became of it."""

    __slots__ = ("_clock", "_has_trial", "_limits", "_row", "_until", "failures", "has_answered", "opened", "state")

    def __init__(self, limits: BreakerLimits, clock: Callable[[], Seconds]) -> None:
        self.state = BreakerState.CLOSED
        self.failures = 0
        """In a row, up to now."""
        self.has_answered = False
        """The last failure was an answer, if a bad one: somebody is there."""
        self.opened = 0
        """How often it has opened, ever."""
        self._limits = limits
        self._clock = clock
        self._until: Seconds = 0.0
        self._row = 0
        """How often it has opened since it was closed."""
        self._has_trial = False

    def admits(self) -> bool:
        """Whether a request may go; one that has been open for long enough opens half."""
        if self.state is BreakerState.OPEN and self._clock() >= self._until:
            self.state, self._has_trial = BreakerState.HALF_OPEN, False
        return self.state is BreakerState.CLOSED or (self.state is BreakerState.HALF_OPEN and not self._has_trial)

    def begin(self) -> bool:
        """A request goes; returns whether it is the trial."""
        if self.state is not BreakerState.HALF_OPEN:
            return False
        self._has_trial = True
        return True

    def answered(self) -> None:
        """A reply has begun: a trial that comes so far lets the others pass again, until the next failure."""
        if self.state is BreakerState.HALF_OPEN:
            self.state, self._has_trial = BreakerState.CLOSED, False
            self.failures = self._limits.failures - 1

    def succeed(self) -> None:
        """A request has been answered to its end."""
        self.failures = self._row = 0
        self.state, self._has_trial = BreakerState.CLOSED, False

    def fail(self, *, has_answered: bool) -> None:
        """A request has failed by the server's doing."""
        self.failures += 1
        self.has_answered = has_answered
        if self.state is BreakerState.HALF_OPEN or (self.state is BreakerState.CLOSED and self.failures >= self._limits.failures):
            pause = self._limits.seconds * 2.0 ** min(self._row, 30)
            self.state, self._until = BreakerState.OPEN, self._clock() + min(pause, self._limits.most_seconds)
            self._row += 1
            self.opened += 1

    def let_go(self) -> None:
        """The trial ended without a word on the server, since its client left: another may try."""
        self._has_trial = False

    def encourage(self) -> None:
        """The server answers cheap questions again: where it had not answered, the trial may come at once."""
        if self.state is BreakerState.OPEN and not self.has_answered:
            self._until = self._clock()

    @property
    def seconds_left(self) -> Seconds:
        """Until the next trial."""
        return max(0.0, self._until - self._clock()) if self.state is BreakerState.OPEN else 0.0
