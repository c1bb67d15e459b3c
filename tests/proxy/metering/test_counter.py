"""One device's counter: every change is booked once and whole, and what no reading vouches for is set apart."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.metering.counter import GAP_SECONDS, DeviceCounter
from jevons.proxy.metering.meter import Device, Sample

WIDTH = 0.25
GPU = Device("gpu", "a card", power_limit_watts=700.0)


def make_counter(**options):
    return DeviceCounter(Device("gpu", "a card", **{"power_limit_watts": 700.0, **options}), bin_seconds=WIDTH)


def feed(counter, *readings, oldest_open=0):
    """Readings of (time, joules, watts)."""
    for at, joules, watts in readings:
        counter.add(Sample("gpu", at, joules, watts), oldest_open=oldest_open)


def booked(counter):
    """All bins: (joules, unresolved joules), with the flags of any."""
    joules = sum(energy.joules for energy in counter._bins.values())
    unresolved = sum(energy.unresolved_joules for energy in counter._bins.values())
    return joules, unresolved, set().union(*(energy.flags for energy in counter._bins.values()))


def test_the_first_reading_is_an_origin():
    """What a device has consumed before it was first read is nobody's; from then on it is up."""
    counter = make_counter()
    assert (counter.is_up, counter.problem, counter.raw_joules) == (False, "no reading yet", None)
    assert counter.covers(1e9, 0.0)
    feed(counter, (10.0, 5e6, 300.0))
    assert counter.is_up
    assert (counter.raw_joules, counter.watts, counter.open_joules()) == (5e6, 300.0, 0)
    assert counter.is_known(10.0)
    assert not counter.is_known(10.1)
    assert counter.known_since == 10.0


def test_a_change_is_spread_over_the_time_it_took():
    """100 J in half a second are 50 J in each of its bins."""
    counter = make_counter()
    feed(counter, (10.0, 1000.0, None), (10.5, 1100.0, None))
    assert [counter.take(index).joules for index in (40, 41, 42)] == pytest.approx([50.0, 50.0, 0.0])
    assert counter.is_known(10.5)
    assert counter.open_joules() == 0


def test_a_counter_that_trails_is_shifted_back():
    """A lag of 50 ms moves the energy 50 ms back, and what is covered with it."""
    counter = make_counter(counter_lag_seconds=0.05)
    feed(counter, (10.05, 1000.0, None), (10.3, 1100.0, None))
    assert counter.peek(40) == pytest.approx(100.0)
    assert counter.is_known(10.25)
    assert not counter.is_known(10.26)


def test_a_counter_that_has_not_moved_says_nothing_yet():
    """Between two steps of the counter nothing is booked, and the step lies between the reading before and after it."""
    counter = make_counter()
    feed(counter, (10.0, 1000.0, None), (10.0625, 1000.0, None), (10.125, 1050.0, None))
    assert counter.covered_until == pytest.approx(10.09375)
    assert counter.open_joules() == pytest.approx(50.0)


def test_a_move_found_after_a_long_pause_is_recent():
    """A counter that moves all the time was last seen unmoved long ago: the move that is found is no older than half a step."""
    counter = make_counter()
    feed(counter, (10.0, 1000.0, None), (10.0625, 1000.0, None), (13.0, 1500.0, None))
    assert counter.covered_until == pytest.approx(12.95)


@given(st.lists(st.tuples(st.floats(0.01, 9.0), st.floats(1.0, 700.0)), max_size=30))
def test_every_joule_is_in_a_bin(steps):
    """Whatever the pauses and powers, the bins sum to what the counter moved."""
    counter = make_counter(counter_lag_seconds=0.03)
    at, joules = 10.0, 1e6
    feed(counter, (at, joules, None))
    for pause, watts in steps:
        at, joules = at + pause, joules + watts * pause
        feed(counter, (at, joules, None))
    assert counter.open_joules() == pytest.approx(joules - 1e6, rel=1e-9, abs=1e-6)
    assert booked(counter)[1] == 0


def test_a_reading_out_of_order_changes_nothing():
    """A reading that is older than the last, or as old, is not booked, neither by the counter nor by power."""
    counter = make_counter()
    feed(counter, (10.0, 1000.0, 100.0), (10.2, 1020.0, 100.0), (10.1, 1010.0, 900.0), (10.2, 1025.0, 900.0))
    assert counter.open_joules() == pytest.approx(20.0)
    feed(counter, (10.3, 1030.0, 100.0))
    assert counter.open_joules() == pytest.approx(30.0)
    assert counter._power.joules == pytest.approx(30.0)


