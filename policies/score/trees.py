"""The walk through boosted trees that were exported as JSON: no dependency, a few dozen microseconds.

The artefact holds thresholds, leaf values and the ranges of features: numbers, and no prompt.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from math import exp
from typing import Any, Final, TypeAlias

from .features import FEATURES, describe

Node: TypeAlias = "tuple[int, float, Node, Node] | float"
"""A question (feature, threshold, where it is at most that, where it is above) or the value of a leaf."""

FORMAT: Final = "jevons-difficulty-1"
_SHIPPED: Final = "difficulty.json"


class ArtefactError(ValueError):
    """A file that is no artefact of this version; the message says why."""


@dataclass(frozen=True, slots=True)
class Score:
    """What is thought of one text."""

    probability: float
    """That reasoning changes a wrong answer into a right one, calibrated on held-out data."""
    strange: tuple[str, ...]
    """The features that lie outside what was trained on."""


@dataclass(frozen=True, slots=True)
class Trees:
    """A trained score. `calibration`: raw values, ascending, and the probability at each, linear in between."""

    base: float
    trees: tuple[Node, ...] = field(repr=False)
    calibration: tuple[tuple[float, ...], tuple[float, ...]]
    ranges: tuple[tuple[float, float], ...] = field(repr=False)
    threshold: float
    """Where the training drew the line between direct and reasoning."""
    note: Mapping[str, object] = field(default_factory=dict)

    def raw(self, features: Sequence[float]) -> float:
        """The sum of the leaves, before calibration."""
        total = self.base
        for tree in self.trees:
            node = tree
            while type(node) is tuple:
                node = node[2] if features[node[0]] <= node[1] else node[3]
            total += node  # type: ignore[operator] # the loop ends at a leaf, which mypy cannot see through `type() is`
        return total

    def score(self, text: str) -> Score:
        """The probability for one text and what is strange about it."""
        features = describe(text)
        strange = tuple(
            name for name, value, (low, high) in zip(FEATURES, features, self.ranges, strict=True) if not low <= value <= high
        )
        return Score(self.calibrate(self.raw(features)), strange)

    def calibrate(self, raw: float) -> float:
        """The probability of a raw value."""
        places, values = self.calibration
        at = bisect_right(places, raw)
        if at == 0:
            return values[0]
        if at == len(places):
            return values[-1]
        left, right = places[at - 1], places[at]
        return values[at - 1] + (values[at] - values[at - 1]) * (raw - left) / (right - left)


def shipped() -> Trees:
    """The score that comes with the package."""
    return read_trees(files(__package__).joinpath(_SHIPPED).read_text(encoding="utf-8"))


def read_trees(text: str) -> Trees:
    """The artefact of a JSON text. Raises ArtefactError, which says what is wrong with it."""
    try:
        return _to_trees(json.loads(text))
    except ArtefactError:
        raise
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ArtefactError(f"not a readable difficulty score: {type(error).__name__}: {error}") from None


def _to_trees(data: Any) -> Trees:
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise ArtefactError(f"not a difficulty score of this version: its `format` must be {FORMAT}")
    if tuple(data["features"]) != FEATURES:
        raise ArtefactError("made for other features: train it again with this version")
    places, values = (tuple(map(float, column)) for column in data["calibration"])
    if not places or len(places) != len(values) or list(places) != sorted(set(places)):
        raise ArtefactError("its calibration must ascend and give a value at each place")
    ranges = tuple((float(low), float(high)) for low, high in data["ranges"])
    if len(ranges) != len(FEATURES):
        raise ArtefactError("it must give a range for each feature")
    return Trees(
        base=float(data["base"]),
        trees=tuple(_to_node(tree) for tree in data["trees"]),
        calibration=(places, values),
        ranges=ranges,
        threshold=float(data["threshold"]),
        note=data.get("note", {}),
    )


def _to_node(node: object) -> Node:
    if isinstance(node, list):
        feature, threshold, low, high = node
        if not 0 <= feature < len(FEATURES):
            raise ArtefactError(f"a tree asks for feature {feature}, and there are {len(FEATURES)}")
        return int(feature), float(threshold), _to_node(low), _to_node(high)
    if not isinstance(node, int | float):
        raise ArtefactError(f"a leaf must be a number, not {type(node).__name__}")
    return float(node)


def logistic(value: float) -> float:
    """From log odds to a probability, whatever their size."""
    return 1 / (1 + exp(-value)) if value >= 0 else exp(value) / (1 + exp(value))
