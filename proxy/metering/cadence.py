"""When a counter moved, told more exactly than it is read.

An energy counter moves at regular intervals (100 ms on most NVIDIA cards) and is read every 50 ms: a reading only says that
it has moved since the one before. The moves themselves lie on a line, which is followed from the middles of those intervals:
after some seconds to within a few milliseconds, where one reading leaves fifty. A counter that moves before every reading,
or at no regular intervals, is taken to have moved as read.
"""

from __future__ import annotations

import math
import statistics
from itertools import pairwise
from typing import Final

from ..units import Seconds

_LATEST_SEEN_SECONDS: Final = 0.05
"""Half of a counter's usual period: by so much on average a reading after a pause is later than the move it finds."""
_REFINEMENTS: Final = 3
_SHARP: Final = 1.3
"""Readings that far apart, times the nearest, still say when a move was."""
_WIDENING: Final = 1.01
_FIRST_MOVES: Final = 24
"""Before the line is sought."""
_MEMORY: Final = 0.98
_PHASE_GAIN: Final = 1 - _MEMORY**2
_PERIOD_GAIN: Final = (1 - _MEMORY) ** 2
"""A line by least squares with fading memory (Morrison, 1969): the gains of its recursive form."""
_REMEMBERED: Final = 50
"""Moves, for what is typical of them."""
_FORGETTING: Final = 1 / _REMEMBERED
_LEAST_STILL: Final = 0.2
"""The share of moves before which a reading must have found the counter still: else readings say nothing of its period."""
_SLACK: Final = 0.05
"""Of a period, by how much a move may miss its interval."""
_LEAST_FITTING: Final = 0.9
"""The share of the first moves that must lie on the line."""
_WIDEST_SPREAD: Final = 2.0
"""Times what even moves would show: beyond this they are not even."""


class Cadence:
    """The moves of one counter, told one by one in order."""

    def __init__(self) -> None:
        self.period_seconds: Seconds | None = None
        """None until it is known, or where there is none."""
        self._first: list[tuple[Seconds, Seconds]] = []
        """The intervals of the first moves."""
        self._moves = 0
        self._still = 0.0
        self._sharpest = math.inf
        """The narrowest interval between two readings, of late."""
        self._last: Seconds = 0.0
        """When the last move was, by the line."""
        self._square_error = self._square_expected = 0.0

    def move(self, after: Seconds, by: Seconds, *, was_still: bool) -> Seconds:
        """The counter moved after one reading and by another: returns when.

        `was_still`: the reading before had found it where it was, and did not see a move itself.
        """
        self._moves = min(self._moves + 1, _REMEMBERED)
        self._still += (was_still - self._still) / self._moves
        self._sharpest = min(by - after, self._sharpest * _WIDENING)
        is_sharp = by - after <= _SHARP * self._sharpest
        if self._still < _LEAST_STILL:
            self._restart()
            return by
        if self.period_seconds is not None:
            return self._follow(after, by, self.period_seconds, is_sharp=is_sharp)
        self._first.append((after, by))
        if len(self._first) == _FIRST_MOVES:
            self._find_line()
        return by - min((by - after) / 2, _LATEST_SEEN_SECONDS) if was_still else by

    def _restart(self) -> None:
        self.period_seconds = None
        self._first.clear()
        self._square_error = self._square_expected = 0.0

    def _find_line(self) -> None:
        """The period and the last move, by least squares over the first moves."""
        ends = [by for _, by in self._first]
        guess = statistics.median(later - earlier for earlier, later in pairwise(ends))
        first = [(max(after, by - guess), by) for after, by in self._first]
        times = [_middle(after, by) for after, by in first]
        numbers = [0]
        for earlier, later in pairwise(times):
            numbers.append(numbers[-1] + max(1, round((later - earlier) / guess)))
        for _ in range(_REFINEMENTS):
            period, origin = statistics.linear_regression(numbers, times)
            numbers = [round((at - origin) / period) for at in times]
        period, origin = statistics.linear_regression(numbers, times)
        self._restart()
        slack = _SLACK * period
        fitting = sum(
            after - slack <= origin + number * period <= by + slack for number, (after, by) in zip(numbers, first, strict=True)
        )
        if period > 0 and fitting >= _LEAST_FITTING * len(first):
            self.period_seconds, self._last = period, origin + period * numbers[-1]

    def _follow(self, after: Seconds, by: Seconds, period: Seconds, *, is_sharp: bool) -> Seconds:
        """Where the line says, within what the readings allow; the line is put right by the difference, where it is sharp."""
        after = max(after, by - period)  # of several moves the last one counts
        steps = max(1, math.floor((by + _SLACK * period - self._last) / period))
        self._last += steps * period
        at = min(max(self._last, after), by)
        if not is_sharp:
            return at
        error = _middle(after, by) - self._last
        self._last += _PHASE_GAIN * error
        self.period_seconds = period + _PERIOD_GAIN * error / steps
        self._square_error += _FORGETTING * (error**2 - self._square_error)
        self._square_expected += _FORGETTING * ((by - after) ** 2 / 12 - self._square_expected)
        if self._square_error > (_WIDEST_SPREAD * max(math.sqrt(self._square_expected), period / 20)) ** 2:
            self._restart()
        return at


def _middle(after: Seconds, by: Seconds) -> Seconds:
    return (after + by) / 2
