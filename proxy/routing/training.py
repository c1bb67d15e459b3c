"""Fits the difficulty score: boosted trees on the features of labelled prompts, calibrated, exported as numbers.

scikit-learn only trains; what it fitted is walked in pure Python. It is imported when it is needed, so that the proxy runs
without it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from jevons.policies.score.features import FEATURES, describe
from jevons.policies.score.trees import FORMAT, Trees, logistic, read_trees

from ..errors import JevonsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MISSING: Final = "this needs scikit-learn: pip install 'jevons[tune]'"
_FOLDS: Final = 3
_KNOTS: Final = 25
_RANGE_SHARE: Final = 0.0005
"""Of the training data, how much may lie beyond a feature's range on either side."""


@dataclass(frozen=True, slots=True)
class Example:
    """One prompt with what is known of it. `target`: the probability that reasoning was needed, 0 to 1."""

    text: str
    target: float
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How the trees are grown; chosen on the development split."""

    trees: int = 200
    leaves: int = 16
    learning_rate: float = 0.06
    leaf_examples: int = 30
    seed: int = 20_260_101


def fit(
    examples: Sequence[Example], settings: Settings, *, threshold: float, note: Mapping[str, object] | None = None
) -> dict[str, Any]:
    """The artefact, ready to be written as JSON. Raises JevonsError where scikit-learn is missing."""
    features = _matrix(examples)
    targets, weights = _columns(examples)
    base, trees = grow(features, targets, weights, settings)
    held_out = held_out_raw(features, targets, weights, settings)
    return {
        "format": FORMAT,
        "features": list(FEATURES),
        "threshold": threshold,
        "base": _short(base),
        "calibration": calibrate(held_out, targets, weights),
        "ranges": _ranges(features),
        "note": dict(note or {}),
        "trees": trees,
    }


def as_trees(artefact: Mapping[str, Any]) -> Trees:
    """The artefact as the proxy walks it."""
    return read_trees(json.dumps(artefact))


def grow(features: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any], settings: Settings) -> tuple[float, list[Any]]:
    """The base value and the trees, as nested lists. A target between 0 and 1 counts as that much of both labels."""
    numpy, ensemble = load_sklearn("sklearn.ensemble")
    model = ensemble.HistGradientBoostingClassifier(
        max_iter=settings.trees,
        learning_rate=settings.learning_rate,
        max_leaf_nodes=settings.leaves,
        l2_regularization=5,
        min_samples_leaf=settings.leaf_examples,
        max_features=0.5,
        early_stopping=False,
        random_state=settings.seed,
    )
    ones, zeros = numpy.ones(len(targets)), numpy.zeros(len(targets))
    model.fit(
        numpy.concatenate([features, features]),
        numpy.concatenate([ones, zeros]),
        sample_weight=numpy.concatenate([targets * weights, (1 - targets) * weights]),
    )
    base = float(numpy.ravel(model._baseline_prediction)[0])  # noqa: SLF001 - there is no public way to the fitted trees
    return base, [_export(stage[0].nodes, 0) for stage in model._predictors]  # noqa: SLF001 - likewise


def held_out_raw(features: NDArray[Any], targets: NDArray[Any], weights: NDArray[Any], settings: Settings) -> list[float]:
    """The raw value of each example by trees that have not seen it."""
    order = list(range(len(targets)))
    random.Random(settings.seed).shuffle(order)  # noqa: S311 - dice for folds, not for secrets
    raw = [0.0] * len(order)
    for fold in range(_FOLDS):
        outside = order[fold::_FOLDS]
        taken = set(outside)
        inside = [index for index in order if index not in taken]
        base, trees = grow(features[inside], targets[inside], weights[inside], settings)
        walker = bare_trees(base, trees)
        for index in outside:
            raw[index] = walker.raw(features[index].tolist())
    return raw


def bare_trees(base: float, trees: Sequence[Any]) -> Trees:
    """Trees without calibration, for their raw value."""
    wide = [[float("-inf"), float("inf")]] * len(FEATURES)
    empty = {"format": FORMAT, "features": list(FEATURES), "threshold": 0.5, "calibration": [[0.0], [0.5]]}
    return read_trees(json.dumps({**empty, "base": base, "ranges": wide, "trees": list(trees)}))


def calibrate(raw: Sequence[float], targets: NDArray[Any], weights: NDArray[Any]) -> list[list[float]]:
    """Raw values and probabilities by isotonic regression, thinned to a few dozen places and drawn a little to the logistic."""
    numpy, isotonic = load_sklearn("sklearn.isotonic")
    model = isotonic.IsotonicRegression(y_min=0.005, y_max=0.995, out_of_bounds="clip")
    model.fit(raw, targets, sample_weight=weights)
    places = sorted({_short(place) for place in numpy.quantile(raw, numpy.linspace(0.002, 0.998, _KNOTS))})
    fitted = model.predict(places)
    values = [round(0.98 * float(value) + 0.02 * logistic(place), 4) for place, value in zip(places, fitted, strict=True)]
    return [list(places), values]


def _matrix(examples: Sequence[Example]) -> NDArray[Any]:
    numpy, _ = load_sklearn("sklearn")
    matrix: NDArray[Any] = numpy.array([describe(example.text) for example in examples])
    return matrix


def _columns(examples: Sequence[Example]) -> tuple[NDArray[Any], NDArray[Any]]:
    numpy, _ = load_sklearn("sklearn")
    return numpy.array([one.target for one in examples]), numpy.array([one.weight for one in examples])


def _export(nodes: Any, index: int) -> Any:
    node = nodes[index]
    if node["is_leaf"]:
        return _short(float(node["value"]))
    children = [_export(nodes, int(node[side])) for side in ("left", "right")]
    return [int(node["feature_idx"]), _short(float(node["num_threshold"])), *children]


def _short(value: float) -> float:
    """Four significant digits: the artefact is read by every start, and more would not be known."""
    return float(f"{value:.4g}")


def _ranges(features: NDArray[Any]) -> list[list[float]]:
    numpy, _ = load_sklearn("sklearn")
    low, high = numpy.quantile(features, [_RANGE_SHARE, 1 - _RANGE_SHARE], axis=0)
    return [[float(f"{a:.5g}"), float(f"{b:.5g}")] for a, b in zip(low, high, strict=True)]


def load_sklearn(name: str) -> tuple[Any, Any]:
    """The numeric library and a module of scikit-learn. Raises JevonsError, which says what to install."""
    try:
        return import_module("numpy"), import_module(name)
    except ImportError:
        raise JevonsError(MISSING) from None
