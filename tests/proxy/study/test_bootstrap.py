"""Intervals: they cover a known truth as often as they say, and refuse where there is too little."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jevons.proxy.study.bootstrap import (
    FEWEST,
    Interval,
    log_ratio_of_rates,
    log_ratio_of_totals,
    mean,
    studentised,
)

STUDIES, PROMPTS, RESAMPLES = 300, 40, 299


def covered(draw, statistic, truth):
    """The share of made-up studies of forty prompts whose interval holds the truth."""
    dice = random.Random(7)
    hits = 0
    for study in range(STUDIES):
        sample = [draw(dice) for _ in range(PROMPTS)]
        found = studentised(sample, statistic, seed=study, resamples=RESAMPLES)
        hits += found.low <= truth <= found.high
    return hits / STUDIES


def test_the_interval_of_a_mean_covers_as_often_as_it_says():
    """Of skewed lengths, 95 % intervals hold the true mean in 95 % of the studies, within what 300 studies can tell."""
    share = covered(lambda dice: math.exp(dice.gauss(0, 0.6)), mean, math.exp(0.18))
    assert 0.92 <= share <= 0.98


def test_the_interval_of_a_ratio_of_totals_covers_as_often_as_it_says():
    """Of paired skewed energies, 95 % intervals hold the true ratio of totals in 95 % of the studies."""

    def draw(dice):
        first = math.exp(dice.gauss(0, 0.6))
        return first, 1.87 * first * math.exp(dice.gauss(0, 0.4) - 0.08)

    share = covered(draw, log_ratio_of_totals, math.log(1.87))
    assert 0.92 <= share <= 0.98


def test_the_interval_of_a_ratio_of_rates_covers_as_often_as_it_says():
    """Of joules per token, which are ratios of totals themselves, 95 % intervals hold the true ratio in 95 % of the studies."""

    def draw(dice):
        tokens, others = math.exp(dice.gauss(5, 0.6)), math.exp(dice.gauss(5.6, 0.6))
        return tokens * math.exp(dice.gauss(0, 0.1)), tokens, 1.2 * others * math.exp(dice.gauss(0, 0.1)), others

    share = covered(draw, log_ratio_of_rates, math.log(1.2))
    assert 0.92 <= share <= 0.98


def test_too_few_units_give_no_interval():
    """Below eight there is an estimate and no interval."""
    few = studentised([1.0, 2.0, 3.0], mean)
    assert (few.value, few.low, few.high) == (2.0, None, None)
    assert studentised([float(one) for one in range(FEWEST)], mean).low is not None


def test_what_does_not_vary_has_no_width():
    """Equal values give an interval that is the value, and rounding of floats is no variation."""
    same = studentised([0.1 + 0.2] * 10, mean)
    assert same.low == same.high == same.value


def test_one_unit_has_an_estimate():
    """A single prompt gives the plain ratios and no error."""
    assert mean([3.0]) == (3.0, 0.0)
    assert log_ratio_of_totals([(1.0, 2.0)]) == (math.log(2), 0.0)
    assert log_ratio_of_rates([(1.0, 1.0, 4.0, 2.0)]) == (math.log(2), 0.0)


def test_the_same_seed_gives_the_same_interval():
    """A report made twice from the same data is the same report."""
    sample = [float(one**2) for one in range(12)]
    assert studentised(sample, mean, seed=3) == studentised(sample, mean, seed=3)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.1, 100), min_size=FEWEST, max_size=30))
def test_the_estimate_lies_in_its_interval(sample):
    """Whatever the data, the interval is in order and not beside the estimate by more than skewness explains."""
    found = studentised(sample, mean, resamples=99)
    assert found.low <= found.high
    assert found.value == pytest.approx(sum(sample) / len(sample))


def test_an_interval_is_mapped_with_its_ends():
    """Through exp each of the three goes; an end that is unknown stays so."""
    assert Interval(0.0, None, None).mapped(math.exp) == Interval(1.0, None, None)
    assert Interval(0.0, -1.0, 1.0).mapped(math.exp) == Interval(1.0, math.exp(-1), math.exp(1))
