"""The plots of a report."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.reporting.charts import BOTTOM, HEIGHT, TOP, WIDTH, Column, colour_class, shares, stacked

JOULES = st.floats(0, 1e9)


def bars(svg):
    """The rectangles."""
    return [
        {key: value if key == "class" else float(value) for key, value in each.attrib.items()}
        for each in ET.fromstring(svg).iter("rect")  # noqa: S314 - our own
    ]


def test_bars_are_as_high_as_what_they_show():
    """Twice the joules, twice the height; parts stand on each other, and what is nothing has no bar."""
    svg = stacked([Column("09:00", {"a": 10.0, "b": 20.0}), Column("10:00", {"a": 40.0, "b": 0.0})], ["a", "b"], "title")
    first, second, third = bars(svg)
    assert second["height"] == pytest.approx(2 * first["height"], abs=0.02)
    assert third["height"] == pytest.approx(4 * first["height"], abs=0.03)
    assert first["y"] == pytest.approx(second["y"] + second["height"], abs=0.02)
    assert [first["class"], second["class"]] == ["c0", "c1"]
    assert "10:00: a 40.0 J" in svg


@given(st.lists(st.dictionaries(st.sampled_from("abc"), JOULES), max_size=30))
def test_nothing_leaves_the_plot(parts):
    """Whatever there is to show stays within the picture, and the text is XML."""
    svg = stacked([Column("<&>", one) for one in parts], ["a", "b", "c"], 'a "title" <b>')
    for bar in bars(svg):
        assert 0 <= bar["x"] <= bar["x"] + bar["width"] <= WIDTH + 0.02
        assert TOP - 0.1 <= bar["y"] <= bar["y"] + bar["height"] <= HEIGHT - BOTTOM + 0.1


@given(st.dictionaries(st.sampled_from(["attributed", "idle", "bypass", "unresolved"]), JOULES))
def test_shares_fill_the_whole(parts):
    """The parts of one bar lie side by side and fill it."""
    found = bars(shares(parts, "title"))
    if sum(parts.values()) > 0:
        assert sum(bar["width"] for bar in found) == pytest.approx(WIDTH, abs=0.05)
    else:
        assert found == []


def test_colours_end():
    """There are eight, and whoever comes later shares the last."""
    assert [colour_class(0), colour_class(7), colour_class(30)] == ["c0", "c7", "c7"]
