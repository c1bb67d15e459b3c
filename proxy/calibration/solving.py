"""Four coefficients from windows of work and joules: non-negative least squares, with what each result is worth.

`joules = F x steps + c_d x tokens + c_kv x context + c_p x prompt`, with relative residuals, since what errs (a counter's edge, a
power that drifts) errs in proportion. Everything is kept in factors over the start values, which are of one magnitude.
Of five unknowns at most, the best non-negative solution is found by trying every set of terms that may be more than zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from itertools import combinations
from typing import Final, TypeAlias

from ..errors import JevonsError
from ..exchange import Coefficients, Doubts
from ..metering.fitting import TABLE_DOUBT
from ..units import Joules
from .windows import Window

TERMS: Final = tuple(each.name for each in fields(Coefficients))
SMALLEST_SHARE: Final = 0.002
"""Of the energy in every window: a term that explains less is not tried to be told apart."""
GREATEST_ERROR: Final = 1 / 3
"""A standard error beyond this share of its value says that the load could not tell the term apart."""
LAW_ERROR: Final = 0.02
"""How far off, relative, a term may be beside its standard error, since no engine follows the law exactly. The laws through
single rows of public measurements miss one of some ten batch sizes by 0.045 at worst, in the median row (`coefficients`)."""
SPARE_WINDOWS: Final = 4
"""More than there are terms."""

Row: TypeAlias = list[float]


@dataclass(frozen=True, slots=True)
class Term:
    """One coefficient, in joules."""

    name: str
    start: Joules
    """Its start value."""
    joules: Joules | None
    """As found; None where the load did not tell it apart."""
    error: Joules | None
    """Its standard error, by the scatter of the windows."""
    used: Joules
    """The same, or the start value on the scale of what was found."""
    reason: str | None = None
    """Why it was not told apart."""

    @property
    def doubt(self) -> float:
        """How far off, relative, `used` may be: a standard deviation."""
        if self.joules is None or self.error is None:
            return TABLE_DOUBT
        return math.hypot(self.error / self.joules, LAW_ERROR)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What the windows say."""

    terms: tuple[Term, ...]
    r_squared: float
    """Of joules per step over all windows."""
    worst_residual: float
    """The greatest relative one."""
    windows: int

    @property
    def coefficients(self) -> Coefficients:
        """To be used."""
        return Coefficients(*(term.used for term in self.terms))

    @property
    def doubts(self) -> Doubts:
        """How far off, relative, each of them may be."""
        fixed, token, context, prompt = (term.doubt for term in self.terms)
        return (fixed, token, context, prompt)


def fit(windows: Sequence[Window], start: Coefficients) -> Fitted:
    """The coefficients that explain the windows best; a term that they cannot tell apart keeps its start's ratio to the others.

    Raises JevonsError where there are too few windows for four terms.
    """
    units = [value or 1e-9 for value in astuple(start)]
    if len(windows) < len(units) + SPARE_WINDOWS:
        raise JevonsError(f"{len(windows)} clean windows are too few for {len(units)} terms: give it more --seconds")
    rows = [_shares(window, units) for window in windows]
    reasons = {
        index: "the load had next to none of it"
        for index in range(len(units))
        if max(row[index] for row in rows) < SMALLEST_SHARE
    }
    while True:
        free = [index for index in range(len(units)) if index not in reasons]
        if not free:
            raise JevonsError(
                "the load tells nothing apart: the device's energy does not follow the work; is it the right device?"
            )
        common = len(rows) / sum(map(sum, rows))
        factors, errors = _solve(rows, free, dict.fromkeys(reasons, common))
        worst = max(free, key=lambda index: _relative_error(factors[index], errors[index]))
        if _relative_error(factors[worst], errors[worst]) <= GREATEST_ERROR:
            break
        reasons[worst] = "zero explains the load as well" if factors[worst] == 0.0 else "its error is too large"
    terms = tuple(
        Term(
            TERMS[index],
            astuple(start)[index],
            None if index in reasons else factors[index] * units[index],
            None if index in reasons else errors[index] * units[index],
            factors[index] * units[index],
            reasons.get(index),
        )
        for index in range(len(units))
    )
    return _judge(windows, rows, factors, terms)


