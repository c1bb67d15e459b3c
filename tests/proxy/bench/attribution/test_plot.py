"""Tests of the picture."""

from xml.etree import ElementTree as ET

from jevons.proxy.bench.attribution.methods import METHODS
from jevons.proxy.bench.attribution.plot import SHOWN, draw
from jevons.proxy.bench.attribution.study import Row, Score
from jevons.proxy.bench.attribution.workloads import WORKLOADS

SVG = "{http://www.w3.org/2000/svg}"


def row(number, error):
    scores = {method.name: Score([error] * 3) for method in METHODS}
    scores["fitted"].half_widths, scores["fitted"].held = [0.05], 0.9
    return Row(WORKLOADS[number], 3, scores)


def test_every_workload_and_every_method_is_there():
    """A line of its own for each method shown, and the coverage."""
    svg = ET.fromstring(draw([row(0, 0.01), row(1, 0.5)]))  # noqa: S314 - made here
    texts = [text.text for text in svg.iter(f"{SVG}text")]
    assert {WORKLOADS[0].title, WORKLOADS[1].title} <= set(texts)
    circles = list(svg.iter(f"{SVG}circle"))
    assert len(circles) == len(SHOWN) + 2 * (len(SHOWN) + 1)
    assert texts.count("± 5 %") == 2


def test_what_is_shown_are_methods():
    """By their names."""
    assert {name for name, *_ in SHOWN} <= {method.name for method in METHODS}


def test_errors_beyond_the_axis_stay_on_it():
    """A perfect and a hopeless method are at its ends."""
    svg = ET.fromstring(draw([row(0, 0.0), row(1, 1e6)]))  # noqa: S314 - made here
    width = float(svg.get("width"))
    assert all(0 <= float(circle.get("cx")) <= width for circle in svg.iter(f"{SVG}circle"))


def test_without_bounds_none_are_drawn():
    """Where nothing is known of them."""
    bare = row(0, 0.1)
    bare.scores["fitted"] = Score([0.1])
    assert "±" not in draw([bare]).replace("; ± half-width", "")
