"""Hours: a window of the day in a zone, over midnight and over the change of summer time."""

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest

from jevons.policies.hours import Hours

BERLIN = ZoneInfo("Europe/Berlin")
OFFICE = Hours(time(8), time(18), ("mon", "tue", "wed", "thu", "fri"), BERLIN)
NIGHT = Hours(time(22), time(6), ("fri",), BERLIN)


def at(text, zone=BERLIN):
    """Unix time of a local time."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("2026-11-23T08:00", True),
        ("2026-11-23T17:59:59", True),
        ("2026-11-23T18:00", False),
        ("2026-11-23T07:59:59", False),
        ("2026-11-22T12:00", False),
        ("2026-07-06T08:00", True),
    ],
)
def test_office_hours(when, holds):
    """The start is included, the end is not; Sunday is none of the days; summer time is the zone's business."""
    assert OFFICE.hold(at(when)) is holds


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("2026-11-27T23:00", True),
        ("2026-11-28T05:59", True),
        ("2026-11-28T06:00", False),
        ("2026-11-27T05:00", False),
        ("2026-11-28T23:00", False),
    ],
)
def test_a_night_belongs_to_the_day_that_it_begins_on(when, holds):
    """Friday's goes on until Saturday morning."""
    assert NIGHT.hold(at(when)) is holds


def test_the_default_is_always():
    """From midnight to midnight, every day, in UTC."""
    assert all(Hours().hold(at(f"2026-11-{day:02}T{hour:02}:30", UTC)) for day in range(1, 8) for hour in range(24))
