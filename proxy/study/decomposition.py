"""Energy ratio = length ratio x ratio of joules per token: exactly, for totals and for geometric means. Pure.

*Totals* weigh every joule alike: they are what a bill shows, what the article's +87 % is, and long answers dominate them.
*Geometric means* weigh every prompt alike and say what happens to a typical one. Both factorise without a remainder, which the
arithmetic mean of ratios does not; the report leads with totals and shows the other beside it.

The steps of the waterfall share a difference of joules among factors by the logarithmic mean (Ang, Energy Policy 32, 2004,
1131-1139): `(b - a) / ln(b / a) x ln(factor)`, which again sums exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..units import Joules
from .bootstrap import RESAMPLES, Interval, log_ratio_of_rates, log_ratio_of_totals, mean, studentised

_EQUAL: Final = 1e-12


@dataclass(frozen=True, slots=True)
class PromptPair:
    """One prompt answered by two arms, each figure a mean over its repetitions."""

    prompt: str
    category: str
    joules: tuple[Joules, Joules]
    tokens: tuple[float, float]
    """Completion, reasoning included."""
    visible: tuple[float | None, float | None] = (None, None)
    """Completion without reasoning; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Three ratios, second arm over first: `energy.value == length.value * per_token.value`."""

    energy: Interval
    length: Interval
    per_token: Interval


def by_totals(pairs: Sequence[PromptPair], *, resamples: int = RESAMPLES) -> Decomposition:
    """From the sums over all prompts."""
    joules = [pair.joules for pair in pairs]
    tokens = [pair.tokens for pair in pairs]
    rates = [(pair.joules[0], pair.tokens[0], pair.joules[1], pair.tokens[1]) for pair in pairs]
    return Decomposition(
        studentised(joules, log_ratio_of_totals, resamples=resamples).mapped(math.exp),
        studentised(tokens, log_ratio_of_totals, resamples=resamples).mapped(math.exp),
        studentised(rates, log_ratio_of_rates, resamples=resamples).mapped(math.exp),
    )


def by_geometric_means(pairs: Sequence[PromptPair], *, resamples: int = RESAMPLES) -> Decomposition:
    """From each prompt's own ratios."""
    energy = [math.log(pair.joules[1] / pair.joules[0]) for pair in pairs]
    length = [math.log(pair.tokens[1] / pair.tokens[0]) for pair in pairs]
    per_token = [both - longer for both, longer in zip(energy, length, strict=True)]
    found = (studentised(logs, mean, resamples=resamples).mapped(math.exp) for logs in (energy, length, per_token))
    return Decomposition(*found)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the waterfall: why, the factor, and how many joules of the difference it accounts for."""

    name: str
    factor: float
    joules: Joules


def waterfall(pairs: Sequence[PromptPair]) -> tuple[Joules, list[Step], Joules]:
    """From the first arm's mean joules per response to the second's; the steps sum to the difference.

    Where reasoning was counted on both sides, the length is split into the visible answer and the thinking before it.
    """
    count = len(pairs)
    start, end = (sum(pair.joules[side] for pair in pairs) / count for side in (0, 1))
    first, second = (sum(pair.tokens[side] for pair in pairs) for side in (0, 1))
    factors = [("length", second / first)]
    visible = [sum(pair.visible[side] or 0.0 for pair in pairs) for side in (0, 1)]
    if all(None not in pair.visible for pair in pairs) and min(visible) > 0:
        longer = visible[1] / visible[0]
        factors = [("answer length", longer), ("thinking", second / first / longer)]
    factors.append(("joules per token", (end / start) / (second / first)))
    weight = start if abs(end / start - 1) < _EQUAL else (end - start) / math.log(end / start)
    return start, [Step(name, factor, weight * math.log(factor)) for name, factor in factors], end
