"""How far a counter trails the power it integrates, found from when its device was busy and when it was not.

Drivers do not say, and to take it for nothing charges a short request for the pause before it: with a lag of 80 ms half of the
energy of a second would be booked to its neighbours. Where load begins or ends, the energy between two moves of the counter
tells when it did: of all lags the one is taken by which a straight line over the busy share explains the power best. Nothing is
learned from a device that is always busy, or never, and there it matters little.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..units import Joules, Seconds

STEP_SECONDS: Final[Seconds] = 0.01
MOST_SECONDS: Final[Seconds] = 0.2
LONGEST_SECONDS: Final[Seconds] = 0.3
"""Between two moves of a counter that can tell."""
LEAST_EDGES: Final = 12
"""Moves in which load began or ended, before anything is believed."""
_STEPS: Final = round(MOST_SECONDS / STEP_SECONDS) + 1
_BESIDE: Final = 3
"""Moves before and after one that say how much is drawn without load, and with it."""
_FORGETTING: Final = 1 / 64
_LEAST_EXPLAINED: Final = 0.5
"""Of the variance of the power, by the best lag."""
_ALL: Final = 1.0 - 1e-9


@dataclass(slots=True)
class _Line:
    """A straight line through points that are forgotten: what is left of the variance around it."""

    count: float = 0.0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0
    yy: float = 0.0

    def add(self, x: float, y: float) -> None:
        self.count += 1.0
        self.x += x
        self.y += y
        self.xx += x * x
        self.xy += x * y
        self.yy += y * y

    def forget(self) -> None:
        kept = 1.0 - _FORGETTING
        self.count, self.x, self.y = self.count * kept, self.x * kept, self.y * kept
        self.xx, self.xy, self.yy = self.xx * kept, self.xy * kept, self.yy * kept

    @property
    def unexplained(self) -> float:
        """As a share; 1 where the line does not rise."""
        across, along = self.xx - self.x**2 / self.count, self.xy - self.x * self.y / self.count
        whole = self.yy - self.y**2 / self.count
        return 1.0 - along**2 / (across * whole) if across > 0.0 and whole > 0.0 and along > 0.0 else 1.0


class LagSearch:
    """The lag of one counter: `seconds`, what was declared until something better is known.

    `busy_seconds` says for how much of the time between two others the device had something to do.
    """

    def __init__(self, declared: Seconds, busy_seconds: Callable[[Seconds, Seconds], Seconds]) -> None:
        self.seconds = declared
        self._busy_seconds = busy_seconds
        self._lines = [_Line() for _ in range(_STEPS)]
        self._edges = 0.0
        self._before: deque[tuple[float, float]] = deque(maxlen=_BESIDE)
        self._after = 0
        """How many of the moves that come are still beside the last edge."""

    def see(self, begin: Seconds, end: Seconds, joules: Joules) -> None:
        """The counter has moved at `end`, and at `begin` before that."""
        seconds = end - begin
        if not 0.0 < seconds <= LONGEST_SECONDS:
            self._after = 0
            self._before.clear()
            return
        watts = joules / seconds
        share = self._busy_seconds(begin - MOST_SECONDS, end) / (seconds + MOST_SECONDS)
        if 0.0 < share < _ALL:
            self._see_edge(begin, end, watts)
        elif self._after > 0:
            self._after -= 1
            self._add(round(share), watts)
        else:
            self._before.append((round(share), watts))

    def _see_edge(self, begin: Seconds, end: Seconds, watts: float) -> None:
        for line in self._lines:
            line.forget()
        while self._before:
            self._add(*self._before.popleft())
        for number, line in enumerate(self._lines):
            lag = number * STEP_SECONDS
            line.add(self._busy_seconds(begin - lag, end - lag) / (end - begin), watts)
        self._edges += 1.0 - _FORGETTING * self._edges
        self._after = _BESIDE
        if self._edges >= LEAST_EDGES:
            self._choose()

    def _add(self, share: float, watts: float) -> None:
        for line in self._lines:
            line.add(share, watts)

    def _choose(self) -> None:
        left = [line.unexplained for line in self._lines]
        best = min(range(_STEPS), key=left.__getitem__)
        if left[best] > 1.0 - _LEAST_EXPLAINED:
            return
        offset = 0.0
        if 0 < best < _STEPS - 1:  # the lowest point of the parabola through it and its neighbours
            below, above = left[best - 1] - left[best], left[best + 1] - left[best]
            offset = (below - above) / (2.0 * (below + above)) if below + above > 0.0 else 0.0
        self.seconds = (best + offset) * STEP_SECONDS
