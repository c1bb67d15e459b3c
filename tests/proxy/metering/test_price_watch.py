"""The price watch: patient with a model that is off, firm with a price that leaps and stays."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.metering.price_watch import LEARNED_SECONDS, SUSTAINED_SECONDS, PriceWatch

BIN = 0.25


def run(watch, seconds, price, *, work=100.0):
    """So much busy time at a price; returns the energy and the excess of each bin."""
    return [(price * work, watch.excess(price * work, work, BIN)) for _ in range(round(seconds / BIN))]


def learned(price=1.2):
    """A watch that knows the usual price."""
    watch = PriceWatch()
    run(watch, 2 * LEARNED_SECONDS, price)
    return watch


@pytest.mark.parametrize("usual", [0.02, 1.2, 40.0])
def test_a_price_that_doubles_and_stays(usual):
    """After ten seconds or so what exceeds the average is nobody's; an average is relative, so its scale does not matter."""
    watch = learned(usual)
    bins = run(watch, 30.0, 2 * usual)
    assert not any(excess for _, excess in bins[: round(SUSTAINED_SECONDS / BIN)])
    assert watch.is_suspicious
    assert bins[-1][1] == pytest.approx(bins[-1][0] / 2, rel=0.1)


def test_a_price_that_returns_is_believed_at_once():
    """When the others have gone nothing is withheld any more."""
    watch = learned()
    run(watch, 60.0, 3.0)
    bins = run(watch, 60.0, 1.2)
    assert not watch.is_suspicious
    assert bins[-1][1] == 0.0


@pytest.mark.parametrize("price", [0.3, 1.0, 1.5, 1.7])
def test_what_a_model_may_be_off_by(price):
    """A price within 1.5 times its average, or below it, stays as it is for as long as it likes."""
    assert not any(excess for _, excess in run(learned(), 600.0, price))


def test_a_short_leap_is_nothing():
    """A few bins of a high price, again and again, are not sustained."""
    watch = learned()
    for _ in range(20):
        assert not any(excess for _, excess in run(watch, 2.0, 4.0))
        run(watch, 20.0, 1.2)


def test_nothing_is_said_before_the_usual_is_known():
    """In the first minute of work any price is as good as any other."""
    watch = PriceWatch()
    assert not any(excess for _, excess in run(watch, LEARNED_SECONDS / 2, 1.0) + run(watch, LEARNED_SECONDS / 2, 5.0))


def test_an_engine_that_has_changed_is_believed_in_the_end():
    """A price that stays for hours is the new usual."""
    watch = learned()
    run(watch, 2 * 3600.0, 2.4)
    assert not watch.is_suspicious


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 0.25)), max_size=400))
def test_the_excess_is_a_part_of_the_energy(bins):
    """Whatever happens, it is neither negative nor more than there was."""
    watch = PriceWatch()
    for joules, predicted, seconds in bins:
        assert 0.0 <= watch.excess(joules, predicted, seconds) <= joules
