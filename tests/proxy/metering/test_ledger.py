"""Tests of one device's book."""

import pytest

from jevons.proxy.metering.counter import BinEnergy
from jevons.proxy.metering.ledger import ACCOUNTS, DeviceLedger
from jevons.proxy.metering.meter import Device

WIDTH = 0.25


def make_ledger():
    """An empty book."""
    return DeviceLedger(Device("gpu", "a card"), WIDTH)


def teach_idle(ledger, watts=80.0, bins=20):
    """Bins with nobody in flight at this power."""
    for _ in range(bins):
        ledger.learn_idle(BinEnergy(watts * WIDTH), 0.0, is_known=True)


def test_there_are_four_accounts():
    """All of them from the start, at nothing."""
    assert make_ledger().accounts == dict.fromkeys(ACCOUNTS, 0.0)


def test_an_idle_bin_is_idle_to_the_last_joule():
    """Whatever it drew."""
    assert make_ledger().idle_joules(33.0, 0.0) == 33.0


def test_until_the_idle_power_is_known_a_bin_is_divided_pro_rata():
    """Half a bin idle is half of its energy."""
    assert make_ledger().idle_joules(100.0, WIDTH / 2) == pytest.approx(50.0)


def test_once_it_is_known_the_idle_time_draws_it():
    """The rest belongs to whoever was in flight; who draws less than idle power all the same has its share of the time."""
    ledger = make_ledger()
    teach_idle(ledger)
    assert ledger.idle_watts == pytest.approx(80.0)
    assert ledger.idle_joules(100.0, WIDTH / 2) == pytest.approx(80.0 * WIDTH / 2)
    assert ledger.idle_joules(1.0, WIDTH / 2) == 0.5


def test_the_idle_power_is_learned_after_two_seconds():
    """Bins right behind a request may still be cooling down."""
    ledger = make_ledger()
    teach_idle(ledger, bins=8)
    assert ledger.idle_watts is None


@pytest.mark.parametrize(("flags", "is_known"), [({"interpolated"}, True), (set(), False)])
def test_nothing_is_learned_from_a_bin_that_is_not_clean(flags, is_known):
    """Interpolated or unknown energy says nothing of the idle power."""
    ledger = make_ledger()
    for _ in range(30):
        ledger.learn_idle(BinEnergy(20.0, flags=set(flags)), 0.0, is_known=is_known)
    assert ledger.idle_watts is None


def test_before_the_idle_power_is_known_the_least_idle_bin_stands_in():
    """Bins that were measured from their beginning, with nobody in flight: a card that still cools down is above it."""
    ledger = make_ledger()
    for watts in (10.0, 150.0, 90.0, 120.0):  # of the first bin the beginning was not measured
        ledger.learn_idle(BinEnergy(watts * WIDTH), 0.0, is_known=True)
    assert (ledger.idle_watts, ledger.resting_watts) == (None, 90.0)
    assert ledger.idle_joules(100.0, WIDTH / 2) == pytest.approx(90.0 * WIDTH / 2)
    teach_idle(ledger)
    assert ledger.resting_watts == ledger.idle_watts == pytest.approx(80.0)


@pytest.mark.parametrize(("flags", "busy", "is_known"), [({"reset"}, 0.0, True), (set(), 0.1, True), (set(), 0.0, False)])
def test_a_bin_that_is_not_idle_and_whole_stands_in_for_nothing(flags, busy, is_known):
    """Flagged, busy for a part, or not measured."""
    ledger = make_ledger()
    for _ in range(5):
        ledger.learn_idle(BinEnergy(20.0, flags=set(flags)), busy, is_known=is_known)
    assert ledger.resting_watts is None
