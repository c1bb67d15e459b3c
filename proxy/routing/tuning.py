"""`jevons route tune`: from an operator's own labels, a threshold for the shipped score or trees of their own.

A label says of one prompt whether the direct answer was wrong and reasoning right. What is learned is judged on labels that it
has not seen; with too few of them, or too few of either kind, nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from jevons.policies.score.features import describe
from jevons.policies.score.trees import Trees

from ..errors import ConfigError, JevonsError
from .metrics import Case, Estimate, Point, Ranking, estimate
from .rows import Pair
from .training import Example, Settings, as_trees, calibrate, fit, grow, held_out_raw, load_sklearn

LEAST_LABELS: Final = 100
LEAST_LABELS_REFIT: Final = 250
LEAST_OF_EITHER: Final = 20
KEPT_SHARE: Final = 0.95
"""Of reasoning's accuracy: what the threshold must keep, by default."""
_SMALL: Final = Settings(trees=60, leaves=6, learning_rate=0.06, leaf_examples=10)
_FRONT_POINTS: Final = 11


@dataclass(frozen=True, slots=True)
class Label:
    """One prompt of the operator's with how right each answer was, 0 to 1."""

    prompt: str = field(repr=False)
    direct: float
    reasoning: float

    @property
    def is_needed(self) -> bool:
        """Whether reasoning did better."""
        return self.reasoning > self.direct


@dataclass(frozen=True, slots=True)
class Tuned:
    """What was learned. `artefact` None: the shipped score stays, with another threshold."""

    threshold: float
    artefact: Mapping[str, Any] | None
    figures: Mapping[str, Estimate | None]
    shipped_figures: Mapping[str, Estimate | None]
    front: tuple[Point, ...]
    chosen: Point
    labels: int


def read_labels(path: Path) -> list[Label]:
    """The labels of a JSONL file: `{prompt, direct, reasoning}` with how right each was, or `{prompt, needs_reasoning}`.

    Raises ConfigError with every bad line as `file:line: what is wrong`.
    """
    labels: list[Label] = []
    problems: list[str] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: {error}"]) from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            labels.append(_label(json.loads(line)))
        except json.JSONDecodeError as error:
            problems.append(f"{path}:{number}: not JSON: {error}")
        except (TypeError, ValueError) as error:
            problems.append(f"{path}:{number}: {error}")
    if problems:
        raise ConfigError(problems)
    return labels


def _label(data: Any) -> Label:
    if not isinstance(data, dict) or not isinstance(data.get("prompt"), str):
        raise TypeError("expected an object with `prompt`, a string")
    if "needs_reasoning" in data:
        if data["needs_reasoning"] not in {0, 1}:
            raise ValueError("`needs_reasoning` must be true or false")
        return Label(data["prompt"], 1.0 - data["needs_reasoning"], 1.0)
    scores = []
    for name in ("direct", "reasoning"):
        score = data.get(name)
        if not isinstance(score, int | float) or not 0 <= score <= 1:
            raise ValueError(f"`{name}` must say how right that answer was, from 0 to 1 (or give `needs_reasoning`)")
        scores.append(float(score))
    return Label(data["prompt"], *scores)


def labels_of(pairs: Sequence[Pair]) -> list[Label]:
    """Rows of `route eval` as labels."""
    return [Label(pair.prompt, pair.direct.correct, pair.reasoning.correct) for pair in pairs]


def shortfall(labels: Sequence[Label], *, refits: bool) -> str | None:
    """What is missing for tuning, in words; None where there is enough."""
    least = LEAST_LABELS_REFIT if refits else LEAST_LABELS
    if len(labels) < least:
        word = "to refit the trees" if refits else "to fit a threshold"
        return f"{len(labels)} labels are too few {word}: {least} are needed, {least - len(labels)} more"
    needed = sum(label.is_needed for label in labels)
    for name, count in (("reasoning was needed", needed), ("direct was enough", len(labels) - needed)):
        if count < LEAST_OF_EITHER:
            return f"only in {count} labels {name}: {LEAST_OF_EITHER} are needed, {LEAST_OF_EITHER - count} more"
    return None


