"""Panels as one picture: a step's energy by batch size with its line, identical requests, and a token's energy by length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final
from xml.etree import ElementTree as ET

from ..plot import STYLE
from .outcome import Outcome

WIDTH: Final = 460
HEIGHT: Final = 250
MARGIN: Final = 56
TICKS: Final = 4

Point = tuple[float, float]


def draw(outcomes: Sequence[Outcome], heading: str) -> str:
    """An SVG of the checks that have a picture; the heading stands above, so that a simulation is never taken for a board."""
    by_name = {outcome.name: outcome.figures for outcome in outcomes}
    size = {"viewBox": f"0 0 {3 * WIDTH} {HEIGHT + 30}", "width": str(3 * WIDTH), "height": str(HEIGHT + 30)}
    svg = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size})
    ET.SubElement(svg, "style").text = STYLE + ".line { stroke: #7a8594; stroke-width: 1.5; }\n"
    _text(svg, MARGIN, 20, heading, kind="title")
    if law := by_name.get("step_law"):
        _step_law(_group(svg, 0), law)
    if same := by_name.get("identical"):
        _identical(_group(svg, WIDTH), same)
    if lengths := by_name.get("lengths"):
        _lengths(_group(svg, 2 * WIDTH), lengths)
    ET.indent(svg)
    return ET.tostring(svg, encoding="unicode") + "\n"


def _step_law(group: ET.Element, law: dict[str, Any]) -> None:
    points = list(zip(law["batch"], law["joules_per_step"], strict=True))
    right, top = max(x for x, _ in points) * 1.05, max(y for _, y in points) * 1.1
    _frame(group, "joules per step by sequences in the batch", right, top)
    line = [_place((x, law["fixed"] + law["slope"] * x), right, top) for x in (0.0, right)]
    (x1, y1), (x2, y2) = line
    ET.SubElement(group, "line", {"class": "line", "x1": f"{x1:.1f}", "y1": f"{y1:.1f}", "x2": f"{x2:.1f}", "y2": f"{y2:.1f}"})
    _dots(group, points, right, top)


def _identical(group: ET.Element, same: dict[str, Any]) -> None:
    points = [(float(number), joules) for number, joules in enumerate(same["joules"], 1)]
    right, top = len(points) + 1.0, max(y for _, y in points) * 1.1
    _frame(group, "joules charged to each of the identical requests", right, top)
    _dots(group, points, right, top)


def _lengths(group: ET.Element, lengths: dict[str, Any]) -> None:
    """Evenly spaced, since each length is a multiple of the one before."""
    alone, beside = (list(enumerate(lengths[key], 1)) for key in ("per_token", "beside_per_token"))
    right, top = len(alone) + 1.0, max(y for _, y in alone + beside) * 1.1
    _frame(group, "joules per token by the answer's tokens: alone, and in company (grey)", right, top, has_numbers=False)
    _dots(group, alone, right, top)
    _dots(group, beside, right, top, kind="other")
    for number, tokens in enumerate(lengths["tokens"], 1):
        x, bottom = _place((number, 0.0), right, top)
        _text(group, x, bottom + 16, f"{tokens:.0f}", kind="tick", anchor="middle")


def _dots(group: ET.Element, points: Sequence[Point], right: float, top: float, *, kind: str = "ours") -> None:
    for point in points:
        x, y = _place(point, right, top)
        ET.SubElement(group, "circle", {"class": kind, "cx": f"{x:.1f}", "cy": f"{y:.1f}", "r": "4"})


def _frame(group: ET.Element, text: str, right: float, top: float, *, has_numbers: bool = True) -> None:
    """Axes from 0, so that a length is a quantity, with a few ticks."""
    _text(group, MARGIN, 14, text, kind="unit")
    (_, bottom), (end, _) = _place((0.0, 0.0), right, top), _place((right, 0.0), right, top)
    for value in _ticks(top):
        _, y = _place((0.0, value), right, top)
        ET.SubElement(group, "line", {"class": "grid", "x1": f"{MARGIN}", "x2": f"{end:.1f}", "y1": f"{y:.1f}", "y2": f"{y:.1f}"})
        _text(group, MARGIN - 6, y + 4, f"{value:g}", kind="tick", anchor="end")
    for value in _ticks(right) if has_numbers else ():
        x, _ = _place((value, 0.0), right, top)
        _text(group, x, bottom + 16, f"{value:g}", kind="tick", anchor="middle")


def _ticks(highest: float) -> list[float]:
    """From 0 in round steps: 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(highest / TICKS))
    step = next(power * times for times in (1, 2, 5, 10) if power * times * TICKS >= highest)
    return [number * step for number in range(int(highest / step) + 1)]


def _place(point: Point, right: float, top: float) -> Point:
    x, y = point
    return MARGIN + x / right * (WIDTH - MARGIN - 24), HEIGHT - 34 - y / top * (HEIGHT - 34 - 26)


def _group(svg: ET.Element, left: float) -> ET.Element:
    return ET.SubElement(svg, "g", {"transform": f"translate({left:g} 30)"})


def _text(parent: ET.Element, x: float, y: float, text: str, *, kind: str, anchor: str = "start") -> None:
    element = ET.SubElement(parent, "text", {"class": kind, "x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor})
    element.text = text