def _shares(window: Window, units: Sequence[float]) -> Row:
    """Each term's energy by its start value, relative to what was measured."""
    amounts = (window.steps, window.tokens, window.context, window.prompt)
    return [amount * unit / window.joules for amount, unit in zip(amounts, units, strict=True)]


def _relative_error(factor: float, error: float) -> float:
    return error / factor if factor > 0.0 else math.inf


def _solve(rows: Sequence[Row], free: Sequence[int], held: dict[int, float]) -> tuple[Row, Row]:
    """The best non-negative factors of the free terms, and their standard errors; those that are held stay as they are."""
    size = len(rows[0])
    targets = [1.0 - sum(row[index] * factor for index, factor in held.items()) for row in rows]
    best, least = [0.0] * size, sum(target**2 for target in targets)
    chosen: tuple[int, ...] = ()
    for count in range(1, len(free) + 1):
        for support in combinations(free, count):
            found = _least_squares([[row[index] for index in support] for row in rows], targets)
            if found is None or min(found) < 0.0:
                continue
            factors = [0.0] * size
            for index, factor in zip(support, found, strict=True):
                factors[index] = factor
            squares = sum((target - _dot(row, factors)) ** 2 for row, target in zip(rows, targets, strict=True))
            if squares < least:
                best, chosen, least = factors, support, squares
    errors = [math.inf] * size
    if chosen:
        inverse = invert(_squares([[row[index] for index in chosen] for row in rows]))
        variance = least / (len(rows) - len(chosen))
        for place, index in enumerate(chosen):
            errors[index] = math.sqrt(max(0.0, variance * inverse[place][place])) if inverse else math.inf
    return [held.get(index, value) for index, value in enumerate(best)], errors


def _least_squares(rows: Sequence[Row], targets: Sequence[float]) -> Row | None:
    inverse = invert(_squares(rows))
    if inverse is None:
        return None
    sums = [sum(row[i] * target for row, target in zip(rows, targets, strict=True)) for i in range(len(rows[0]))]
    return [_dot(line, sums) for line in inverse]


def _squares(rows: Sequence[Row]) -> list[Row]:
    size = range(len(rows[0]))
    return [[sum(row[i] * row[j] for row in rows) for j in size] for i in size]


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def invert(matrix: Sequence[Sequence[float]]) -> list[Row] | None:
    """The inverse, by Gauss and Jordan with pivots; None where there is none worth having."""
    size = len(matrix)
    greatest = max(abs(value) for row in matrix for value in row)
    rows = [[*row, *(float(i == j) for j in range(size))] for i, row in enumerate(matrix)]
    for i in range(size):
        pivot = max(range(i, size), key=lambda line: abs(rows[line][i]))
        if abs(rows[pivot][i]) <= 1e-13 * greatest:
            return None
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for j in range(size):
            if j != i:
                rows[j] = [value - rows[j][i] * own for value, own in zip(rows[j], rows[i], strict=True)]
    return [row[size:] for row in rows]


def _judge(windows: Sequence[Window], rows: Sequence[Row], factors: Row, terms: tuple[Term, ...]) -> Fitted:
    explained = [_dot(row, factors) for row in rows]
    measured = [window.joules / window.steps for window in windows]
    return Fitted(
        terms,
        r_squared(measured, [value * share for value, share in zip(measured, explained, strict=True)]),
        max(abs(1.0 - share) for share in explained),
        len(windows),
    )


def r_squared(measured: Sequence[float], explained: Sequence[float]) -> float:
    """The share of the measured values' variance that is explained; nan where they do not vary."""
    mean = sum(measured) / len(measured)
    total = sum((value - mean) ** 2 for value in measured)
    left = sum((value - guess) ** 2 for value, guess in zip(measured, explained, strict=True))
    return 1.0 - left / total if total > 0.0 else math.nan
