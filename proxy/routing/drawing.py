"""Quality against what it costs, as one SVG: a line to a router, and dots for always, never and the oracle's best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from xml.etree import ElementTree as ET

from .metrics import Point

WIDTH: Final = 760
HEIGHT: Final = 440
LEFT: Final = 64
RIGHT: Final = 190
TOP: Final = 48
BOTTOM: Final = 56
COLOURS: Final = ("#0b6e4f", "#c2571a", "#3b5bdb", "#8b5cf6", "#7a8594", "#b8860b", "#d6336c")
_MOST_POINTS: Final = 160
_TICKS: Final = 5
_LABEL_GAP: Final = 16
_WIDE: Final = 0.1
"""From this range of shares on, whole percents are fine enough."""


def draw(curves: Mapping[str, Sequence[Point]], *, axis: str, title: str) -> str:
    """The picture. `axis`: `calls`, `tokens` or `joules`, what a point costs; curves without it are left out."""
    lines = {
        name: [(x, point.accuracy) for point in _thin(points) if (x := getattr(point, axis)) is not None]
        for name, points in curves.items()
    }
    lines = {name: line for name, line in lines.items() if line}
    svg = ET.Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img")
    ET.SubElement(svg, "title").text = title
    ET.SubElement(svg, "style").text = "text { font: 12px system-ui, sans-serif; fill: #1c2430 } .grid { stroke: #dfe4ea }"
    ET.SubElement(svg, "rect", width=str(WIDTH), height=str(HEIGHT), fill="#ffffff")
    _text(svg, LEFT, 24, title)
    everything = [place for line in lines.values() for place in line]
    if not everything:
        _text(svg, LEFT, HEIGHT / 2, f"no {axis} known for these rows")
        return ET.tostring(svg, encoding="unicode") + "\n"
    spans = [_span([place[side] for place in everything]) for side in (0, 1)]
    _axes(svg, spans, axis)
    _curves(svg, lines, spans)
    return ET.tostring(svg, encoding="unicode") + "\n"


def _curves(svg: ET.Element, lines: Mapping[str, Sequence[tuple[float, float]]], spans: Sequence[tuple[float, float]]) -> None:
    for number, (name, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        places = [f"{_x(x, spans[0]):.1f},{_y(y, spans[1]):.1f}" for x, y in line]
        ET.SubElement(svg, "polyline", points=" ".join(places), fill="none", stroke=colour, attrib={"stroke-width": "2"})
        at = TOP + 12 + number * _LABEL_GAP
        ET.SubElement(svg, "rect", x=str(WIDTH - RIGHT + 14), y=str(at - 9), width="10", height="10", fill=colour)
        _text(svg, WIDTH - RIGHT + 30, at, name)
    first = next(iter(lines.values()))
    for name, (x, y) in (("never", first[0]), ("always", first[-1])):
        ET.SubElement(svg, "circle", cx=f"{_x(x, spans[0]):.1f}", cy=f"{_y(y, spans[1]):.1f}", r="4", fill="#1c2430")
        end = name == "always"
        _text(svg, _x(x, spans[0]) + (-8 if end else 8), _y(y, spans[1]) - 8, name, anchor="end" if end else "start")


def _axes(svg: ET.Element, spans: Sequence[tuple[float, float]], axis: str) -> None:
    for step in range(_TICKS + 1):
        x, y = (low + (high - low) * step / _TICKS for low, high in spans)
        across = f"{_y(y, spans[1]):.1f}"
        ET.SubElement(svg, "line", x1=str(LEFT), x2=str(WIDTH - RIGHT), y1=across, y2=across, attrib={"class": "grid"})
        _text(svg, LEFT - 8, _y(y, spans[1]) + 4, f"{y:.0%}" if spans[1][1] - spans[1][0] > _WIDE else f"{y:.1%}", anchor="end")
        _text(svg, _x(x, spans[0]), HEIGHT - BOTTOM + 18, f"{x:.0%}" if axis == "calls" else f"{x:,.0f}", anchor="middle")
    words = {"calls": "share of prompts that go to reasoning", "tokens": "tokens per prompt", "joules": "joules per prompt"}
    _text(svg, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, words[axis], anchor="middle")
    _text(svg, LEFT, TOP - 8, "right answers")


def _thin(points: Sequence[Point]) -> list[Point]:
    step = max(1, len(points) // _MOST_POINTS)
    return [*points[:-1:step], points[-1]]


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return low, high if high > low else low + 1


def _x(value: float, span: tuple[float, float]) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (value - span[0]) / (span[1] - span[0])


def _y(value: float, span: tuple[float, float]) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (value - span[0]) / (span[1] - span[0])


def _text(svg: ET.Element, x: float, y: float, text: str, *, anchor: str = "start") -> None:
    ET.SubElement(svg, "text", x=f"{x:.1f}", y=f"{y:.1f}", attrib={"text-anchor": anchor}).text = text
