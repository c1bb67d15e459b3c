"""Sums that never take the unknown for nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.reporting.sums import Sums, Tariff, sums_of

_MAYBE = st.one_of(st.none(), st.integers(0, 10**6))
SUMS = st.builds(
    Sums, st.integers(0, 100), st.integers(0, 100), _MAYBE, _MAYBE, _MAYBE, _MAYBE, _MAYBE, _MAYBE, _MAYBE, _MAYBE,
    st.integers(0, 9), _MAYBE,
)  # fmt: skip


@given(SUMS, SUMS, SUMS)
def test_adding_is_adding_in_any_order(one, two, three):
    """Order does not matter, and nothing changes nothing."""
    assert one + two == two + one
    assert (one + two) + three == one + (two + three)
    assert one + Sums() == one


def test_what_nobody_knows_is_null():
    """Of requests of unknown energy neither joules nor any ratio is known; with one that is known, it counts alone."""
    unknown = Sums(requests=2, unknown_energy=2, completion_tokens=40)
    known = Sums(requests=1, joules=36.0, completion_tokens=9, priced_tokens=9)
    assert (unknown.joules, unknown.watt_hours, unknown.joules_per_request, unknown.joules_per_token) == (None, None, None, None)
    both = unknown + known
    assert (both.watt_hours, both.joules_per_request, both.joules_per_token) == (0.01, 36.0, 4.0)
    assert Sums().joules_per_request is None


def test_a_row_of_the_query():
    """What is not known of some is counted."""
    tokens = [f"{kind}_tokens" for kind in ("prompt", "cached", "reasoning", "completion")]
    names = ["joules", "joules_low", "joules_high", *tokens, "gco2e"]
    row = dict.fromkeys(names, 4) | {"requests": 5, "known": 3, "gco2e_known": 1}
    sums = sums_of(row)
    assert (sums.unknown_energy, sums.unknown_gco2e, sums.low, sums.priced_tokens) == (2, 4, 4, 4)
    assert sums_of(row | {"known": 0}).priced_tokens is None


def test_the_cost_counts_the_building():
    """KWh times PUE times price; none without a price, nor for unknown joules."""
    assert Tariff(0.30, 1.5).cost(3.6e6) == pytest.approx(0.45)
    assert Tariff(None).cost(1.0) is None
    assert Tariff(0.30).cost(None) is None
