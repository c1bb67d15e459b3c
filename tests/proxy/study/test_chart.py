"""Axes hold their values and have round ticks."""

from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.study.chart import child, linear_axis, log_axis, picture, short, text_of

VALUES = st.lists(st.floats(1e-3, 1e7), min_size=1, max_size=20)


@given(VALUES)
def test_a_logarithmic_axis_holds_all_values(values):
    """Every value lies within, and there is a tick to read it by."""
    axis = log_axis(values, 0, 100)
    assert all(-1e-6 <= axis.at(value) <= 100 + 1e-6 for value in values)
    assert 1 <= len(axis.ticks()) <= 12


@given(st.lists(st.floats(-1e6, 1e6).filter(lambda one: abs(one) > 1e-3), min_size=1, max_size=20))
def test_a_linear_axis_holds_all_values_and_nought(values):
    """So does a linear one, which begins at 0 where nothing is below."""
    axis = linear_axis(values, 100, 0)
    assert all(-1e-6 <= axis.at(value) <= 100 + 1e-6 for value in [0.0, *values])
    assert 2 <= len(axis.ticks()) <= 14


def test_ticks_are_written_short():
    """Thousands as k, millions as M."""
    assert [short(value) for value in (0.5, 500, 1000, 20_000, 3e6)] == ["0.5", "500", "1,000", "20k", "3M"]


def test_markup_is_escaped():
    """A name with an angle bracket does not break the picture."""
    svg = picture("a < b", 10)
    child(svg, "text", text="<&>", text_anchor="end")
    parsed = ET.fromstring(text_of(svg))  # noqa: S314 - our own
    assert parsed[1].text == "<&>"
    assert parsed[1].get("text-anchor") == "end"
