"""Tests of how often a key may ask, with a clock moved by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.errors import RateLimited
from jevons.proxy.server.rates import BURST_SECONDS, Rates


class Clock:
    """Moved by hand."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_a_burst_and_then_the_rate():
    """Sixty a minute: ten at once, and then one a second."""
    clock = Clock()
    rates = Rates(clock)
    for _ in range(10):
        rates.take("a", 60)
    with pytest.raises(RateLimited) as refusal:
        rates.take("a", 60)
    assert refusal.value.status == 429
    assert refusal.value.headers == {"retry-after": "1"}
    clock.now += 1.0
    rates.take("a", 60)
    with pytest.raises(RateLimited):
        rates.take("a", 60)


def test_keys_do_not_share():
    """One that is spent leaves the others alone."""
    rates = Rates(Clock())
    rates.take("a", 1)
    rates.take("b", 1)
    with pytest.raises(RateLimited, match=r"1 times a minute; there is room again in 60 s\."):
        rates.take("a", 1)


@given(st.floats(0.1, 600.0), st.lists(st.floats(0.0, 30.0), min_size=1, max_size=60))
def test_never_more_than_the_rate_and_its_burst(per_minute, pauses):
    """Whenever they ask; and whoever waits as told is let in."""
    clock = Clock()
    rates = Rates(clock)
    admitted = 0
    for pause in pauses:
        clock.now += pause
        try:
            rates.take("a", per_minute)
        except RateLimited as refusal:
            clock.now += float(refusal.headers["retry-after"])
            rates.take("a", per_minute)
        admitted += 1
    most = max(1.0, per_minute / 60 * BURST_SECONDS) + clock.now * per_minute / 60
    assert admitted <= most + 1e-6
