"""Training: what scikit-learn fitted is what is walked."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from routing_rows import many_rows

from jevons.policies.score.features import describe
from jevons.proxy.errors import JevonsError
from jevons.proxy.routing.training import Example, Settings, as_trees, bare_trees, calibrate, fit, grow, load_sklearn

SMALL = Settings(trees=10, leaves=4, leaf_examples=5)
EXAMPLES = [Example(one["prompt"], 1.0 - one["models"]["small"]["correct"]) for one in many_rows(120)]


def columns():
    targets = np.array([one.target for one in EXAMPLES])
    return np.array([describe(one.text) for one in EXAMPLES]), targets, np.ones(len(targets))


def test_the_walk_gives_what_was_fitted():
    """The exported trees separate the labels that they were grown on."""
    features, targets, weights = columns()
    walker = bare_trees(*grow(features, targets, weights, SMALL))
    raw = np.array([walker.raw(row) for row in features.tolist()])
    assert raw[targets == 1].mean() > raw[targets == 0].mean() + 0.3


def test_training_is_reproducible():
    """The same examples and seed give the same artefact, byte for byte."""
    first, second = (json.dumps(fit(EXAMPLES, SMALL, threshold=0.4)) for _ in range(2))
    assert first == second


def test_the_artefact_is_one_that_can_be_walked():
    """What is fitted is read again, with a calibration that rises."""
    trees = as_trees(fit(EXAMPLES, SMALL, threshold=0.4, note={"labels": 3}))
    assert (trees.threshold, trees.note) == (0.4, {"labels": 3})
    assert list(trees.calibration[1]) == sorted(trees.calibration[1])
    assert all(0 < value < 1 for value in trees.calibration[1])


def test_probabilities_are_calibrated():
    """Where half of the labels are ones, the probability is near a half."""
    raw = [number / 400 for number in range(400)]
    targets = np.array([float(number % 2) for number in range(400)])
    _, values = calibrate(raw, targets, np.ones(400))
    assert values[len(values) // 2] == pytest.approx(0.5, abs=0.05)


def test_what_is_missing_is_said(monkeypatch):
    """Without scikit-learn the message says what to install."""
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(JevonsError, match=r"jevons\[tune\]"):
        load_sklearn("sklearn")