def test_a_failed_reading_is_a_gap_with_a_reason():
    """The device is down while it fails, and what it consumed meanwhile is booked when it is back."""
    counter = make_counter()
    feed(counter, (10.0, 1000.0, 200.0))
    counter.add(Sample("gpu", 10.5, problem="GPU is lost"), oldest_open=0)
    assert (counter.is_up, counter.problem, counter.watts) == (False, "GPU is lost", None)
    feed(counter, (13.0, 1600.0, 200.0))
    assert counter.is_up
    assert booked(counter) == (pytest.approx(600.0), 0, {"interpolated"})


@pytest.mark.parametrize(
    ("sample", "problem"),
    [
        (Sample("gpu", 11.0), "neither counter nor power"),
        (Sample("gpu", 11.0, math.nan, 5.0), "no number: nan J, 5.0 W"),
        (Sample("gpu", 11.0, 1000.0, math.inf), "no number: 1000.0 J, inf W"),
    ],
)
def test_a_reading_without_figures_is_none(sample, problem):
    """A sample that holds nothing, or no number, is a failed reading."""
    counter = make_counter()
    counter.add(sample, oldest_open=0)
    assert counter.problem == problem
    assert counter.open_joules() == 0


def test_a_reading_that_lacks_the_counter_is_not_taken_for_one():
    """A device that has a counter does not change over to its power when one reading fails."""
    counter = make_counter()
    feed(counter, (10.0, 1e6, 200.0), (10.5, None, 200.0))
    assert counter.problem == "the energy counter gave no reading"
    feed(counter, (11.0, 1e6 + 200.0, 200.0))
    assert counter.is_up
    assert booked(counter) == (pytest.approx(200.0), 0, set())


def test_without_a_counter_power_is_integrated():
    """Two readings of power make a trapezium; one of 0 W is a reading as well."""
    counter = make_counter()
    feed(counter, (10.0, None, 100.0), (10.25, None, 300.0), (10.5, None, 0.0), (10.75, None, 0.0))
    assert [counter.peek(index) for index in (40, 41, 42)] == pytest.approx([50.0, 37.5, 0.0])
    assert counter.is_known(10.75)
    assert counter.raw_joules == pytest.approx(87.5)
    assert counter.cross_check.ratio is None


def test_a_counter_that_turns_up_later_takes_over():
    """Power until then, the counter from then on: nothing is booked twice."""
    counter = make_counter()
    feed(counter, (10.0, None, 100.0), (10.5, None, 100.0), (11.0, 7e6, 100.0), (11.5, 7e6 + 60.0, 100.0))
    assert counter.open_joules() == pytest.approx(50.0 + 50.0 + 60.0)
    assert booked(counter)[2] == set()


def test_more_than_ten_seconds_are_unresolved():
    """The energy of a long gap is nobody's, and no bin within it can be known, settled or not."""
    counter = make_counter()
    feed(counter, (10.0, 1000.0, None), (20.5, 3000.0, None))
    assert booked(counter) == (0, pytest.approx(2000.0), {"gap"})
    assert all("gap" in counter.take(index).flags for index in range(40, 82))


def test_a_gap_ends_the_wait():
    """After ten seconds without a move nobody waits for the device any longer."""
    counter = make_counter()
    feed(counter, (10.0, 1000.0, None))
    assert not counter.covers(10.25, 10.0 + GAP_SECONDS)
    assert counter.covers(10.25, 10.01 + GAP_SECONDS)


def test_energy_of_bins_that_were_given_up_is_unresolved():
    """A reading that was on its way when its bins were settled cannot charge those who came after."""
    counter = make_counter()
    feed(counter, (10.0, 1000.0, None))
    feed(counter, (19.5, 2900.0, None), oldest_open=76)
    energy = counter.take(76)
    assert energy.unresolved_joules == pytest.approx(1800.0)
    assert energy.joules == pytest.approx(50.0)
    assert "gap" not in energy.flags


def test_a_counter_that_stands_still_is_said_to():
    """Readings that succeed and never move are a fault after ten seconds, and what comes then is unresolved."""
    counter = make_counter()
    feed(counter, *((10.0 + second, 1000.0, 90.0) for second in range(11)))
    assert counter.is_up
    feed(counter, (20.5, 1000.0, 90.0))
    assert counter.problem == "the energy counter has stood still for 10 s"
    assert counter.watts == 90.0
    feed(counter, (21.0, 1990.0, 90.0))
    assert counter.is_up
    assert booked(counter)[:2] == (0, pytest.approx(990.0))


@pytest.mark.parametrize("after", [5.0, 1e9], ids=["backward", "leap"])
def test_a_reset_is_replaced_by_the_power_held(after):
    """A counter that went backward or leapt is not believed: the power readings over that time are."""
    counter = make_counter()
    feed(counter, (10.0, 1000.0, 200.0), (10.5, 1100.0, 200.0), (11.0, after, 300.0), (11.5, after + 150.0, 300.0))
    assert booked(counter) == (pytest.approx(100.0 + 125.0 + 150.0), 0, {"reset"})
    assert counter.raw_joules == after + 150.0


