"""The counter held against the power: what is refused, what is not, and when."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jevons.proxy.metering.plausibility import TRIAL_SECONDS, CounterCheck

STEP = 0.05


class Gpu:
    """A board whose counter and power are derived from one truth, each with its own fault."""

    def __init__(self, *, rate=1.0, period=0.0, power_gain=1.0, start=1000.0):
        self.check = CounterCheck()
        self.rate, self.period, self.power_gain = rate, period, power_gain
        self.at, self.true_joules = 50.0, 0.0
        self.offset = start
        self.shown = start

    def run(self, seconds, watts, *, mean_over=0.0):
        """Draw so much for so long; the power reading approaches it over `mean_over` seconds. Returns every verdict."""
        verdicts = []
        reading = getattr(self, "reading", watts)
        for _ in range(round(seconds / STEP)):
            self.at += STEP
            self.true_joules += watts * STEP
            reading += (watts - reading) * (min(1.0, STEP / mean_over) if mean_over else 1.0)
            if not self.period or math.floor(self.at / self.period) != math.floor((self.at - STEP) / self.period):
                self.shown = self.offset + self.true_joules * self.rate
            verdicts.append(self.check.judge(self.at, self.shown, reading * self.power_gain))
        self.reading = reading
        return verdicts


def test_a_counter_is_not_believed_before_it_was_compared():
    """For the first five seconds the verdict says what it waits for, then a sound counter is free."""
    verdicts = Gpu().run(TRIAL_SECONDS + 1, 300.0)
    assert verdicts[0] == "comparing the energy counter with the power readings for 5 s first"
    assert verdicts[round(TRIAL_SECONDS / STEP) - 5] is not None
    assert verdicts[-1] is None


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.6, 1.5, 10.0])
def test_a_wrong_rate_is_refused_with_both_figures(rate):
    """The reason holds what each of them says."""
    verdict = Gpu(rate=rate).run(20, 100.0)[-1]
    found = re.fullmatch(r"its counter says ([\d.]+) J and its power ([\d.]+) J of the same 20 s", verdict)
    assert found
    assert float(found[1]) == pytest.approx(rate * float(found[2]), rel=0.01)


@pytest.mark.parametrize("rate", [0.9, 1.0, 1.1])
@pytest.mark.parametrize("period", [0.0, 0.1, 1.0])
def test_a_counter_that_moves_in_steps_is_believed(rate, period):
    """Steps of up to a second and a tenth of difference are within what sound sensors do."""
    assert Gpu(rate=rate, period=period).run(30, 250.0)[-1] is None


def test_a_load_that_comes_and_goes_is_believed():
    """Power readings are means and trail: with loads of seconds and idle between them a sound counter is never refused."""
    gpu = Gpu(period=0.1)
    gpu.run(10, 60.0, mean_over=1.0)
    verdicts = [verdict for _ in range(10) for watts in (600.0, 60.0) for verdict in gpu.run(3, watts, mean_over=1.0)]
    assert set(verdicts) == {None}


def test_a_wrong_rate_is_refused_under_a_changing_load_too():
    """The allowance for a trailing power does not let a counter through that shows half."""
    gpu = Gpu(rate=0.5)
    for watts in (60.0, 600.0) * 8:
        verdicts = gpu.run(3, watts)
    assert verdicts[-1] is not None


def test_going_backward_is_refused_and_compared_anew():
    """The figures are named at once, and for five seconds more nothing is believed."""
    gpu = Gpu()
    gpu.run(10, 100.0)
    gpu.offset -= 5000.0
    verdicts = gpu.run(4, 100.0)
    assert verdicts[0] == "the energy counter went backward, from 2000.0 J to -2995.0 J"
    assert verdicts[-1] == verdicts[0]
    assert gpu.run(2, 100.0)[-1] is None


def test_a_counter_that_recovers_is_believed_again():
    """Once a whole window agrees the device is back."""
    gpu = Gpu(rate=0.0)
    assert gpu.run(10, 100.0)[-1] is not None
    gpu.offset -= gpu.true_joules
    gpu.rate = 1.0
    assert gpu.run(120, 100.0)[-1] is None


def test_a_pause_is_not_compared():
    """Over a pause the power's integral is unknown: a trusted counter stays trusted, an untested one untested."""
    gpu = Gpu()
    gpu.run(10, 100.0)
    gpu.at += 100.0
    gpu.offset += 100 * 700.0
    assert set(gpu.run(10, 100.0)) == {None}


def test_what_stays_at_zero_is_no_device_of_its_own():
    """The second die of a card shows 0 for ever: that is no measurement of 0 J."""
    assert Gpu().run(10, 0.0)[-1] == "counter and power stay at 0: another die of the same card may carry its figures"


@settings(max_examples=40, deadline=None)
@given(
    loads=st.lists(st.tuples(st.floats(0.5, 20), st.floats(20, 750)), min_size=1, max_size=12),
    gain=st.floats(0.92, 1.08),
    period=st.sampled_from([0.0, 0.02, 0.1]),
    mean_over=st.sampled_from([0.0, 0.5, 1.0]),
)
def test_no_load_makes_a_sound_counter_refused(loads, gain, period, mean_over):
    """Whatever runs on the board, sensors within eight percent of each other are believed once compared."""
    gpu = Gpu(power_gain=gain, period=period)
    gpu.run(10, 50.0, mean_over=mean_over)
    for seconds, watts in loads:
        assert set(gpu.run(seconds, watts, mean_over=mean_over)) <= {None}
