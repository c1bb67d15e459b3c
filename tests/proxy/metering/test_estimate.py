"""Estimates: their bounds are as wide as the table that they come from is scattered."""

import pytest
from table_laws import fixed, foretell, token

from jevons.proxy.exchange import Coefficients, EnergyStatus, Method
from jevons.proxy.metering.coefficients import load_fits
from jevons.proxy.metering.estimate import HIGH, LOW, can_estimate, estimated


def foretold(row, batch):
    """Measured over foretold energy per token of one row, by the laws through all other models."""
    context = row.joules_per_token - row.token_joules
    return (row.joules_per_step / batch + row.joules_per_token) / (foretell(row, fixed) / batch + foretell(row, token) + context)


@pytest.mark.parametrize("batch", [1, 8, 32, 128])
def test_the_bounds_hold_nine_of_ten(batch):
    """Each model foretold by the others: nine in ten lie within the bounds, and bounds half as wide would not do."""
    ratios = [foretold(row, batch) for row in load_fits()]
    assert sum(LOW <= ratio <= HIGH for ratio in ratios) >= 0.9 * len(ratios)
    assert sum(LOW**0.5 <= ratio <= HIGH**0.5 for ratio in ratios) < 0.9 * len(ratios)


def test_an_estimate_says_so():
    """In its method and among its flags."""
    energy = estimated(100.0, EnergyStatus.FINAL, frozenset({"tokens_estimated"}))
    assert (energy.joules, energy.low, energy.high) == (100.0, pytest.approx(45.0), pytest.approx(275.0))
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