def tune(labels: Sequence[Label], shipped: Trees, *, refits: bool, kept_share: float = KEPT_SHARE) -> Tuned:
    """Fit. Raises JevonsError where there are too few labels, or where scikit-learn is missing and trees are wanted."""
    if problem := shortfall(labels, refits=refits):
        raise JevonsError(problem)
    probabilities = [shipped.score(label.prompt).probability for label in labels]
    before = estimate(_cases(labels, probabilities))
    artefact: Mapping[str, Any] | None = None
    after = before
    if refits:
        artefact, probabilities = refit(labels, shipped)
        after = estimate(_cases(labels, probabilities))
    points = Ranking(_cases(labels, probabilities)).curve()
    chosen = next(point for point in points if point.accuracy >= kept_share * points[-1].accuracy)
    threshold = _threshold(probabilities, chosen.calls)
    if artefact is not None:
        artefact = {**artefact, "threshold": threshold}
    return Tuned(threshold, artefact, after, before, _front(points), chosen, len(labels))


def refit(labels: Sequence[Label], shipped: Trees) -> tuple[dict[str, Any], list[float]]:
    """Own trees, laid over the shipped score where that helps; and each label's probability by trees that have not seen it."""
    numpy, _ = load_sklearn("sklearn")
    examples = [Example(label.prompt, float(label.is_needed)) for label in labels]
    features = numpy.array([describe(label.prompt) for label in labels])
    targets, weights = numpy.array([one.target for one in examples]), numpy.ones(len(examples))
    own = numpy.array(held_out_raw(features, targets, weights, _SMALL))
    old = numpy.array([shipped.raw(row) for row in features.tolist()])
    share = max((0.0, 0.25, 0.5, 1.0), key=lambda part: _ranks(targets, own + part * old))
    base, trees = grow(features, targets, weights, _SMALL)
    raw = (own + share * old).tolist()
    artefact = fit(examples, _SMALL, threshold=0.5, note={"labels": len(labels), "shipped_share": share})
    artefact["base"] = base + share * shipped.base
    artefact["trees"] = [*trees, *(_scaled(tree, share) for tree in (shipped.trees if share else ()))]
    artefact["calibration"] = calibrate(raw, targets, weights)
    calibrated = as_trees(artefact)
    return artefact, [calibrated.calibrate(value) for value in raw]


def _ranks(targets: Any, raw: Any) -> float:
    """The chance that a needed one ranks above another."""
    rows = [Case(float(score), 1.0 - float(target), 1.0) for target, score in zip(targets, raw, strict=True)]
    return Ranking(rows).figures()["auroc"] or 0.0


def _scaled(node: Any, share: float) -> Any:
    """A tree whose leaves count less, as lists."""
    if isinstance(node, tuple):
        return [node[0], node[1], _scaled(node[2], share), _scaled(node[3], share)]
    return float(f"{node * share:.4g}")


def _cases(labels: Sequence[Label], scores: Sequence[float]) -> list[Case]:
    return [Case(score, label.direct, label.reasoning) for label, score in zip(labels, scores, strict=True)]


def _threshold(scores: Sequence[float], share: float) -> float:
    """The score above which that share of them lies; within what a configuration takes."""
    ordered = sorted(scores, reverse=True)
    at = min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))
    return min(0.99, max(0.01, round(ordered[at], 4)))


def _front(points: Sequence[Point]) -> tuple[Point, ...]:
    """What accuracy each tenth of calls buys."""
    return tuple(min(points, key=lambda point, at=at: abs(point.calls - at / (_FRONT_POINTS - 1))) for at in range(_FRONT_POINTS))  # type: ignore[misc]


def snippet(tuned: Tuned, model: Path | None) -> str:
    """The YAML to put into `policies:`."""
    lines = ["policies:", "  - type: difficulty", f"    threshold: {tuned.threshold:g}"]
    if model is not None:
        lines.append(f"    model: {model.name}")
    return "\n".join(lines) + "\n"


def summary(tuned: Tuned) -> dict[str, Any]:
    """The JSON of `route tune`."""

    def shown(figures: Mapping[str, Estimate | None]) -> dict[str, Any]:
        return {name: None if one is None else one.as_json() for name, one in figures.items()}

    return {
        "labels": tuned.labels,
        "threshold": tuned.threshold,
        "refitted": tuned.artefact is not None,
        "chosen": {"calls": round(tuned.chosen.calls, 4), "accuracy": round(tuned.chosen.accuracy, 4)},
        "held_out": shown(tuned.figures),
        "shipped": shown(tuned.shipped_figures),
        "front": [{"calls": round(point.calls, 3), "accuracy": round(point.accuracy, 4)} for point in tuned.front],
    }
