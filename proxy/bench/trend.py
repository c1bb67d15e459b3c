"""How fast something grows, and how sure that is: a line by least squares, with its interval.

Looks that follow each other closely are not independent, memory's least of all: it moves in steps. So the interval is made for as
many looks as the residuals are worth by their correlation with the next one, n·(1-r)/(1+r), after Bartlett (1935).
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

FEWEST: Final = 3
"""A line through two points is no trend."""
_NORMAL_95: Final = 1.959964
_MOST_CORRELATED: Final = 0.99
_FEWEST_DEGREES: Final = 2.0


@dataclass(frozen=True, slots=True)
class Trend:
    """By how much y grows per x, with the 95 % interval."""

    slope: float
    low: float
    high: float

    def times(self, factor: float) -> Trend:
        """The same in another unit."""
        return Trend(self.slope * factor, self.low * factor, self.high * factor)

    def as_json(self) -> dict[str, float]:
        """For programs."""
        return {"slope": self.slope, "low": self.low, "high": self.high}


def trend(xs: Sequence[float], ys: Sequence[float]) -> Trend | None:
    """Of these points, in the order in which they were taken; None of fewer than three, or where all are at one x."""
    if len(xs) < FEWEST or min(xs) == max(xs):
        return None
    slope, intercept = statistics.linear_regression(xs, ys)
    residuals = [y - slope * x - intercept for x, y in zip(xs, ys, strict=True)]
    squares = sum(each**2 for each in residuals)
    middle = statistics.fmean(xs)
    spread = sum((x - middle) ** 2 for x in xs)
    correlation = _correlation(residuals)
    worth = (1.0 - correlation) / (1.0 + correlation)
    error = math.sqrt(squares / (len(xs) - 2) / spread / worth)
    reach = _student_95(len(xs) * worth - 2.0) * error
    return Trend(slope, slope - reach, slope + reach)


def second_half(xs: Sequence[float], ys: Sequence[float]) -> Trend | None:
    """The trend from half of the last x on: the first half fills what is bounded."""
    late = [(x, y) for x, y in zip(xs, ys, strict=True) if x >= xs[-1] / 2]  # none of none
    return trend([x for x, _ in late], [y for _, y in late])


def _correlation(residuals: Sequence[float]) -> float:
    """Of each with the next, from 0; where all are nothing, as in a memory that did not move, there is none."""
    squares = sum(each**2 for each in residuals)
    if squares == 0.0:
        return 0.0
    products = sum(one * other for one, other in itertools.pairwise(residuals))
    return min(_MOST_CORRELATED, max(0.0, products / squares))


def _student_95(degrees: float) -> float:
    """The two-sided 95 % quantile of Student's t, by the expansion of Cornish and Fisher; good to 3 % from two degrees on."""
    z, v = _NORMAL_95, max(_FEWEST_DEGREES, degrees)
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / v + second / v**2 + third / v**3
