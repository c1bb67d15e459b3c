"""Tests of what others do: each is the method it is called."""

import math

import pytest
from attribution_world import trace

from jevons.proxy.bench.attribution.baselines import (
    Meter,
    all_token_share,
    output_token_share,
    start_end_delta,
    wall_time_share,
)


@pytest.fixture(scope="module")
def mixed():
    return trace("mixed")


def total(found):
    return math.fsum(served.truth for served in found.requests.values())


def test_start_and_end_count_everybody(mixed):
    """Sixteen in flight, at the end fewer: each is charged for all, many times the meter together."""
    charges = start_end_delta(mixed)
    assert 10 * total(mixed) < math.fsum(charges.values()) < 16 * total(mixed)


@pytest.mark.parametrize("method", [wall_time_share, output_token_share, all_token_share])
def test_shares_sum_to_the_meter(mixed, method):
    """Right in their sum, whatever they do to the single request."""
    charges = method(mixed)
    assert charges.keys() == mixed.requests.keys()
    assert math.fsum(charges.values()) == pytest.approx(total(mixed), rel=0.03)


def test_tokens_are_what_is_shared_by(mixed):
    """Of two requests side by side the one with more output pays more."""
    charges = output_token_share(mixed)
    served = sorted(mixed.requests.values(), key=lambda one: one.tokens)
    assert charges[served[0].name] < charges[served[-1].name]


def test_buffered_replies_have_a_share():
    """Their tokens are taken to be made evenly."""
    found = trace("unstreamed", seconds=8.0)
    assert all(joules > 0.0 for joules in output_token_share(found).values())


def test_a_counter_that_starts_again_goes_on():
    """A reset takes no energy back."""
    found = trace("faults", seconds=70.0)
    meter = Meter(found, ["GPU-0"])
    times = [found.begin + number for number in range(int(found.end - found.begin))]
    values = [meter.at(time) for time in times]
    assert values == sorted(values)
    assert values[-1] == pytest.approx(sum(found.true_joules.values()), rel=0.02)
