"""Intervals by the studentised bootstrap (Efron and Tibshirani, 1993, chapter 12; Davison and Hinkley, 1997, chapter 5).

The unit that is drawn is the prompt, with all its repetitions: answers to one prompt are no independent evidence. Plain
percentiles of 40 prompts are too narrow, the more so the more skewed lengths are; dividing each draw by its own standard error
corrects both. Below eight units no interval is given. Nothing but the standard library.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

T = TypeVar("T")
Pair: TypeAlias = tuple[float, float]

RESAMPLES: Final = 2000
LEVEL: Final = 0.95
FEWEST: Final = 8
_NOTHING: Final = 1e-12
"""A standard error so small against its estimate is the rounding of floats."""


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its 95 % interval; None where there is too little to give one."""

    value: float
    low: float | None = None
    high: float | None = None

    def mapped(self, function: Callable[[float], float]) -> Interval:
        """Through an increasing function, such as exp."""
        ends = (None if end is None else function(end) for end in (self.low, self.high))
        return Interval(function(self.value), *ends)


Statistic: TypeAlias = Callable[[Sequence[T]], tuple[float, float]]
"""An estimate and its standard error."""


def studentised(
    sample: Sequence[T], statistic: Statistic[T], *, seed: int = 1, resamples: int = RESAMPLES, level: float = LEVEL
) -> Interval:
    """The estimate with its interval: quantiles of (draw - estimate) / (error of the draw), times the error of the estimate."""
    estimate, error = statistic(sample)
    if len(sample) < FEWEST:
        return Interval(estimate)
    if error <= _NOTHING * max(1.0, abs(estimate)):
        return Interval(estimate, estimate, estimate)
    dice = random.Random(seed)  # noqa: S311 - a bootstrap's dice
    distances = []
    for _ in range(resamples):
        drawn, drawn_error = statistic(dice.choices(sample, k=len(sample)))
        if drawn_error > 0:
            distances.append((drawn - estimate) / drawn_error)
    distances.sort()
    tail = (1 - level) / 2
    return Interval(estimate, estimate - _quantile(distances, 1 - tail) * error, estimate - _quantile(distances, tail) * error)


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The order statistic number `share (n + 1)`, between two by interpolation: with few draws others would be too narrow."""
    place = min(max(share * (len(ordered) + 1) - 1, 0.0), len(ordered) - 1.0)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])


def mean(sample: Sequence[float]) -> tuple[float, float]:
    """The mean and its standard error."""
    count = len(sample)
    middle = sum(sample) / count
    if count == 1:
        return middle, 0.0
    return middle, math.sqrt(sum((value - middle) ** 2 for value in sample) / (count - 1) / count)


def log_ratio_of_totals(sample: Sequence[Pair]) -> tuple[float, float]:
    """ln(sum of second / sum of first), its error by the delta method."""
    first = sum(pair[0] for pair in sample)
    second = sum(pair[1] for pair in sample)
    count = len(sample)
    if count == 1:
        return math.log(second / first), 0.0
    squares = sum((pair[1] / second - pair[0] / first) ** 2 for pair in sample)
    return math.log(second / first), math.sqrt(squares * count / (count - 1))


def log_ratio_of_rates(sample: Sequence[tuple[float, float, float, float]]) -> tuple[float, float]:
    """ln((sum of third / sum of fourth) / (sum of first / sum of second)): of joules per token, from totals."""
    totals = [sum(column) for column in zip(*sample, strict=True)]
    a, b, c, d = totals
    count = len(sample)
    value = math.log(c / d) - math.log(a / b)
    if count == 1:
        return value, 0.0
    squares = sum((one[2] / c - one[3] / d - one[0] / a + one[1] / b) ** 2 for one in sample)
    return value, math.sqrt(squares * count / (count - 1))
