"""`jevons route eval` and `route compare`: routers side by side on the same labelled rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from jevons.policies.difficulty import is_strange
from jevons.policies.score.trees import Trees

from .metrics import NAMES, RESAMPLES, Case, Estimate, Ranking, at_threshold, cases, estimate, paired_difference
from .routers import Router, constant, embedded, keywords, oracle
from .rows import Pair, Result, Row

SCORE: Final = "score"
"""What our own router is called."""
THINKING_FACTOR: Final = 4.9
"""How many times as long an answer is that thinks first: 744 to 153 tokens, Qwen3-8B on GSM8K."""
SAME_PRICE: Final = "assumed to be the same for both models"
"""What joules rest on where nobody said what a token costs: true of one model with its thinking switched, else a guess."""
IMPUTED: Final = f"reasoning tokens = {THINKING_FACTOR} x direct tokens (Qwen3-8B on GSM8K: 744 to 153)"


@dataclass(frozen=True, slots=True)
class Setting:
    """How to judge."""

    resamples: int = RESAMPLES
    threshold: float = 0.5
    """Of the score: where it draws the line."""
    joules_per_token: tuple[float, float] | None = None
    """Of the direct and of the reasoning model."""
    is_imputed: bool = False
    """Whether unknown lengths of reasoning answers are made up from those of direct ones."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What one router did: its cases, the figures overall and by source."""

    name: str
    rows: Sequence[Case] = field(repr=False)
    overall: Mapping[str, Any]
    by_source: Mapping[str, Mapping[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """As INTERFACE.md has it."""
        return {"overall": dict(self.overall), "by_source": dict(self.by_source)}


def judge_all(pairs: Sequence[Pair], routers: Mapping[str, Router], setting: Setting) -> list[Judged]:
    """Every router on the same rows."""
    if setting.is_imputed:
        pairs = [impute(pair) for pair in pairs]
    return [_judge(name, pairs, router(pairs), setting) for name, router in routers.items()]


def default_routers(model: Trees) -> dict[str, Router]:
    """The score, and the baselines that need no training."""
    return {SCORE: embedded(model), "keywords": keywords, "random": constant, "oracle": oracle}


def report(judged: Sequence[Judged], rows: Sequence[Row], model: Trees, setting: Setting) -> dict[str, Any]:
    """The JSON of `route eval`: our own figures on top, the same for the baselines, always and never among them."""
    first = judged[0]
    baselines = {one.name: one.as_json() for one in judged[1:]}
    for name, is_reasoning in (("always", True), ("never", False)):
        sources = {source: _fixed(_of(first, source), is_reasoning=is_reasoning) for source in first.by_source}
        baselines[name] = {"overall": _fixed(first.rows, is_reasoning=is_reasoning), "by_source": sources}
    return {
        **first.as_json(),
        "baselines": baselines,
        "at_threshold": _operating_point(first.rows, setting.threshold),
        "imputed": IMPUTED if setting.is_imputed else None,
        "joules_per_token": list(setting.joules_per_token) if setting.joules_per_token else SAME_PRICE,
        "everyday": _everyday(rows, model, setting.threshold),
        "skipped": sum(bool(row.results) for row in rows) - len(first.rows),
    }


def differences(judged: Sequence[Judged], resamples: int) -> dict[str, Estimate | None]:
    """By how much the first router's APGR exceeds each other's, on the same bootstrap samples."""
    return {one.name: paired_difference(judged[0].rows, one.rows, resamples=resamples) for one in judged[1:]}


def _judge(name: str, pairs: Sequence[Pair], scores: Sequence[float], setting: Setting) -> Judged:
    rows = cases(pairs, scores, joules_per_token=setting.joules_per_token)
    by_source = {}
    for source in dict.fromkeys(pair.source for pair in pairs):
        chosen = [case for case, pair in zip(rows, pairs, strict=True) if pair.source == source]
        by_source[source] = _SourceFigures(_figures(chosen, setting.resamples), chosen)
    return Judged(name, rows, _figures(rows, setting.resamples), by_source)


class _SourceFigures(dict[str, Any]):
    """The figures of a source, which remember its cases."""

    def __init__(self, figures: Mapping[str, Any], rows: Sequence[Case]) -> None:
        super().__init__(figures)
        self.rows = rows


def _of(judged: Judged, source: str) -> Sequence[Case]:
    figures = judged.by_source[source]
    return figures.rows if isinstance(figures, _SourceFigures) else ()


def _figures(rows: Sequence[Case], resamples: int) -> dict[str, Any]:
    found = estimate(rows, resamples)
    figures = {name: None if (one := found[name]) is None else one.as_json() for name in NAMES}
    return {"n": len(rows), **figures, "joules_saved": figures["joules_saved"] or figures["tokens_saved"]}


def _fixed(rows: Sequence[Case], *, is_reasoning: bool) -> dict[str, Any]:
    """One tier for everything: nothing is ranked, so only what it costs has figures."""
    points = Ranking([replace(case, score=0.0) for case in rows]).curve()
    point, most = points[-1 if is_reasoning else 0], points[-1]
    figures: dict[str, Any] = {"n": len(rows), **dict.fromkeys(NAMES)}
    if is_reasoning:
        figures["calls95"] = _exactly(1.0)
    elif point.accuracy >= 0.95 * most.accuracy:
        figures["calls95"] = _exactly(0.0)
    for name, spent, whole in (("tokens_saved", point.tokens, most.tokens), ("joules_saved", point.joules, most.joules)):
        figures[name] = _exactly(1 - spent / whole) if spent is not None and whole else None
    joules = figures["joules_saved"] or figures["tokens_saved"]
    return {**figures, "joules_saved": joules, "accuracy": round(point.accuracy, 4)}


def _exactly(value: float) -> dict[str, float]:
    return Estimate(value, value, value).as_json()


def _operating_point(rows: Sequence[Case], threshold: float) -> dict[str, Any]:
    point = at_threshold(rows, threshold)
    return {"threshold": threshold, **{name: getattr(point, name) for name in ("calls", "accuracy", "tokens", "joules")}}


def _everyday(rows: Sequence[Row], model: Trees, threshold: float) -> dict[str, Any]:
    """Rows that only say whether a prompt is simple: what becomes of them."""
    found: dict[str, Any] = {}
    for kind, wanted in (("simple", True), ("hard", False)):
        scores = [model.score(row.prompt) for row in rows if row.simple is wanted]
        if scores:
            known = [one.probability for one in scores if not is_strange(one)]
            reasoning = sum(one >= threshold for one in known)
            found[kind] = {"n": len(scores), "reasoning": reasoning / len(scores), "strange": 1 - len(known) / len(scores)}
    return found


def impute(pair: Pair) -> Pair:
    """With the length of its reasoning answer made up from that of the direct one, as `IMPUTED` says; as it is where known."""
    direct = pair.direct.tokens
    if pair.reasoning.tokens is not None or direct is None:
        return pair
    old = pair.reasoning
    return replace(pair, reasoning=Result(old.correct, direct * THINKING_FACTOR, old.is_reasoning, old.share))
