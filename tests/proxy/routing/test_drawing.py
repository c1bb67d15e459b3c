"""Quality against cost, drawn."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from jevons.proxy.routing.drawing import draw
from jevons.proxy.routing.metrics import Point

LINE = [Point(0, 0.5, 100, None), Point(0.5, 0.7, 250, None), Point(1, 0.8, 400, None)]
SPACE = "{http://www.w3.org/2000/svg}"


def parsed(text: str) -> ET.Element:
    """The picture as a tree."""
    return ET.fromstring(text)  # noqa: S314 - we drew it ourselves


def test_every_router_has_a_line_and_a_name():
    """Each curve is a line in the picture, and the two ends are marked."""
    svg = parsed(draw({"ours": LINE, "a & b": LINE[::2]}, axis="calls", title="Right answers"))
    assert len(svg.findall(f"{SPACE}polyline")) == 2
    assert {"ours", "a & b", "never", "always"} <= {text.text for text in svg.iter(f"{SPACE}text")}
    assert len(svg.findall(f"{SPACE}circle")) == 2


def test_more_cost_lies_further_right():
    """The places of a line follow the cost that was asked for."""
    svg = parsed(draw({"ours": LINE}, axis="tokens", title="Right answers"))
    places = [float(place.split(",")[0]) for place in svg.find(f"{SPACE}polyline").get("points").split()]
    assert places == sorted(places)
    assert len(set(places)) == 3


def test_an_unknown_cost_is_not_drawn():
    """Where nobody knows the joules, the picture says so instead of showing zero."""
    svg = parsed(draw({"ours": LINE}, axis="joules", title="Right answers"))
    assert svg.find(f"{SPACE}polyline") is None
    assert "no joules known for these rows" in {text.text for text in svg.iter(f"{SPACE}text")}
