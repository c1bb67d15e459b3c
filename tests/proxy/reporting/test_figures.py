"""Figures as people read them."""

from __future__ import annotations

import pytest

from jevons.proxy.reporting.figures import UNKNOWN_SIGN, between, count, money, number, share, short


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, UNKNOWN_SIGN),
        (0.0, "0"),
        (12.345, "12.3"),
        (999.4, "999"),
        (1234.5, "1,234"),
        (0.01234, "0.0123"),
        (-3.14159, "-3.14"),
    ],
)
def test_numbers_have_three_digits(value, text):
    """What is unknown is a dash, never 0."""
    assert number(value) == text


def test_units_grow():
    """Thousands of joules are kilojoules."""
    assert [short(value, "J") for value in (None, 0.5, 12_345.0, 3.6e6)] == [UNKNOWN_SIGN, "0.500 J", "12.3 kJ", "3.60 MJ"]


def test_counts_shares_money_and_spans():
    """The rest of what a report writes."""
    assert (count(12_345), count(None)) == ("12,345", UNKNOWN_SIGN)
    assert (share(1.0, 8.0), share(None, 8.0), share(1.0, 0.0)) == ("12.5 %", UNKNOWN_SIGN, UNKNOWN_SIGN)
    assert (share(1.0, 1e6), share(0.0, 1.0)) == ("< 0.1 %", "0.0 %")
    assert (money(1234.5), money(0.0123), money(None)) == ("1,234.50", "0.0123", UNKNOWN_SIGN)
    assert (between(1.0, 2.0), between(None, None)) == ("1.00 to 2.00", UNKNOWN_SIGN)
