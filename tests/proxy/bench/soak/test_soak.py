"""Tests of when a soak is sound; a whole one is run in test_cli.py."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from jevons.proxy.bench.machine import describe_machine
from jevons.proxy.bench.soak.page import page
from jevons.proxy.bench.soak.soak import Soak
from jevons.proxy.bench.soak.watch import Sample

REST = Sample(0.0, 70_000, 20, 5, 12, 0, 0.0)
SOUND = Soak(
    datetime(2026, 1, 1, tzinfo=UTC),
    describe_machine(),
    10.0,
    5,
    1.0,
    {"stream": {"ok": 5, "left": 2}},
    {},
    REST,
    REST,
    REST,
    (REST,),
)


def test_nothing_lost_and_nothing_left_is_sound():
    """And counted."""
    assert SOUND.is_sound
    assert SOUND.requests == 7
    assert SOUND.as_json()["rss_kib_per_hour"] is None
    assert replace(SOUND, full=replace(REST, descriptors=2000)).is_sound


@pytest.mark.parametrize(
    "changes",
    [
        {"lost": {"stream: no end": 1}},
        {"after": replace(REST, in_flight=1)},
        {"after": replace(REST, tasks=13)},
        {"after": replace(REST, descriptors=29)},
        {"after": replace(REST, residual=1e-6)},
        {"samples": (replace(REST, residual=1e-6),)},
    ],
)
def test_what_is_lost_or_left_is_not(changes):
    """A request, one in flight, a task, a descriptor, or a joule."""
    assert not replace(SOUND, **changes).is_sound


def test_the_page_says_so():
    """With what was lost, by kind."""
    assert "**Sound**: 0 requests lost" in page(SOUND, "jevons bench soak")
    broken = page(replace(SOUND, lost={"stream: no end": 1}, answers={"stream": {"ok": 4, "no end": 1}}), "jevons bench soak")
    assert "**Not sound**: 1 requests lost" in broken
    assert "- lost: stream: no end, 1 times" in broken
    assert "| stream | 4 | 0 | 0 | 1 |" in broken
