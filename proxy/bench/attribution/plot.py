"""The study as one picture: errors by method on the left, bounds on the right, a row for each workload."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree as ET

from .study import Row, Score

ROW: Final = 30
LABELS: Final = 330
ERRORS: Final = 460
BOUNDS: Final = 230
GAP: Final = 40
MARGIN: Final = 18
HEAD: Final = 86
AXIS: Final = 30
LEAST: Final = 1e-3
MOST: Final = 100.0
"""Of the axis of errors: a tenth of a per cent to a hundred times."""
AIM: Final = (0.85, 0.95)
LOWEST: Final = 0.6
"""Of the axis of coverage."""
SHOWN: Final = (
    ("start-end", "counter at end less at start", "#a05195"),
    ("wall-time", "shares of time", "#d45087"),
    ("output-tokens", "shares by output tokens", "#f08a4b"),
    ("priors", "jevons, from the table alone", "#5aa9a0"),
    ("fitted", "jevons, as it learns", "#0b6e4f"),
)
"""By method: what it is called here, and its colour."""
TICKS: Final = ((1e-3, "0.1 %"), (1e-2, "1 %"), (1e-1, "10 %"), (1.0, "100 %"), (10.0, "11 times"), (100.0, ""))
STYLE: Final = """
svg { background: #ffffff; font: 12px system-ui, sans-serif; }
text { fill: #1c2430; }
.title { font-weight: 600; font-size: 13px; }
.tick { fill: #5b6675; font-size: 11px; }
.grid { stroke: #dfe4ea; stroke-width: 1; }
.aim { fill: #e4f2ec; }
"""


def draw(rows: Sequence[Row]) -> str:
    """An SVG: of each method the median as a dot, and a line to the 95th percentile."""
    height = 2 * MARGIN + HEAD + ROW * len(rows) + AXIS
    width = 2 * MARGIN + LABELS + ERRORS + GAP + BOUNDS
    svg = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "viewBox": f"0 0 {width} {height}"})
    svg.set("width", str(width))
    svg.set("height", str(height))
    _child(svg, "title", "Relative error per request, by method and workload")
    _child(svg, "style", STYLE)
    left, top = MARGIN + LABELS, MARGIN + HEAD
    _legend(svg)
    bottom = top + ROW * len(rows)
    for value, label in TICKS:
        x = left + _at(value)
        _child(svg, "line", kind="grid", x1=x, x2=x, y1=top, y2=bottom)
        _child(svg, "text", label, kind="tick", x=x, y=bottom + 16, anchor="middle")
    _text_bounds(svg, left + ERRORS + GAP, top, bottom)
    for number, row in enumerate(rows):
        y = top + ROW * (number + 0.5)
        _child(svg, "text", row.workload.title, x=left - 12, y=y + 4, anchor="end")
        for place, (name, _, colour) in enumerate(SHOWN):
            _mark(svg, row.scores[name], left, y + 4.5 * (place - (len(SHOWN) - 1) / 2), colour)
        _mark_bounds(svg, row.scores["fitted"], left + ERRORS + GAP, y)
    ET.indent(svg)
    return ET.tostring(svg, encoding="unicode") + "\n"


def _at(error: float) -> float:
    """Where an error lies on its logarithmic axis."""
    share = math.log(min(max(error, LEAST), MOST) / LEAST) / math.log(MOST / LEAST)
    return ERRORS * share


def _legend(svg: ET.Element) -> None:
    top = MARGIN + 14
    _child(svg, "text", "Relative error of a request's energy: median, and to the 95th percentile", kind="title", x=MARGIN, y=top)
    x = float(MARGIN)
    for _, label, colour in SHOWN:
        _child(svg, "circle", cx=x + 5, cy=top + 22, r=4, fill=colour)
        _child(svg, "text", label, x=x + 15, y=top + 26)
        x += 30 + 6.6 * len(label)


def _mark(svg: ET.Element, score: Score, left: float, y: float, colour: str) -> None:
    begin, end = left + _at(score.median), left + _at(score.p95)
    line = _child(svg, "line", x1=begin, x2=end, y1=y, y2=y, stroke=colour)
    line.set("stroke-width", "2")
    _child(svg, "circle", cx=begin, cy=y, r=2.8, fill=colour)


def _text_bounds(svg: ET.Element, left: float, top: float, bottom: float) -> None:
    _child(svg, "text", "Truth within low … high", kind="title", x=left, y=top - 26)
    _child(svg, "text", "as it learns; ± half-width, median", kind="tick", x=left, y=top - 10)
    begin, end = (left + _place(share) for share in AIM)
    _child(svg, "rect", kind="aim", x=begin, y=top, width=end - begin, height=bottom - top)
    for share in (0.6, 0.7, 0.8, 0.9, 1.0):
        x = left + _place(share)
        _child(svg, "line", kind="grid", x1=x, x2=x, y1=top, y2=bottom)
        _child(svg, "text", f"{100 * share:.0f} %", kind="tick", x=x, y=bottom + 16, anchor="middle")


def _place(share: float) -> float:
    return (BOUNDS - 60) * (max(share, LOWEST) - LOWEST) / (1 - LOWEST)


def _mark_bounds(svg: ET.Element, score: Score, left: float, y: float) -> None:
    if score.coverage is None or score.half_width is None:
        return
    _child(svg, "circle", cx=left + _place(score.coverage), cy=y, r=4, fill="#0b6e4f")
    _child(svg, "text", f"± {100 * score.half_width:.0f} %", kind="tick", x=left + BOUNDS, y=y + 4, anchor="end")


def _child(
    parent: ET.Element, tag: str, text: str | None = None, *, kind: str = "", anchor: str = "", **attributes: float | str
) -> ET.Element:
    values = {name: value if isinstance(value, str) else f"{value:.1f}" for name, value in attributes.items()}
    if kind:
        values["class"] = kind
    if anchor:
        values["text-anchor"] = anchor
    child = ET.SubElement(parent, tag, values)
    child.text = text
    return child
