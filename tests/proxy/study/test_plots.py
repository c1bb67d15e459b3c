"""The pictures: every prompt is in them, nothing lies outside, names cannot break them."""

from xml.etree import ElementTree as ET

import pytest
from study_samples import raw_study

from jevons.proxy.study.bootstrap import Interval
from jevons.proxy.study.dataset import Dataset
from jevons.proxy.study.decomposition import Step, waterfall
from jevons.proxy.study.plots import Curve, batch_curve, distributions, paired_scatter, waterfall_plot

SVG = "{http://www.w3.org/2000/svg}"
PAIRS = Dataset(raw_study(20)).pairs("plain", "thinker", 1)
CELLS = {arm: [(pair.prompt, pair.joules[side]) for pair in PAIRS] for side, arm in enumerate(("plain <1>", "thinker"))}
CURVES = [
    Curve("plain", [(1.0, Interval(100, 90, 110)), (8.0, Interval(20))], 0),
    Curve("table", [(8.0, Interval(30)), (64.0, Interval(9))]),
]


def parsed(svg):
    """The picture, all of whose marks lie within it."""
    root = ET.fromstring(svg)  # noqa: S314 - our own
    _, _, width, height = map(float, root.get("viewBox").split())
    for mark in root.iter():
        for name in ("x", "cx", "x1", "x2"):
            assert -1 <= float(mark.get(name, 0)) <= width + 1
        for name in ("y", "cy", "y1", "y2"):
            assert -1 <= float(mark.get(name, 0)) <= height + 1
    return root


@pytest.mark.parametrize(
    ("svg", "dots"),
    [
        (distributions(CELLS), 40),
        (paired_scatter(PAIRS, "plain", "thinker", 1), 20),
        (batch_curve(CURVES), 4),
        (distributions({"one": [("p", 5.0)]}), 1),
    ],
)
def test_every_value_has_its_dot(svg, dots):
    """A dot for each, with what it is under the pointer."""
    found = list(parsed(svg).iter(f"{SVG}circle"))
    assert len(found) == dots
    assert all("J" in dot[0].text for dot in found)


def test_the_waterfall_has_a_bar_for_each_reason():
    """From one arm by the steps to the other; a step down is drawn below the level it begins at."""
    start, steps, end = waterfall(PAIRS)
    root = parsed(waterfall_plot(start, steps, end, ("plain", "a long name of an arm"), (0, 1)))
    assert len(list(root.iter(f"{SVG}rect"))) == 2 + len(steps)
    down = parsed(waterfall_plot(10.0, [Step("less", 0.5, -5.0)], 5.0, ("a", "b"), (0, 1)))
    heights = [float(bar.get("height")) for bar in down.iter(f"{SVG}rect")]
    assert heights[1] == pytest.approx(heights[2], abs=0.2)
