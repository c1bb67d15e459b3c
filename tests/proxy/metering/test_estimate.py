"""Estimates: their bounds are as wide as the table that they come from is scattered."""

import math

import pytest

from jevons.proxy.exchange import Coefficients, EnergyStatus, Method
from jevons.proxy.metering import coefficients
from jevons.proxy.metering.estimate import HIGH, LOW, can_estimate, estimated


def foretold(row, batch):
    """Measured over foretold energy per token of one row, by the nearest other model on an H100."""
    others = [other for other in coefficients._load_fits() if other.model != row.model and "H100" in other.gpu]
    nearest = min(others, key=lambda other: abs(math.log(other.billions / row.billions)))
    return (row.joules_per_step / batch + row.joules_per_token) / (nearest.joules_per_step / batch + nearest.joules_per_token)


@pytest.mark.parametrize("batch", [1, 8, 32, 128])
def test_the_bounds_hold_nine_of_ten(batch):
    """Each model foretold by the others: nine in ten lie within the bounds, and bounds half as wide would not do."""
    ratios = [foretold(row, batch) for row in coefficients._load_fits()]
    assert sum(LOW <= ratio <= HIGH for ratio in ratios) >= 0.9 * len(ratios)
    assert sum(LOW**0.5 <= ratio <= HIGH**0.5 for ratio in ratios) < 0.9 * len(ratios)


def test_an_estimate_says_so():
    """In its method and among its flags."""
    energy = estimated(100.0, EnergyStatus.FINAL, frozenset({"tokens_estimated"}))
    assert (energy.joules, energy.low, energy.high) == (100.0, 40.0, 250.0)
    assert (energy.method, energy.scope) == (Method.ESTIMATED, "gpu")
    assert energy.quality == ("estimated", "tokens_estimated")


@pytest.mark.parametrize(
    ("model", "given", "can"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", None, True),
        ("gpt-something", None, False),
        ("gpt-something", Coefficients(1.0, 0.1, 0.0, 0.01), True),
    ],
)
def test_of_a_model_of_unknown_size_nothing_is_said(model, given, can):
    """An estimate needs the size in the model's name, or the operator's coefficients."""
    assert can_estimate(model, given) is can
