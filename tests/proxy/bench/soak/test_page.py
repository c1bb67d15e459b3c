"""Tests of the table: not more rows than can be read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from jevons.proxy.bench.machine import describe_machine
from jevons.proxy.bench.soak.page import page
from jevons.proxy.bench.soak.soak import Soak
from jevons.proxy.bench.soak.watch import Sample

REST = Sample(0.0, 71_680, 20, 5, 12, 0, 0.0)


def test_a_long_soak_is_shown_in_a_few_rows():
    """Evenly over its time, and the slope of its memory in MiB."""
    samples = tuple(replace(REST, at_seconds=2.0 * place, rss_kib=71_680 + place) for place in range(200))
    soak = Soak(
        datetime(2026, 1, 1, tzinfo=UTC), describe_machine(), 400.0, 5, 1.0, {"whole": {"ok": 5}}, {}, REST, REST, REST, samples
    )
    text = page(soak, "jevons bench soak")
    assert text.count("| under load, ") == 8
    assert "| at rest, warm | 70.0 | 20 | 5 | 12 | 0 |" in text
    assert "+1.8 MiB an hour (+1.8 to +1.8)" in text
