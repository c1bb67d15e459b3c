"""The picture: a panel per workload, a row per subject."""

from xml.etree import ElementTree as ET

import pytest
from bench_world import measurement, visit
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.bench.figures import CPU_FIGURES, tabulate
from jevons.proxy.bench.plot import Scale, draw

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def svg():
    visits = [
        visit(name, number, measurement("request", cpu=cpu * number), measurement("flood", events=events))
        for number in (1, 2)
        for name, cpu, events in (("jevons", 0.02, 10_000), ("nginx", 0.01, 0))
    ]
    table = tabulate(visits, CPU_FIGURES)
    return ET.fromstring(draw(table, CPU_FIGURES, {"jevons": "jevons & metering", "nginx": "nginx"}))  # noqa: S314 - our own


def texts(svg):
    return [element.text for element in svg.iter(f"{SVG}text")]


def test_every_figure_that_is_known_has_a_panel(svg):
    """Panels of workloads that nobody ran are left out."""
    assert len(svg.findall(f"{SVG}g")) == 2
    assert "JSON replies, 32 connections" in texts(svg)


def test_every_subject_has_a_row(svg):
    """Its name as it is, a dot at its median and the value in words; where there is none, it says so."""
    assert {"jevons & metering", "nginx"} <= set(texts(svg))
    assert len(list(svg.iter(f"{SVG}circle"))) == 3
    assert {"30.0", "15.0", "10.0", "n/a"} <= set(texts(svg))


def test_ours_stands_out(svg):
    """Rows of jevons are in a colour of their own."""
    assert [dot.get("class") for dot in svg.iter(f"{SVG}circle")] == ["ours", "other", "ours"]


@given(st.lists(st.floats(min_value=1e-6, max_value=1e9), min_size=1))
def test_every_value_lies_on_the_axis(values):
    """The axis begins and ends with a power of ten and holds all values between them."""
    scale = Scale.around(values, 300.0)
    assert all(-0.01 <= scale.at(value) <= 300.01 for value in values)
    assert scale.at(scale.ticks()[0]) == pytest.approx(0.0, abs=1e-6)
    assert scale.at(scale.ticks()[-1]) == pytest.approx(300.0)
    assert len(scale.ticks()) >= 2


def test_equal_values_have_an_axis_too():
    """One value that is a power of ten itself does not make an axis of no length."""
    assert Scale.around([10.0], 100.0).ticks() == [10.0, 100.0]
