"""An engine's energy coefficients, learned from the bins that settle.

Per window of a second the device has shown so many joules, and the requests so many steps, tokens, context tokens and prompt
tokens, with nobody in flight for so long. Non-negative least squares over these sums, with forgetting, gives joules per unit of
each. Relative residuals, since what errs (a counter's edge, a power that drifts) errs in proportion.

Everything is kept in terms of the start values: each term's factor over its start is sought. What the windows cannot tell apart
(at an even load a step's fixed part and its tokens) stays near what all factors have in common, since an even pull towards that
is part of the sum; and none may be more than three times off it, one way or the other. The sums are 5 x 5, so that a window costs
the same whatever has been seen before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ..exchange import Coefficients, Doubts
from ..units import Joules, Seconds, Watts
from .account import Quantities

TABLE_DOUBT: Final = 0.33
"""How far, relative, each ratio of start values from the table of public measurements may be off for another engine.

The ratio of a fixed to a token's energy, foretold for each chat row of the ML.ENERGY table by the laws through the rows of all
other models (`coefficients`), has a logarithm off by 0.45 (standard deviation): 0.33 for each of the two terms."""
GIVEN_DOUBT: Final = 0.2
"""The same of values that the configuration gives without saying how far off they may be."""
_USUAL: Final = [1.0, 8.0, 8000.0, 30.0]
"""Of each term, in a step of eight sequences: contexts of a thousand tokens, and four tokens read for each that is written."""
TERMS: Final = 4
"""Fixed, token, context, prompt: the order of `Coefficients`. Idle seconds come last."""
_PROMPT: Final = 3
_IDLE_UNIT_WATTS: Final = 100.0
"""Only a scale: what is found for idle time is the measured power."""
FURTHEST: Final = 3.0
"""How far a factor may be from what all have in common."""
WINDOW_SECONDS: Final = 1.0
"""Long against a counter's step, so that little energy falls beyond a window's edges."""
_MEMORY_SECONDS: Final = 1200.0
_NOISE: Final = 1.6e-6
"""The variance of a window's relative error: over a term's variance at the start it is the pull towards the common factor, per
second of what was seen."""
_PULL_SECONDS: Final = 60.0
"""So many seconds' worth of it from the beginning."""
_DEPENDENCE: Final = 6.0
"""By how much more the pull is where engines have devices in common.

At an even load next to nothing tells their steps apart, and what seems to is mostly noise: there the ratio of the start values is
to stay. One engine's terms do not suffer, since what an even load cannot tell apart does not matter at that load.
"""
_MISSED: Final = 0.3
"""All windows together may be off by so much of what one of them usually misses, since they err alike and their work is not exact
either: found by the coverage of the bounds in simulation."""
_LEAST_MISS: Final = 0.0094
"""Relative, of a second, in the median: as on a device with nothing to disturb it; less is luck."""
_MISS_STEP: Final = 0.1
"""Relative, by which the median is moved towards every window's miss."""
_OUTLIER: Final = 0.3
"""A window whose joules are so far, relative, from what is expected weighs less."""
_SWEEPS: Final = 40
_SOLVE_SECONDS: Final = 2.0
_STRIDE: Final = 0.3
"""Of the way from what is used to what is found, so much at a time: no request's price leaps."""
_INSTANT: Final = 1e-6
_LEAST_SECONDS: Final = 20.0
"""Of what was seen, before anything is concluded."""

Row: TypeAlias = list[float]


class Fit:
    """The coefficients of one engine, from their start values on.

    Args:
        start: What they are taken to be until something has been seen.
        doubt: How far, relative, each of them may be off then; one figure is that of all four.
    """

    def __init__(self, start: Coefficients, *, doubt: float | Doubts) -> None:
        self.start = start
        self.units = _terms(start)
        self.coefficients = start
        """What to use: the ratios found, on the scale of the start values."""
        self.measured: Coefficients | None = None
        """The same in joules as measured; None until enough was seen."""
        self.doubt: Doubts = doubt if isinstance(doubt, tuple) else (doubt, doubt, doubt, doubt)
        self.covariance = [[self.doubt[i] ** 2 if i == j else 0.0 for j in range(TERMS)] for i in range(TERMS)]
        """Of the terms' relative errors."""
        self.rival_doubt = math.sqrt(2.0) * self._doubt_of(_USUAL)
        """How far, relative, its work may be off against that of others on its devices; at first as if they were like it."""
        self.tokens_per_step = 1.0
        """What a server puts into one chunk. Where that is several steps' tokens, steps are undercounted by as much."""
        self.regression = Regression((self,))
        """Of what its devices consume; one for all engines on them."""

    def _doubt_of(self, amounts: Row) -> float:
        """How far, relative, so many steps, tokens, context tokens and prompt tokens may be off at the start."""
        joules = [amount * unit for amount, unit in zip(amounts, self.units, strict=True)]
        return math.hypot(*(each * doubt for each, doubt in zip(joules, self.doubt, strict=True))) / (sum(joules) or 1.0)

    @property
    def factors(self) -> list[float]:
        """Of each term over its start value, as found last."""
        first = TERMS * self.regression.fits.index(self)
        return self.regression.factors[first : first + TERMS]

    def move(self, factors: list[float], common: float, covariance: list[Row], rival_doubt: float) -> None:
        """Go a part of the way to what was found."""
        used = zip(_terms(self.coefficients), factors, self.units, strict=True)
        self.coefficients = Coefficients(*(old + _STRIDE * (factor / common * unit - old) for old, factor, unit in used))
        self.measured = Coefficients(*(factor * unit for factor, unit in zip(factors, self.units, strict=True)))
        self.covariance = covariance
        self.rival_doubt = rival_doubt


