"""Tests of what a bin's energy says of uncounted work."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.metering.account import Account
from jevons.proxy.metering.evidence import ExpectedPrice, Unsure


def expected(price=2.0):
    """A device on which work has always cost the same."""
    known = ExpectedPrice()
    for _ in range(200):
        known.learn(100.0 * price, 100.0)
    return known


def test_before_a_price_is_known_nothing_is_explained():
    """The first bins are divided as they are."""
    assert ExpectedPrice().explain(500.0, 100.0, 50.0, 1.0) == 0.0


def test_a_bin_at_the_usual_price_needs_no_explanation():
    """Work that costs what it always costs was estimated right."""
    assert expected().explain(200.0, 100.0, 100.0, 10.0) == pytest.approx(0.0)


@pytest.mark.parametrize(("joules", "sign"), [(260.0, 1), (140.0, -1)])
def test_the_uncounted_work_bears_the_difference(joules, sign):
    """A dear bin had more work than was thought, a cheap one less; at most by the whole difference."""
    due = expected().explain(joules, 100.0, 400.0, 20.0)
    assert 0 < sign * due <= abs(joules - 200.0)


def test_without_uncounted_work_nobody_bears_it():
    """What is counted is paid at the bin's own price."""
    assert expected().explain(260.0, 100.0, 0.0, 0.0) == 0.0


@given(st.floats(0.1, 1e4), st.floats(0.1, 1e4), st.floats(1e-6, 1e6), st.floats(0.01, 1.0))
def test_nobody_is_left_with_less_than_nothing(joules, predicted, variance, share):
    """However wild the figures, the others keep a part of the bin's energy, and the unsure keep theirs."""
    steepest = variance / (share * predicted)
    due = expected().explain(joules, predicted, variance, steepest)
    assert due < joules
    assert share * predicted * min(2.0, joules / predicted) + due >= -1e-9 * joules


def test_the_least_sure_weighs_the_most():
    """Variances add up; the steepest is the largest per predicted joule."""
    unsure = Unsure()
    rough, exact = Account(0.25, 0.0, 1), Account(0.25, 0.0, 1)
    rough.prompt_doubt, exact.prompt_doubt = 0.5, 0.0
    unsure.enter(rough, 10.0)
    unsure.enter(exact, 10.0)
    assert unsure.entries == [(rough, 25.0)]
    assert (unsure.variance, unsure.steepest) == (25.0, 2.5)
