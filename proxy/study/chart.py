"""What every picture of a study is made of: axes, marks and text. Pure; SVG without a style of its own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

WIDTH: Final = 440
LEFT: Final = 54
RIGHT: Final = 16
_STEPS: Final = (1, 2, 5)
_FEW_DECADES: Final = 2


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high` in the data, from `start` to `end` in the picture."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = True

    def at(self, value: float) -> float:
        """Where a value lies."""
        if self.is_log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values within it, four to eight of them."""
        if not self.is_log:
            return _linear_ticks(self.low, self.high)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = _STEPS if math.log10(self.high / self.low) <= _FEW_DECADES else (1,)
        found = [step * 10.0**power for power in decades for step in steps]
        return [tick for tick in found if self.low * 0.999 <= tick <= self.high * 1.001]


def log_axis(values: Iterable[float], start: float, end: float) -> Axis:
    """An axis that holds all values with a margin around them, and two round numbers at least."""
    known = [value for value in values if value > 0]
    low, high = min(known, default=1.0), max(known, default=10.0)
    margin = max(1.12, (high / low) ** 0.06)
    low, high = low / margin, high * margin
    while high / low < 3:  # noqa: PLR2004 - a third of a decade and there may be no tick within
        low, high = low / 1.2, high * 1.2
    return Axis(low, high, start, end)


def linear_axis(values: Iterable[float], start: float, end: float) -> Axis:
    """An axis from 0, or below where a value is, with a margin at the top."""
    known = list(values)
    low, high = min([0.0, *known]), max([0.0, *known])
    return Axis(low * 1.08, high * 1.08 or 1.0, start, end, is_log=False)


def _linear_ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]


def picture(title: str, height: float, *, width: float = WIDTH) -> ET.Element:
    """An empty one; the title is for those who cannot see it."""
    size = {"viewBox": f"0 0 {width:g} {height:g}", "width": f"{width:g}", "height": f"{height:g}"}
    svg = ET.Element("svg", {"xmlns": "http://www.w3.org/2000/svg", "class": "plot", "role": "img", **size})
    child(svg, "title", text=title)
    return svg


def text_of(svg: ET.Element) -> str:
    """The markup."""
    return ET.tostring(svg, encoding="unicode")


def child(parent: ET.Element, tag: str, *, kind: str = "", text: str | None = None, **attributes: object) -> ET.Element:
    """One element; numbers are rounded, an underscore in a name is a hyphen."""
    shown = {
        name.replace("_", "-"): f"{value:.1f}" if isinstance(value, float) else str(value) for name, value in attributes.items()
    }
    element = ET.SubElement(parent, tag, {**({"class": kind} if kind else {}), **shown})
    element.text = text
    return element


def label(parent: ET.Element, x: float, y: float, text: str, *, kind: str = "", anchor: str = "start") -> None:
    """Some words."""
    child(parent, "text", kind=kind, text=text, x=float(x), y=float(y), text_anchor=anchor)


def line(parent: ET.Element, ends: Sequence[float], kind: str) -> None:
    """From x1, y1 to x2, y2."""
    x1, y1, x2, y2 = map(float, ends)
    child(parent, "line", kind=kind, x1=x1, y1=y1, x2=x2, y2=y2)


def dot(parent: ET.Element, at: tuple[float, float], radius: float, kind: str, hint: str = "") -> None:
    """A dot, and what it says under the pointer."""
    circle = child(parent, "circle", kind=kind, cx=float(at[0]), cy=float(at[1]), r=float(radius))
    if hint:
        child(circle, "title", text=hint)


def path(parent: ET.Element, points: Sequence[tuple[float, float]], kind: str) -> None:
    """A line through points."""
    child(parent, "path", kind=kind, d="M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points))


def bottom_axis(parent: ET.Element, axis: Axis, top: float, bottom: float, name: str) -> None:
    """Grid lines with their values below, and what they are of."""
    for tick in axis.ticks():
        line(parent, (axis.at(tick), top, axis.at(tick), bottom), "grid")
        label(parent, axis.at(tick), bottom + 15, short(tick), kind="soft", anchor="middle")
    label(parent, (axis.start + axis.end) / 2, bottom + 32, name, kind="soft", anchor="middle")


def left_axis(parent: ET.Element, axis: Axis, left: float, right: float, name: str) -> None:
    """Grid lines with their values to the left, and what they are of above."""
    for tick in axis.ticks():
        line(parent, (left, axis.at(tick), right, axis.at(tick)), "grid")
        label(parent, left - 6, axis.at(tick) + 4, short(tick), kind="soft", anchor="end")
    label(parent, left, min(axis.start, axis.end) - 8, name, kind="soft")


def short(value: float) -> str:
    """A tick: `20k` for 20,000."""
    if abs(value) >= 1e6:  # noqa: PLR2004 - a million
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if abs(value) >= 1e4 else f"{value:,g}"  # noqa: PLR2004 - as people write them
