"""Savings are measured on pairs, or unknown."""

from __future__ import annotations

import random

import pytest

from jevons.proxy.reporting.savings import LEAST_PAIRS, make_savings


def test_without_a_holdout_nobody_knows():
    """No pairs: null, and the reason; so do too few."""
    nothing = make_savings([], 1000, None)
    assert (nothing.joules, nothing.low, nothing.high) == (None, None, None)
    assert "no request has had the other arm run" in nothing.why
    few = make_savings([(1.0, 2.0)] * (LEAST_PAIRS - 1), 1000, 18.0)
    assert few.joules is None
    assert f"{LEAST_PAIRS - 1} requests" in few.why


def test_the_mean_difference_times_the_requests():
    """Pairs that all differ by 90 J: 1,000 requests have saved 90 kJ, without doubt."""
    savings = make_savings([(10.0, 100.0)] * LEAST_PAIRS, 1000, 1000.0)
    assert (savings.joules, savings.low, savings.high) == (90_000.0, 90_000.0, 90_000.0)
    assert (savings.pairs, savings.holdout_joules, savings.why) == (LEAST_PAIRS, 1000.0, None)


def test_a_loss_is_told_as_one():
    """Where the other arm is cheaper the saving is negative."""
    assert make_savings([(100.0, 10.0)] * LEAST_PAIRS, 10, None).joules == -900.0


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """Of many samples with a mean difference of 50 J about 95 in 100 intervals hold it."""
    dice = random.Random(5)
    held = 0
    for _ in range(400):
        savings = make_savings([(10.0, 60.0 + dice.gauss(0, 20)) for _ in range(40)], 1, None)
        held += savings.low <= 50.0 <= savings.high
    assert held / 400 == pytest.approx(0.95, abs=0.03)
