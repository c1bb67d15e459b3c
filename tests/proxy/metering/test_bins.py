"""Bins: whatever is spread over time is spread whole."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.metering.bins import BinnedIntegral, BusyTime, spread

WIDTH = 0.25
times = st.floats(0.0, 1e6)
lengths = st.floats(0.0, 100.0)


@given(times, lengths, st.sampled_from([0.25, 0.1, 1.0]))
def test_the_shares_sum_to_one(begin, length, width):
    """A stretch of time is divided whole, over consecutive bins, by the time it has in each."""
    end = begin + length
    parts = list(spread(begin, end, width))
    assert [index for index, _ in parts] == list(range(parts[0][0], parts[-1][0] + 1))
    assert sum(share for _, share in parts) == pytest.approx(1.0, abs=1e-9)
    assert all(share >= 0 for _, share in parts)
    for index, share in parts:
        inside = max(0.0, min(end, (index + 1) * width) - max(begin, index * width))
        assert share * length == pytest.approx(inside if len(parts) > 1 else length, abs=1e-6)


def test_an_instant_falls_into_one_bin():
    """What takes no time, or seems to end before it begins, belongs where it ends."""
    assert list(spread(1.0, 1.0, WIDTH)) == [(4, 1.0)]
    assert list(spread(1.3, 1.1, WIDTH)) == [(4, 1.0)]


def test_an_end_on_an_edge_gives_the_next_bin_nothing():
    """A bin holds its beginning and not its end."""
    assert list(spread(0.75, 1.0, WIDTH)) == [(3, 1.0), (4, 0.0)]


@given(st.lists(st.tuples(st.floats(0.0, 2.0), st.floats(0.0, 5.0)), min_size=1, max_size=20))
def test_an_integral_is_kept_by_bin(changes):
    """The bins of a value that changes now and then sum to its integral, and each is forgotten when it is taken."""
    integral = BinnedIntegral(WIDTH, 3.0)
    now, value, expected = 10.0, 3.0, 0.0
    integral.change(now, value)
    for pause, new in changes:
        expected += value * pause
        now, value = now + pause, new
        integral.change(now, value)
    last = int(now // WIDTH)
    expected += value * ((last + 1) * WIDTH - now)
    assert sum(integral.take(index) for index in range(40, last + 1)) == pytest.approx(expected)
    assert sum(integral.bins.values()) == 0
    assert len(integral.bins) <= 1


def test_an_integral_is_cut_at_the_edges():
    """What changes several times within a bin, across an edge and right at one is booked where it was."""
    integral = BinnedIntegral(WIDTH, 1.0)
    for now, value in [(0.1, 2.0), (0.15, 4.0), (0.2, 6.0), (0.3, 8.0), (0.5, 1.0), (0.5, 3.0), (1.25, 5.0)]:
        integral.change(now, value)
    assert integral.bins == pytest.approx({0: 0.1 + 0.2 + 0.3, 1: 0.3 + 1.6, 2: 0.75, 3: 0.75, 4: 0.75, 5: 0.0})
    assert integral.take(5) == pytest.approx(1.25)


def test_an_integral_begins_with_its_first_change():
    """Before anything is known of the value there is nothing to integrate."""
    integral = BinnedIntegral(WIDTH, 1.0)
    integral.change(0.1, 2.0)
    assert integral.take(0) == pytest.approx(2.0 * 0.15)


def test_the_mean_is_over_the_bins_that_are_kept():
    """A mean looks at the bins it can; where all are forgotten the current value has to do."""
    integral = BinnedIntegral(WIDTH, 0.0)
    integral.change(0.0, 1.0)
    integral.change(0.25, 3.0)
    assert integral.mean(0.0, 0.5) == pytest.approx(2.0)
    assert integral.mean(0.1, 0.1) == pytest.approx(1.0)
    integral.take(0)
    assert integral.mean(0.0, 0.5) == pytest.approx(3.0)
    integral.change(0.5, 7.0)
    assert integral.mean(0.0, 0.2) == 7.0
    assert BinnedIntegral(WIDTH, 5.0).mean(0.0, 1.0) == 5.0


def test_the_mean_knows_when_it_began():
    """A value that is known for a part of a bin only is not diluted by the time before."""
    integral = BinnedIntegral(WIDTH, 1.0)
    integral.change(0.2, 4.0)
    assert integral.mean(0.2, 0.25) == pytest.approx(4.0)
    assert integral.mean(0.2, 0.5) == pytest.approx(4.0)


@given(
    st.lists(st.tuples(st.integers(0, 8), st.booleans()), max_size=30),
    st.integers(0, 100),
    st.integers(0, 100),
)
def test_busy_time_is_the_time_with_somebody_in_flight(steps, first, second):
    """Held against counting the seconds one by one."""
    busy, counted = BusyTime(), []
    in_flight = 0
    for pause, is_begin in steps:
        counted += [in_flight > 0] * pause
        if is_begin:
            busy.begin(float(len(counted)))
            in_flight += 1
        elif in_flight:
            busy.end(float(len(counted)))
            in_flight -= 1
    begin, end = sorted((min(first, len(counted)), min(second, len(counted))))
    assert busy.seconds(begin, end) == sum(counted[begin:end])
    middle = (begin + end) // 2
    after = busy.seconds(middle, end)
    busy.forget(float(middle))
    assert busy.seconds(middle, end) == after


def test_whoever_is_in_flight_is_so_until_it_ends():
    """The time since the last begin counts as busy although it is not over."""
    busy = BusyTime()
    busy.begin(1.0)
    assert busy.seconds(0.0, 3.0) == 2.0
    busy.end(2.0)
    assert busy.seconds(0.0, 3.0) == 1.0


def test_busy_stretches_that_touch_are_one():
    """One request right after the other leaves no trail of stretches."""
    busy = BusyTime()
    for second in range(100):
        busy.begin(float(second))
        busy.end(second + 1.0)
    assert busy.seconds(0.0, 100.0) == 100.0
    assert len(busy._stretches) == 1


def test_busy_time_that_is_told_late():
    """Some milliseconds out of order, as several processes tell it: the union of what all of them were busy."""
    busy = BusyTime()
    busy.begin(10.0)
    busy.begin(9.9)
    busy.end(10.5)
    busy.end(10.4)
    assert busy.seconds(9.0, 11.0) == pytest.approx(0.6)
    busy.begin(10.45)
    busy.end(10.6)
    assert busy.seconds(9.0, 11.0) == pytest.approx(0.7)
