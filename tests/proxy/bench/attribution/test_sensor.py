"""Tests of the simulated sensor: it shows the energy there was, with the faults it was given."""

import itertools
import random

import pytest

from jevons.proxy.bench.attribution.sensor import PowerTrace, Sensor, SensorPlan


def power():
    """100 W, and from 1010 s to 1011 s 500 W."""
    trace = PowerTrace(100.0, times=[1000.0], joules=[0.0])
    trace.draw(1010.0, 1011.0, 500.0)
    return trace


def readings(seconds=30.0, **options):
    sensor = Sensor("GPU", power(), SensorPlan(**options), start=1000.0, dice=random.Random(3))
    found = []
    while sensor.next_poll < 1000.0 + seconds:
        found.append(sensor.poll())
    return found


def test_power_becomes_energy():
    """The integral, at any time."""
    assert power().at(1010.0) == pytest.approx(1000.0)
    assert power().at(1010.5) == pytest.approx(1250.0)
    assert power().at(1020.0) == pytest.approx(2400.0)


def test_stretches_follow_each_other():
    """Two that touch leave no gap."""
    trace = power()
    trace.draw(1011.0, 1012.0, 300.0)
    assert trace.at(1012.0) == pytest.approx(1800.0)


def test_the_counter_shows_the_energy():
    """In steps of its period, up to its lag before."""
    found = readings(period_seconds=0.1, lag_seconds=0.03)
    assert found[-1].joules - found[0].joules == pytest.approx(3000.0 + 400.0, abs=25.0)
    moves = sum(later.joules != earlier.joules for earlier, later in itertools.pairwise(found))
    assert moves == pytest.approx(300, abs=3)


def test_gain_is_a_factor():
    """A sensor that shows 5 % too much."""
    found = readings(gain=1.05)
    assert found[-1].joules - found[0].joules == pytest.approx(1.05 * 3400.0, abs=25.0)


def test_a_sensor_that_looks_away_is_right_on_average():
    """A quarter of the time, taken for all of it: right where the power is steady."""
    found = readings(seconds=9.0, duty=0.25, lag_seconds=0.0)
    assert found[-1].joules - found[0].joules == pytest.approx(900.0, abs=25.0)


def test_readings_fail_to_come():
    """A share of them is missing."""
    found = readings(drops=0.3)
    assert found.count(None) / len(found) == pytest.approx(0.3, abs=0.06)


def test_a_reset_starts_again():
    """From zero, once."""
    found = readings(resets=(5.0,))
    [back] = [later.joules for earlier, later in itertools.pairwise(found) if later.joules < earlier.joules]
    assert back == pytest.approx(0.0, abs=1.0)