@dataclass(slots=True)
class _Window:
    """Sums over the latest bins."""

    works: list[Quantities]
    seconds: Seconds = 0.0
    wanted: Seconds = WINDOW_SECONDS
    """How long it is to be."""
    idle_seconds: Seconds = 0.0
    joules: Joules = 0.0
    prompt_variances: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Seen:
    """One engine's work in a bin."""

    work: Quantities
    prompt_variance: float = 0.0
    """Of its prompt tokens, where they are an estimate: what they seem to vary by that alone says nothing of their cost."""


class Regression:
    """The terms of all engines that have devices in common, and of idle time, from what these devices consume.

    Args:
        fits: One per engine.
    """

    def __init__(self, fits: Sequence[Fit]) -> None:
        self.fits = tuple(fits)
        self._terms = TERMS * len(self.fits)
        size = self._terms + 1
        self.factors = [1.0] * size
        self.seconds: Seconds = 0.0
        """Of windows seen, those long past forgotten."""
        self._units = [*(unit for fit in self.fits for unit in fit.units), _IDLE_UNIT_WATTS]
        self._squares: list[Row] = [[0.0] * size for _ in range(size)]
        """The sum of weighted outer products of a window's shares."""
        self._sums: Row = [0.0] * size
        self._weight = 0.0
        self._miss = _LEAST_MISS
        """What windows miss by in the median, of late: relative, of a second."""
        self._due: Seconds = 0.0
        self._window = self._begin()

    def _begin(self) -> _Window:
        return _Window([Quantities() for _ in self.fits], prompt_variances=[0.0] * len(self.fits))

    def see(
        self,
        seen: Sequence[Seen],
        joules: Joules,
        *,
        seconds: Seconds,
        idle_seconds: Seconds = 0.0,
        wanted: Seconds = WINDOW_SECONDS,
    ) -> None:
        """Take one clean bin: all the work in it by engine, all it consumed, and for how long nobody was in flight.

        `wanted` is how long a window is to be with this bin in it.
        """
        window = self._window
        for number, one in enumerate(seen):
            window.works[number].absorb(one.work)
            window.prompt_variances[number] += one.prompt_variance
        window.joules += joules
        window.seconds += seconds
        window.idle_seconds += idle_seconds
        window.wanted = max(window.wanted, wanted)
        if window.seconds >= window.wanted - _INSTANT:
            self._take(window)
            self._window = self._begin()
            self._due += window.seconds
            if self._due >= _SOLVE_SECONDS:
                self._due = 0.0
                self._conclude()

    def skip(self) -> None:
        """A bin came that is not clean: the next window begins after it."""
        self._window = self._begin()

    def _take(self, window: _Window) -> None:
        if window.joules <= 0.0:
            return
        amounts: list[float] = []
        for work in window.works:
            amounts += (work.steps, work.tokens, work.context, work.prompt)
        amounts.append(window.idle_seconds)
        shares = [amount * unit / window.joules for amount, unit in zip(amounts, self._units, strict=True)]
        miss = abs(1.0 - sum(factor * share for factor, share in zip(self.factors, shares, strict=True)))
        weight = window.seconds * (_OUTLIER / miss if self.is_known and miss > _OUTLIER else 1.0)
        if self.is_known:
            step = math.copysign(_MISS_STEP, miss * math.sqrt(window.seconds) - self._miss)
            self._miss = max(_LEAST_MISS, self._miss * math.exp(step))
        kept = 1.0 - window.seconds / _MEMORY_SECONDS
        for row, squares in zip(shares, self._squares, strict=True):
            for column, share in enumerate(shares):
                squares[column] = kept * squares[column] + weight * row * share
        for number, variance in enumerate(window.prompt_variances):
            term = TERMS * number + _PROMPT
            noise = variance * (self._units[term] / window.joules) ** 2
            self._squares[term][term] -= weight * min(noise, shares[term] ** 2)
        self._sums = [kept * total + weight * share for total, share in zip(self._sums, shares, strict=True)]
        self._weight = kept * self._weight + weight
        self.seconds = kept * self.seconds + window.seconds

    @property
    def is_known(self) -> bool:
        """Whether enough has been seen for a conclusion."""
        return self.seconds >= _LEAST_SECONDS

    @property
    def idle_watts(self) -> Watts | None:
        """The power with nobody in flight, by the fit; None while there was none."""
        return self.factors[-1] * _IDLE_UNIT_WATTS if self._squares[-1][-1] > 0.0 else None

    def _conclude(self) -> None:
        """Move what is used towards what is found."""
        if not self.is_known:
            return
        common = self.solve()
        covariance = self._covariance()
        rivals = self._rival_doubts(covariance)
        for number, fit in enumerate(self.fits):
            own = slice(TERMS * number, TERMS * (number + 1))
            fit.move(self.factors[own], common, [row[own] for row in covariance[own]], rivals[number])

    def solve(self) -> float:
        """Find the factors that explain best what was seen; returns what all terms have in common."""
        common = self._common()
        noise = self._noise() * (_DEPENDENCE if len(self.fits) > 1 else 1.0)
        for _ in range(_SWEEPS):
            for term in range(self._terms):
                number, kind = divmod(term, TERMS)
                most = FURTHEST * (max(1.0, self.fits[number].tokens_per_step) if kind == 0 else 1.0)
                pull = noise / self.fits[number].doubt[kind] ** 2
                self._descend(term, pull, common, (common / FURTHEST, common * most))
            self._descend(self._terms, 0.0, 0.0, (0.0, math.inf))
        return common

    def _common(self) -> float:
        """The one factor that would explain it best if it were all terms'."""
        terms, idle = self._terms, self.factors[-1]
        square = sum(sum(row[:terms]) for row in self._squares[:terms])
        total = sum(self._sums[:terms]) - idle * sum(self._squares[terms][:terms])
        return max(total / square, 1e-6) if square > 0.0 else 1.0

    def _noise(self) -> float:
        return _NOISE * (self._weight + _PULL_SECONDS)

    def _descend(self, term: int, pull: float, towards: float, bounds: tuple[float, float]) -> None:
        """The best factor of one term, given the others."""
        row = self._squares[term]
        curvature = row[term] + pull
        if curvature <= 0.0:
            return
        others = sum([a * b for a, b in zip(row, self.factors, strict=True)]) - row[term] * self.factors[term]
        # In the pull a factor counts relative to the common one, hence the same unit as a share.
        best = (self._sums[term] - others + pull * towards) / curvature
        self.factors[term] = min(max(best, bounds[0]), bounds[1])

    def _covariance(self) -> list[Row]:
        """Of all terms' relative errors: the start's, less what has been learned.

        With doubts `d` at the start and noise `n`, least squares leaves `n (A + n / d^2)^-1`, where `A` are the squares seen.
        """
        noise, terms = (_MISSED * self._miss) ** 2 * (self._weight + _PULL_SECONDS), range(self._terms)
        variances = [doubt**2 for fit in self.fits for doubt in fit.doubt]
        matrix = [[self._squares[i][j] + (noise / variances[i] if i == j else 0.0) for j in terms] for i in terms]
        inverse = _inverse(matrix)
        if not all(0.0 <= noise * inverse[i][i] <= variances[i] for i in terms):
            # So much of what prompts varied by was noise that nothing is left of what was seen.
            return [[variances[i] if i == j else 0.0 for j in terms] for i in terms]
        return [[noise * inverse[i][j] for j in terms] for i in terms]

    def _rival_doubts(self, covariance: list[Row]) -> list[float]:
        """For each engine, the standard deviation of its work over that of all others, at what they usually do."""
        joules = [max(0.0, total) * factor for total, factor in zip(self._sums[:-1], self.factors[:-1], strict=True)]
        doubts = []
        for number, fit in enumerate(self.fits):
            own = range(TERMS * number, TERMS * (number + 1))
            ours = sum(joules[own.start : own.stop])
            theirs = sum(joules) - ours
            if ours <= 0.0 or theirs <= 0.0:
                doubts.append(fit.rival_doubt)
                continue
            slopes = [each / (ours if term in own else -theirs) for term, each in enumerate(joules)]
            variance = sum(a * b * c for a, row in zip(slopes, covariance, strict=True) for b, c in zip(slopes, row, strict=True))
            doubts.append(math.sqrt(max(0.0, variance)))
        return doubts


def _terms(coefficients: Coefficients) -> list[float]:
    return [
        coefficients.fixed_joules_per_step,
        coefficients.joules_per_token,
        coefficients.joules_per_context_token,
        coefficients.joules_per_prompt_token,
    ]


def _inverse(matrix: list[Row]) -> list[Row]:
    """Of a symmetric positive definite matrix, by Gauss and Jordan; small, so that order does not matter."""
    size = len(matrix)
    rows = [[*row, *(1.0 if i == j else 0.0 for j in range(size))] for i, row in enumerate(matrix)]
    for i in range(size):
        pivot = rows[i][i]
        rows[i] = [value / pivot for value in rows[i]]
        for j in range(size):
            if j != i:
                factor = rows[j][i]
                rows[j] = [value - factor * own for value, own in zip(rows[j], rows[i], strict=True)]
    return [row[size:] for row in rows]
