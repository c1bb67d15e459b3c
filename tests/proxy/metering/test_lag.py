"""Finding a counter's lag from when its device was busy."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from virtual_gpu import Play, short

from jevons.proxy.exchange import Coefficients
from jevons.proxy.metering.bins import BusyTime
from jevons.proxy.metering.lag import LEAST_EDGES, MOST_SECONDS, LagSearch
from jevons.proxy.metering.ledger import DeviceLedger
from jevons.proxy.metering.meter import Device

IDLE_WATTS, BUSY_WATTS = 80.0, 400.0
COEFFICIENTS = Coefficients(3.16, 0.056, 3.4e-5, 0.0226)


class Load:
    """A device that is busy now and then, and its counter, which trails."""

    def __init__(self, lag, *, declared=0.0, period=0.1, busy_watts=BUSY_WATTS, seed=1):
        self.random = random.Random(seed)
        self.lag, self.period, self.busy_watts = lag, period, busy_watts
        self.busy = BusyTime()
        self.search = LagSearch(declared, self.busy.seconds)
        self.now = self.moved = 100.0

    def run(self, seconds):
        """Answers of half a second or so, with pauses between them."""
        end = self.now + seconds
        while self.now < end:
            until = self.now + self.random.uniform(0.3, 0.9)
            self.busy.begin(self.now)
            self._move(until)
            self.busy.end(until)
            self.now = until + self.random.uniform(0.2, 0.9)
            self._move(self.now)

    def _move(self, until):
        while self.moved + self.period <= until:
            since, self.moved = self.moved, self.moved + self.period
            busy = self.busy.seconds(since - self.lag, self.moved - self.lag)
            joules = IDLE_WATTS * self.period + (self.busy_watts - IDLE_WATTS) * busy
            self.search.see(since, self.moved, joules * self.random.uniform(0.97, 1.03))


@settings(max_examples=8, deadline=None)
@given(st.floats(0.0, 0.15), st.sampled_from([0.02, 0.05, 0.1]), st.integers(0, 100))
def test_the_lag_is_found(lag, period, seed):
    """To within a few milliseconds, whatever it is and however often the counter moves."""
    load = Load(lag, period=period, seed=seed)
    load.run(120.0)
    assert load.search.seconds == pytest.approx(lag, abs=0.012)


def test_a_lag_that_changes_is_followed():
    """A driver that was updated under way, or a board that was replaced."""
    load = Load(0.02)
    load.run(120.0)
    load.lag = 0.1
    load.run(240.0)
    assert load.search.seconds == pytest.approx(0.1, abs=0.012)


@pytest.mark.parametrize(
    ("options", "seconds"),
    [({"busy_watts": IDLE_WATTS}, 120.0), ({"period": 0.4}, 120.0), ({}, 1.0)],
    ids=["load does not show", "moves too seldom", "too early"],
)
def test_what_was_declared_stays_until_something_is_known(options, seconds):
    """Power that does not follow the load, a counter that moves too seldom, or too few beginnings and ends."""
    load = Load(0.1, declared=0.04, **options)
    load.run(seconds)
    assert load.search.seconds == 0.04


@pytest.mark.parametrize("is_busy", [True, False])
def test_load_that_never_changes_says_nothing(is_busy):
    """Always busy, or never."""
    load = Load(0.1)
    if is_busy:
        load.busy.begin(0.0)
    load._move(200.0)
    assert load.search.seconds == 0.0
    assert load.search._edges < LEAST_EDGES


@pytest.mark.parametrize(
    ("device", "is_searched"),
    [
        (Device("gpu", "a card"), True),
        (Device("gpu", "a card", counter_lag_seconds=0.03), False),
        (Device("gpu", "a card", update_seconds=30.0), False),
        (Device("cpu", "a host", scope="cpu"), False),
    ],
)
def test_it_is_looked_for_where_nobody_says(device, is_searched):
    """Not where it is declared, nor of a counter that moves twice a minute, nor of processors, which do other things too."""
    ledger = DeviceLedger(device, 0.25)
    assert (ledger.counter._lag is not None) is is_searched
    assert ledger.counter.lag_seconds == device.counter_lag_seconds


def test_when_it_was_busy_is_known_a_little_longer():
    """As long as the counter may trail."""
    ledger = DeviceLedger(Device("gpu", "a card"), 0.25)
    ledger.busy.begin(10.0)
    ledger.busy.end(10.5)
    ledger.forget(10.5 + MOST_SECONDS / 2)
    assert ledger.busy.seconds(10.0, 11.0) == pytest.approx(0.5)
    ledger.forget(10.5 + 2 * MOST_SECONDS)
    assert ledger.busy.seconds(10.0, 11.0) == 0.0


@pytest.mark.parametrize(("lag", "known"), [(0.08, False), (0.08, True)])
def test_short_requests_are_charged_as_if_it_were_known(lag, known):
    """One at a time with pauses, from the first on: what nobody declared costs next to nothing, and no joule is lost."""
    play = Play(COEFFICIENTS, short(60), 1, counter_lag=lag, known_lag=known, think_seconds=0.5).run()
    errors = sorted(play.errors)
    assert errors[len(errors) // 2] < 0.01
    assert errors[int(0.9 * len(errors))] < 0.06
    [ledger] = play.attribution.devices.values()
    assert ledger.counter.lag_seconds == pytest.approx(lag, abs=0.012)
    held = sum(ledger.accounts.values()) + ledger.counter.open_joules()
    assert held == pytest.approx(ledger.counter.booked_joules, rel=1e-9)
