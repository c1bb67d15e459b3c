"""Tests of `jevons calibrate` in virtual time."""

import random
from dataclasses import astuple

import pytest

from jevons.proxy.bench.attribution.calibrated import calibrate_virtually
from jevons.proxy.bench.attribution.sensor import SensorPlan
from jevons.proxy.calibration.calibrate import Options
from jevons.proxy.calibration.solving import LAW_ERROR
from jevons.proxy.errors import JevonsError
from jevons.proxy.exchange import Coefficients
from jevons.proxy.simulation.physics import LLAMA_3_1_8B

START = Coefficients(5.0, 0.03, 5e-5, 0.03)


def calibrated(**options):
    dice = random.Random(1)
    return calibrate_virtually(LLAMA_3_1_8B, START, dice=dice, step_noise=0.02, sensor=SensorPlan(), **options)


def test_the_truth_is_found_from_a_wrong_start():
    """Every term is told apart and within three of its standard errors, by a counter that moves ten times a second."""
    found = calibrated()
    assert found.r_squared > 0.99
    for term, truth in zip(found.terms, astuple(LLAMA_3_1_8B.energy), strict=True):
        assert term.joules == pytest.approx(truth, rel=0.1)
        assert abs(term.joules - truth) <= 3.0 * term.error


def test_it_says_how_sure_it_is():
    """No surer than the law is exact, and far surer than the table."""
    assert all(LAW_ERROR < doubt < 0.1 for doubt in calibrated().doubts)


def test_too_short_a_load_is_refused():
    """As the command does."""
    with pytest.raises(JevonsError, match="too short"):
        calibrated(options=Options(seconds=5.0))