def test_a_reset_without_power_readings_holds_the_last_mean():
    """Where there is no power reading the counter's own last move says what the power was."""
    counter = make_counter()
    feed(counter, (10.0, 1000.0, None), (10.5, 1100.0, None), (11.0, 5.0, None), (11.5, 105.0, None))
    assert booked(counter) == (pytest.approx(300.0), 0, {"reset"})


def test_power_that_was_missing_for_a_while_is_not_held():
    """Power readings with a hole in them are not taken for the whole time."""
    counter = make_counter()
    feed(counter, (10.0, 1000.0, 200.0), (10.5, 1100.0, None), (10.75, 5.0, 200.0))
    assert booked(counter)[0] == pytest.approx(100.0 + 50.0)


def test_a_reset_with_nothing_to_hold_is_unknown():
    """The very second reading went backward and nothing else is known: those bins are a gap, not free of charge."""
    counter = make_counter()
    feed(counter, (10.0, 1000.0, None), (10.25, 5.0, None), (10.5, 55.0, None))
    assert booked(counter) == (pytest.approx(50.0), 0, {"gap", "reset"})


def test_a_step_may_come_early():
    """One whole step of the counter that falls between two close readings is no leap."""
    counter = make_counter()
    feed(counter, (10.0, 1000.0, None), (10.01, 1070.0, None))
    assert booked(counter) == (pytest.approx(70.0), 0, set())


def test_without_a_limit_nothing_is_a_leap():
    """Where the power limit is unknown any rise is believed."""
    counter = make_counter(power_limit_watts=None)
    feed(counter, (10.0, 1000.0, None), (10.5, 1e9, None))
    assert booked(counter)[2] == set()


def test_a_slow_counter_has_its_own_gap():
    """A counter that is known to move every 30 s has no gap before that, and is not called interpolated for it."""
    counter = make_counter(update_seconds=30.0)
    feed(counter, (10.0, 1000.0, None), (40.5, 4000.0, None))
    assert booked(counter) == (pytest.approx(3000.0), 0, set())
    assert not counter.covers(41.0, 80.0)
    assert counter.covers(41.0, 86.0)


def test_the_cross_check_compares_counter_and_power():
    """A counter that runs at half the power shows as 0.5 after ten seconds, over the last minute only."""
    counter = make_counter()
    for second in range(10):
        feed(counter, (10.0 + second, 1000.0 + 50.0 * second, 100.0))
    assert counter.cross_check.ratio is None
    for second in range(10, 30):
        feed(counter, (10.0 + second, 1000.0 + 50.0 * second, 100.0))
    assert counter.cross_check.ratio == pytest.approx(0.5)
    for second in range(30, 95):
        feed(counter, (10.0 + second, 100.0 * second, 100.0))
    assert counter.cross_check.ratio == pytest.approx(1.0)


def test_the_cross_check_leaves_out_what_power_does_not_cover():
    """A stretch without power readings is in neither sum."""
    counter = make_counter()
    for second in range(40):
        feed(counter, (10.0 + second, 100.0 * second, None if 10 < second < 20 else 100.0))
    assert counter.cross_check.ratio == pytest.approx(1.0)


def test_energy_can_be_divided_by_who_was_there():
    """Another division than the even one is kept to."""
    counter = DeviceCounter(GPU, bin_seconds=WIDTH, divide=lambda *_: [(40, 0.9), (41, 0.1)])
    feed(counter, (10.0, 1000.0, None), (10.5, 1100.0, None))
    assert [counter.peek(index) for index in (40, 41)] == pytest.approx([90.0, 10.0])


def test_edges_are_exact_where_the_cadence_is_known():
    """A counter that moves every 100 ms and is read twice as often; at first the readings are all there is."""
    counter = make_counter()
    assert (counter.edge_seconds, counter.placing_seconds) == (0.015, 0.015)
    for step in range(400):
        at = 1000.0 + 0.05 * step
        counter.add(Sample("gpu", at, 30.0 * (at // 0.1)), oldest_open=0)
    assert (counter.edge_seconds, counter.placing_seconds) == (0.0, 0.003)


def test_missing_readings_cut_bins_less_exactly():
    """Where every move is found a third of a second late, at most, its place in that time is a tenth of a second in doubt."""
    counter = make_counter()
    source = random.Random(1)
    for step in range(300):
        at = 1000.0 + step / 3.0
        counter.add(Sample("gpu", at, 30.0 * step + source.random()), oldest_open=0)
    assert counter.edge_seconds == counter.placing_seconds == pytest.approx(1.0 / 3.0 / 12.0**0.5, rel=0.05)
