"""How good a ranking of prompts is at telling where reasoning pays: AUROC, APGR, CPT, calls; with bootstrap intervals.

As in RouteLLM (arXiv:2406.18665): PGR(c) = (accuracy at the share c of reasoning calls - accuracy of direct alone) /
(accuracy of reasoning alone - accuracy of direct alone); APGR is the area under PGR over c; CPT(x) the least c that reaches a
PGR of x. Prompts of equal score are taken together, as if their order were random. Pure Python: a few thousand rows take
seconds.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Final, TypeAlias

from .rows import Pair

RESAMPLES: Final = 200
SEED: Final = 20_260_101
CONFIDENCE: Final = 0.95
NAMES: Final = ("auroc", "apgr", "cpt50", "cpt80", "calls95", "tokens_saved", "joules_saved")

Figures: TypeAlias = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its bootstrap interval."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, float]:
        """As the report gives it."""
        return {"value": round(self.value, 4), "low": round(self.low, 4), "high": round(self.high, 4)}


@dataclass(frozen=True, slots=True)
class Case:
    """One prompt as a router's figures need it. Tokens and joules None: unknown for one of the two."""

    score: float
    direct: float
    reasoning: float
    tokens: tuple[float, float] | None = None
    """Of the direct and of the reasoning answer."""
    joules: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """What comes of sending the share `calls` of prompts to reasoning: those of the highest score."""

    calls: float
    accuracy: float
    tokens: float | None
    """Per prompt."""
    joules: float | None
    """Per prompt."""


def cases(pairs: Sequence[Pair], scores: Sequence[float], *, joules_per_token: tuple[float, float] | None = None) -> list[Case]:
    """The prompts under one router. Joules are tokens times `joules_per_token` of the direct and the reasoning model."""
    made = []
    for pair, score in zip(pairs, scores, strict=True):
        both = (pair.direct.tokens, pair.reasoning.tokens)
        tokens = (both[0], both[1]) if both[0] is not None and both[1] is not None else None
        joules = (tokens[0] * joules_per_token[0], tokens[1] * joules_per_token[1]) if tokens and joules_per_token else None
        made.append(Case(score, pair.direct.correct, pair.reasoning.correct, tokens, joules))
    return made


class Ranking:
    """Cases sorted by score, so that each bootstrap sample is one pass and no sort."""

    def __init__(self, rows: Sequence[Case]) -> None:
        self.rows = sorted(rows, key=lambda case: -case.score)
        self._groups = [number for number, (_, group) in enumerate(groupby(self.rows, lambda one: one.score)) for _ in group]
        self._has_tokens = all(case.tokens for case in rows)
        self._has_joules = all(case.joules for case in rows)

    def curve(self, weights: Sequence[int] | None = None) -> list[Point]:
        """From no call to all, a point after each group of equal scores."""
        weights = weights or [1] * len(self.rows)
        total = sum(weights)
        correct, spent = 0.0, [0.0, 0.0]
        for weight, case in zip(weights, self.rows, strict=True):
            correct += weight * case.direct
            if self._has_tokens and case.tokens:
                spent[0] += weight * case.tokens[0]
            if self._has_joules and case.joules:
                spent[1] += weight * case.joules[0]
        points = [self._point(0, correct, spent, total)]
        calls, last = 0, 0
        for group, weight, case in zip(self._groups, weights, self.rows, strict=True):
            if group != last:
                points.append(self._point(calls, correct, spent, total))
                last = group
            calls += weight
            correct += weight * (case.reasoning - case.direct)
            if self._has_tokens and case.tokens:
                spent[0] += weight * (case.tokens[1] - case.tokens[0])
            if self._has_joules and case.joules:
                spent[1] += weight * (case.joules[1] - case.joules[0])
        points.append(self._point(calls, correct, spent, total))
        return points

    def _point(self, calls: float, correct: float, spent: Sequence[float], total: int) -> Point:
        tokens = spent[0] / total if self._has_tokens else None
        return Point(calls / total, correct / total, tokens, spent[1] / total if self._has_joules else None)

    def figures(self, weights: Sequence[int] | None = None) -> Figures:
        """Every figure; None where it is not defined, as APGR where reasoning is no better than direct."""
        points = self.curve(weights)
        first, last = points[0], points[-1]
        gain = last.accuracy - first.accuracy
        place = first_reaching(points, 0.95 * last.accuracy)
        figures: Figures = {"auroc": self._auroc(weights), "calls95": place.calls}
        figures["apgr"] = _area(points, first.accuracy) / gain if gain > 0 else None
        for name, share in (("cpt50", 0.5), ("cpt80", 0.8)):
            figures[name] = first_reaching(points, first.accuracy + share * gain).calls if gain > 0 else None
        figures["tokens_saved"] = _saved(place.tokens, last.tokens)
        figures["joules_saved"] = _saved(place.joules, last.joules)
        return figures

    def _auroc(self, weights: Sequence[int] | None) -> float | None:
        """The chance that a prompt that needed reasoning ranks above one that did not; ties count half."""
        needed = passed = wins = 0.0
        total_needed = total = 0.0
        group_needed = group_other = 0.0
        last = 0
        for group, weight, case in zip(self._groups, weights or [1] * len(self.rows), self.rows, strict=True):
            if group != last:
                wins += group_other * (needed + group_needed / 2)
                needed, passed = needed + group_needed, passed + group_other
                group_needed = group_other = 0.0
                last = group
            if case.reasoning > case.direct:
                group_needed += weight
            else:
                group_other += weight
        wins += group_other * (needed + group_needed / 2)
        total_needed, total = needed + group_needed, passed + group_other
        return wins / (total_needed * total) if total_needed and total else None


