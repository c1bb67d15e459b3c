"""The time that a report is about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.reporting.period import BadPeriod, Period, iso_minute, make_period

NOW = 1_795_435_200.0


@pytest.mark.parametrize(
    ("since", "seconds"),
    [("30m", 1800), ("24h", 86_400), ("1.5h", 5400), ("7d", 604_800), ("2w", 1_209_600), ("2026-11-23T11:00", 3600)],
)
def test_times_as_one_writes_them(since, seconds):
    """So long ago, or a moment, which is UTC where it does not say."""
    assert make_period(since, None, NOW) == Period(NOW - seconds, NOW)


def test_a_zone_counts():
    """A time with a zone is that moment."""
    assert make_period("2026-11-23T12:00+02:00", None, NOW).seconds == 7200


@pytest.mark.parametrize("text", ["yesterday", "24", "h", "-1h", "2026-13-01"])
def test_what_is_no_time_is_refused(text):
    """The error says what was given, and what may be."""
    with pytest.raises(BadPeriod, match=r"give 30m, 24h"):
        make_period(text, None, NOW)


def test_an_end_before_the_beginning_is_refused():
    """The error names both."""
    with pytest.raises(BadPeriod, match=r"ends .* before it begins"):
        make_period("1h", "2h", NOW)


def test_people_read_utc():
    """A minute, and from when to when."""
    assert iso_minute(NOW) == "2026-11-23 12:00"
    assert Period(NOW - 3600, NOW).text == "2026-11-23 11:00 to 2026-11-23 12:00 UTC"


@given(st.floats(1, 1e6))
def test_ago_is_ago(hours):
    """Any number of hours."""
    text = f"{hours:.3f}h"
    assert make_period(text, None, NOW).seconds == pytest.approx(float(text[:-1]) * 3600, rel=1e-6)
