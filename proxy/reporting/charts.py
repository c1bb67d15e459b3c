"""The plots of a report as SVG that stands in a page: colours come from the page's style, so that light and dark fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from ..units import Joules
from .figures import short

WIDTH: Final = 960
HEIGHT: Final = 260
LEFT: Final = 64
BOTTOM: Final = 28
TOP: Final = 10
ROW: Final = 30
COLOURS: Final = 8
"""Series beyond that share the last colour."""
_MOST_LABELS: Final = 12
_TICKS: Final = 4


@dataclass(frozen=True, slots=True)
class Column:
    """One bar of a stacked chart: its label, and the parts by series."""

    label: str
    parts: Mapping[str, Joules]


def stacked(columns: Sequence[Column], series: Sequence[str], title: str) -> str:
    """Bars over time, one colour per series, from the bottom in their order."""
    svg = _svg(HEIGHT, title)
    top = _round_up(max((sum(column.parts.values()) for column in columns), default=0.0))
    plot = HEIGHT - TOP - BOTTOM
    for step in range(_TICKS + 1):
        y = TOP + plot * (1 - step / _TICKS)
        _element(svg, "line", x1=LEFT, x2=WIDTH, y1=y, y2=y, **{"class": "grid"})
        _text(svg, LEFT - 8, y + 4, short(top * step / _TICKS, "J"), anchor="end")
    slot = (WIDTH - LEFT) / max(1, len(columns))
    every = max(1, -(-len(columns) // _MOST_LABELS))
    for place, column in enumerate(columns):
        x, y = LEFT + place * slot, float(TOP + plot)
        for number, name in enumerate(series):
            joules = column.parts.get(name, 0.0)
            if joules <= 0.0:
                continue
            height = plot * joules / top
            y -= height
            bar = _element(svg, "rect", x=x + slot * 0.1, y=y, width=slot * 0.8, height=height, **{"class": _colour(number)})
            _title(bar, f"{column.label}: {name} {short(joules, 'J')}")
        if place % every == 0:
            _text(svg, x + slot / 2, HEIGHT - 8, column.label, anchor="middle")
    return ET.tostring(svg, encoding="unicode")


def shares(parts: Mapping[str, Joules], title: str) -> str:
    """One bar that is the whole, divided."""
    svg = _svg(ROW, title)
    whole, x = sum(parts.values()), 0.0
    for number, (name, joules) in enumerate(parts.items()):
        if joules <= 0.0 or whole <= 0.0:
            continue
        width = WIDTH * joules / whole
        bar = _element(svg, "rect", x=x, y=0, width=width, height=ROW, **{"class": _colour(number)})
        _title(bar, f"{name}: {short(joules, 'J')}")
        x += width
    return ET.tostring(svg, encoding="unicode")


def colour_class(place: int) -> str:
    """The class of a legend's mark."""
    return _colour(place)


def _colour(place: int) -> str:
    return f"c{min(place, COLOURS - 1)}"


def _svg(height: float, title: str) -> ET.Element:
    svg = ET.Element("svg", {"viewBox": f"0 0 {WIDTH} {height:g}", "role": "img", "aria-label": title})
    _title(svg, title)
    return svg


def _element(parent: ET.Element, tag: str, **attributes: float | str) -> ET.Element:
    written = {name: value if isinstance(value, str) else f"{value:.2f}" for name, value in attributes.items()}
    return ET.SubElement(parent, tag, written)


def _text(parent: ET.Element, x: float, y: float, text: str, *, anchor: str) -> None:
    _element(parent, "text", x=x, y=y, **{"text-anchor": anchor}).text = text


def _title(parent: ET.Element, text: str) -> None:
    ET.SubElement(parent, "title").text = text


_LEAST: Final = 1e-300
"""Below it numbers have lost digits, and nothing would be seen of them."""


def _round_up(value: float) -> float:
    """1, 2 or 5 times a power of ten, not below the value: an axis that ends on a round figure."""
    if value < _LEAST:
        return 1.0
    power = 10.0 ** int(f"{value:e}".split("e")[1])
    return next(step * power for step in (1, 2, 4, 5, 8, 10) if step * power >= value * (1 - 1e-12))
