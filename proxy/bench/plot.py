"""The CPU figures as one picture: a panel per workload, a row per subject, the median as a dot and the rounds as a line.

The axis is logarithmic, since subjects differ by a factor of a thousand; a dot has no length that would then mislead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

from .figures import Cell, Figure, Table
from .report import NONE, significant

COLUMNS: Final = 2
ROW: Final = 20
LABELS: Final = 236
PANEL: Final = 330
VALUES: Final = 56
"""To the right of the axis, where each median is written."""
GAP: Final = 28
TITLE: Final = 44
AXIS: Final = 26
MARGIN: Final = 16

STYLE: Final = """
svg { background: #ffffff; font: 12px system-ui, sans-serif; }
text { fill: #1c2430; }
.title { font-weight: 600; font-size: 13px; }
.unit, .tick { fill: #5b6675; font-size: 11px; }
.value { font-size: 11px; }
.grid { stroke: #dfe4ea; stroke-width: 1; }
.span { stroke-width: 2; stroke-linecap: round; }
.ours { fill: #0b6e4f; stroke: #0b6e4f; }
.other { fill: #7a8594; stroke: #7a8594; }
text.ours, text.other { stroke: none; }
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """A logarithmic axis from `low` to `high`, `width` wide."""

    low: float
    high: float
    width: float

    @classmethod
    def around(cls, values: Sequence[float], width: float) -> Scale:
        """Whole powers of ten that hold them all."""
        low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
        return cls(10.0**low, 10.0 ** max(high, low + 1), width)

    def at(self, value: float) -> float:
        """Where a value lies, from the left."""
        return self.width * math.log(value / self.low) / math.log(self.high / self.low)

    def ticks(self) -> list[float]:
        """The powers of ten."""
        first, last = round(math.log10(self.low)), round(math.log10(self.high))
        return [10.0**power for power in range(first, last + 1)]


def draw(table: Table, figures: Sequence[Figure], titles: Mapping[str, str]) -> str:
    """An SVG of those figures that somebody has; subjects whose name begins with `jevons` stand out."""
    shown = [figure for figure in figures if any(figure.name in cells for cells in table.values())]
    panel_height = TITLE + ROW * len(table) + AXIS
    lines = math.ceil(len(shown) / COLUMNS)
    width = 2 * MARGIN + LABELS + COLUMNS * (PANEL + GAP) - GAP
    height = 2 * MARGIN + lines * panel_height
    size = {"viewBox": f"0 0 {width} {height}", "width": str(width), "height": str(height)}
    svg = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", **size})
    _child(svg, "title", text="CPU time of each proxy per request and per event")
    _child(svg, "style", text=STYLE)
    scales = {unit: _scale(unit, shown, table) for unit in {figure.unit for figure in shown}}
    for number, figure in enumerate(shown):
        line, column = divmod(number, COLUMNS)
        top = MARGIN + line * panel_height
        if column == 0:
            _labels(svg, top, table, titles)
        _panel(svg, MARGIN + LABELS + column * (PANEL + GAP), top, figure, table, scales[figure.unit])
    ET.indent(svg)
    return ET.tostring(svg, encoding="unicode") + "\n"


def _labels(svg: ET.Element, top: float, table: Table, titles: Mapping[str, str]) -> None:
    for row, subject in enumerate(table):
        text = titles.get(subject, subject)
        _text(svg, MARGIN + LABELS - 10, _baseline(top, row), text, kind=_kind(subject), anchor="end")


def _scale(unit: str, figures: Sequence[Figure], table: Table) -> Scale:
    """One for all panels of a unit, so that they can be compared with each other."""
    names = {figure.name for figure in figures if figure.unit == unit}
    spreads = [cell.spread for cells in table.values() for name, cell in cells.items() if name in names]
    return Scale.around([end for spread in spreads for end in (spread.low, spread.high)], PANEL - VALUES)


def _panel(svg: ET.Element, left: float, top: float, figure: Figure, table: Table, scale: Scale) -> None:
    group = _child(svg, "g", transform=f"translate({left:g} {top:g})")
    _text(group, 0, 14, figure.title, kind="title")
    _text(group, 0, 30, figure.unit, kind="unit")
    bottom = TITLE + ROW * len(table)
    for tick in scale.ticks():
        x = f"{scale.at(tick):.1f}"
        _child(group, "line", kind="grid", x1=x, x2=x, y1=str(TITLE - 4), y2=str(bottom))
        _text(group, scale.at(tick), bottom + 14, f"{tick:,g}", kind="tick", anchor="middle")
    for row, (subject, cells) in enumerate(table.items()):
        if figure.name in cells:
            _mark(group, row, _kind(subject), cells[figure.name], scale)
        else:
            _text(group, PANEL, _baseline(0, row), NONE, kind="value other", anchor="end")


def _mark(group: ET.Element, row: int, kind: str, cell: Cell, scale: Scale) -> None:
    y = f"{TITLE + ROW * (row + 0.5):g}"
    low, median, high = (f"{scale.at(value):.1f}" for value in (cell.spread.low, cell.spread.median, cell.spread.high))
    _child(group, "line", kind=f"span {kind}", x1=low, x2=high, y1=y, y2=y)
    _child(group, "circle", kind=kind, cx=median, cy=y, r="4")
    _text(group, PANEL, _baseline(0, row), significant(cell.spread.median), kind=f"value {kind}", anchor="end")


def _baseline(top: float, row: int) -> float:
    return top + TITLE + ROW * (row + 0.5) + 4


def _kind(subject: str) -> str:
    return "ours" if subject.startswith("jevons") else "other"


def _text(parent: ET.Element, x: float, y: float, text: str, *, kind: str, anchor: str = "start") -> None:
    _child(parent, "text", kind=kind, text=text, x=f"{x:.1f}", y=f"{y:.1f}", **{"text-anchor": anchor})


def _child(parent: ET.Element, tag: str, *, kind: str = "", text: str | None = None, **attributes: str) -> ET.Element:
    child = ET.SubElement(parent, tag, {**({"class": kind} if kind else {}), **attributes})
    child.text = text
    return child