def bootstrap_weights(size: int, resamples: int = RESAMPLES, seed: int = SEED) -> Iterator[list[int]]:
    """How often each row is drawn, once for each sample."""
    dice = random.Random(seed)  # noqa: S311 - samples, not secrets
    for _ in range(resamples):
        weights = [0] * size
        for index in dice.choices(range(size), k=size):
            weights[index] += 1
        yield weights


def estimate(rows: Sequence[Case], resamples: int = RESAMPLES) -> dict[str, Estimate | None]:
    """Each figure with its interval."""
    ranking = Ranking(rows)
    values = ranking.figures()
    samples: dict[str, list[float]] = {name: [] for name in NAMES}
    for weights in bootstrap_weights(len(rows), resamples):
        for name, value in ranking.figures(weights).items():
            if value is not None:
                samples[name].append(value)
    return {name: None if (value := values[name]) is None else _interval(value, samples[name]) for name in NAMES}


def paired_difference(
    first: Sequence[Case], second: Sequence[Case], name: str = "apgr", resamples: int = RESAMPLES
) -> Estimate | None:
    """What the first router has more than the second on the same rows, drawn together. None where it is not defined."""
    rankings = []
    for rows in (first, second):
        order = sorted(range(len(rows)), key=lambda index, rows=rows: -rows[index].score)  # type: ignore[misc]
        rankings.append((Ranking(rows), order))
    plain = [ranking.figures()[name] for ranking, _ in rankings]
    if plain[0] is None or plain[1] is None:
        return None
    samples = []
    for weights in bootstrap_weights(len(first), resamples):
        both = [ranking.figures([weights[index] for index in order])[name] for ranking, order in rankings]
        if both[0] is not None and both[1] is not None:
            samples.append(both[0] - both[1])
    return _interval(plain[0] - plain[1], samples)


def at_threshold(rows: Sequence[Case], threshold: float) -> Point:
    """What comes of sending every prompt of at least that score to reasoning."""
    points = Ranking(
        [Case(float(case.score >= threshold), case.direct, case.reasoning, case.tokens, case.joules) for case in rows]
    ).curve()
    share = sum(case.score >= threshold for case in rows) / len(rows)
    return min(points, key=lambda point: abs(point.calls - share))


def _interval(value: float, samples: list[float]) -> Estimate:
    if not samples:
        return Estimate(value, value, value)
    samples.sort()
    edge = (1 - CONFIDENCE) / 2
    last = len(samples) - 1
    return Estimate(value, min(value, samples[round(edge * last)]), max(value, samples[round((1 - edge) * last)]))


def _area(points: Sequence[Point], floor: float) -> float:
    return sum((right.calls - left.calls) * ((left.accuracy + right.accuracy) / 2 - floor) for left, right in pairwise(points))


def first_reaching(points: Sequence[Point], accuracy: float) -> Point:
    """The first place at which that accuracy is reached, between two points if need be."""
    for left, right in pairwise([points[0], *points]):
        if right.accuracy >= accuracy - 1e-12:
            span = right.accuracy - left.accuracy
            part = (accuracy - left.accuracy) / span if span > 0 else 0.0
            return Point(*(_between(a, b, max(0.0, part)) for a, b in _columns(left, right)))  # type: ignore[arg-type]
    return points[-1]


def _columns(left: Point, right: Point) -> Iterator[tuple[float | None, float | None]]:
    return ((getattr(left, name), getattr(right, name)) for name in ("calls", "accuracy", "tokens", "joules"))


def _between(left: float | None, right: float | None, part: float) -> float | None:
    return None if left is None or right is None else left + part * (right - left)


def _saved(spent: float | None, most: float | None) -> float | None:
    return None if spent is None or not most else 1 - spent / most
