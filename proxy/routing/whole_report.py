"""What came of the rounds through the whole proxy: figures with bootstrap intervals, a table, a plot."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from xml.etree import ElementTree as ET

from ..exchange import Tier
from .evaluation import IMPUTED
from .metrics import CONFIDENCE, Estimate
from .whole import SEED, Answered, Sample, Setup

RESAMPLES: Final = 1000
ORDER: Final = ("always", "never", "random", "ours", "oracle")
_SERVERS: Final = {
    1: "one simulated server whose thinking is switched (Qwen3-8B on an H100)",
    2: "two simulated servers of one size (Qwen3-8B on an H100), each on a GPU of its own",
}
_WIDTH: Final = 720
_HEIGHT: Final = 420
_LEFT: Final = 64
_RIGHT: Final = 40
_TOP: Final = 56
_BOTTOM: Final = 56
_TICKS: Final = 5
_ROOM: Final = 0.12
"""Beside the outermost dots, as a share of the range."""

Statistic = Callable[[Sequence[Answered]], float | None]


def figures(rounds: Mapping[str, Sequence[Answered]], sample: Sample, setup: Setup, resamples: int = RESAMPLES) -> dict[str, Any]:
    """The JSON: every way of deciding overall and by source, and what all of it rests on."""
    sources = list(dict.fromkeys(pair.source for pair in sample.pairs))
    return {
        "simulated": True,
        "prompts": len(sample.pairs),
        "sources": {source: sum(pair.source == source for pair in sample.pairs) for source in sources},
        "imputed": {"answers": sample.imputed, "by": IMPUTED} if sample.imputed else None,
        "longest_tokens": sample.longest,
        "cut": sample.cut,
        "speed": setup.speed,
        "concurrency": setup.concurrency,
        "servers": 1 if setup.has_one_server else 2,
        "seed": setup.seed,
        "overall": {name: _figures(rounds[name], rounds["always"], resamples) for name in ORDER},
        "by_source": {source: {name: _figures(_of(rounds[name], source), (), 0) for name in ORDER} for source in sources},
    }


def joules_per_right(rows: Sequence[Answered]) -> float | None:
    """Of all answers, over those that are right; None where none is."""
    right = sum(one.right for one in rows)
    return sum(one.joules for one in rows) / right if right > 0 else None


def _figures(rows: Sequence[Answered], always: Sequence[Answered], resamples: int) -> dict[str, Any]:
    joules, truth = sum(one.joules for one in rows), sum(one.truth for one in rows)
    price, most = joules_per_right(rows), joules_per_right(always)
    return {
        "calls": _mean([float(answer.tier is Tier.REASONING) for answer in rows]),
        "accuracy": _mean([answer.right for answer in rows]),
        "joules_per_prompt": _mean([one.joules for one in rows]),
        "joules_per_right": price,
        **({"interval": _interval(rows, resamples)} if resamples else {}),
        **({"times_always": None if price is None or most is None else price / most} if always else {}),
        "measured_to_true": joules / truth if truth else None,
    }


def _interval(rows: Sequence[Answered], resamples: int) -> dict[str, float] | None:
    """Of joules per right answer, over prompts, by the percentile bootstrap."""
    dice = random.Random(SEED)  # noqa: S311 - a bootstrap's dice
    drawn = sorted(value for _ in range(resamples) if (value := joules_per_right(dice.choices(rows, k=len(rows)))) is not None)
    value = joules_per_right(rows)
    if not drawn or value is None:
        return None
    cut = int(len(drawn) * (1 - CONFIDENCE) / 2)
    return Estimate(value, drawn[cut], drawn[-1 - cut]).as_json()


def _of(rows: Sequence[Answered], source: str) -> list[Answered]:
    return [one for one in rows if one.source == source]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def render(found: Mapping[str, Any], *, command: str = "", plot: str = "") -> str:
    """The page, in Markdown."""
    lengths = found["imputed"]
    said = f"**imputed** for {lengths['answers']} reasoning answers: {lengths['by']}" if lengths else "as the data has them"
    counted = ", ".join(f"{source} {count}" for source, count in found["sources"].items())
    lines = [
        "# Joules per right answer through the whole proxy",
        "",
        f"**Simulated**: {found['prompts']} prompts ({counted}; drawn with seed {found['seed']})",
        f"through the real proxy, in front of {_SERVERS[found['servers']]};",
        f"{found['concurrency']} at once, the longest first; {found['speed']:g} times as fast as the hardware,",
        "and the joules as at its speed.",
        "",
        f"Lengths of answers are {said};",
        f"an answer of more than {found['longest_tokens']:,} tokens is cut there, which {found['cut']} prompts have.",
        "Whether an answer is right is the data's word. The joules are the final ones of the proxy.",
        "",
        "| decided by | to reasoning | right | joules per prompt | joules per right answer | / always | proxy / truth |",
        "|---|---|---|---|---|---|---|",
        *(_line(name, found["overall"][name]) for name in ORDER),
        "",
        "*random*: as many reasoning calls as ours. *oracle*: reasoning where it alone is right. In brackets the 95 % bootstrap",
        "interval over prompts.",
        "",
        f"Joules per right answer by source (n is small: see the interval above for how much {found['prompts']} prompts tell):",
        "",
        f"| source | {' | '.join(ORDER)} | ours to reasoning |",
        f"|---|{'---|' * (len(ORDER) + 1)}",
        *(_source_line(source, by) for source, by in found["by_source"].items()),
    ]
    if plot:
        lines += ["", f"![Right answers against joules per right answer]({plot})"]
    if command:
        lines += ["", f"`{command}`"]
    return "\n".join(lines) + "\n"


def _line(name: str, one: Mapping[str, Any]) -> str:
    interval, times = one["interval"], one["times_always"]
    bounds = f" [{interval['low']:,.0f}, {interval['high']:,.0f}]" if interval else ""
    cells = [
        name,
        f"{one['calls']:.1%}",
        f"{one['accuracy']:.1%}",
        f"{one['joules_per_prompt']:,.0f}",
        f"{_number(one['joules_per_right'])}{bounds}",
        "n/a" if times is None else f"{times:.3f}",
        "n/a" if one["measured_to_true"] is None else f"{one['measured_to_true']:.3f}",
    ]
    return f"| {' | '.join(cells)} |"


def _source_line(source: str, by: Mapping[str, Mapping[str, Any]]) -> str:
    cells = [_number(by[name]["joules_per_right"]) for name in ORDER]
    return f"| {source} | {' | '.join(cells)} | {by['ours']['calls']:.1%} |"


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:,.0f}"


def draw(found: Mapping[str, Any]) -> str:
    """A dot for each way of deciding, with its interval: right answers against joules per right answer, as SVG."""
    dots = {name: one for name in ORDER if (one := found["overall"][name])["joules_per_right"] is not None}
    svg = ET.Element("svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img")
    title = "Right answers against joules per right answer"
    ET.SubElement(svg, "title").text = title
    ET.SubElement(svg, "style").text = "text { font: 12px system-ui, sans-serif; fill: #1c2430 } .grid { stroke: #dfe4ea }"
    ET.SubElement(svg, "rect", width=str(_WIDTH), height=str(_HEIGHT), fill="#ffffff")
    _text(svg, _LEFT, 22, title)
    basis = "simulated; lengths of reasoning answers imputed" if found["imputed"] else "simulated"
    _text(svg, _LEFT, 40, f"{basis}; lines are 95 % intervals")
    ends = [value for one in dots.values() for value in _bounds(one)]
    across = _span([0.0, *ends])
    up = _span([one["accuracy"] for one in dots.values()])
    _axes(svg, across, up)
    for name, one in dots.items():
        low, high = (_x(value, across) for value in _bounds(one))
        x, y = _x(one["joules_per_right"], across), _y(one["accuracy"], up)
        colour = "#0b6e4f" if name == "ours" else "#7a8594"
        line = {"x1": f"{low:.1f}", "x2": f"{high:.1f}", "y1": f"{y:.1f}", "y2": f"{y:.1f}", "stroke-width": "2"}
        ET.SubElement(svg, "line", line, stroke=colour)
        ET.SubElement(svg, "circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r="5", fill=colour)
        _text(svg, low - 8, y + 4, name, anchor="end")
    return ET.tostring(svg, encoding="unicode") + "\n"


def _bounds(one: Mapping[str, Any]) -> tuple[float, float]:
    interval = one["interval"]
    return (interval["low"], interval["high"]) if interval else (one["joules_per_right"], one["joules_per_right"])


def _axes(svg: ET.Element, across: tuple[float, float], up: tuple[float, float]) -> None:
    for step in range(_TICKS + 1):
        x, y = (low + (high - low) * step / _TICKS for low, high in (across, up))
        at = f"{_y(y, up):.1f}"
        ET.SubElement(svg, "line", x1=str(_LEFT), x2=str(_WIDTH - _RIGHT), y1=at, y2=at, attrib={"class": "grid"})
        _text(svg, _LEFT - 8, _y(y, up) + 4, f"{y:.0%}", anchor="end")
        _text(svg, _x(x, across), _HEIGHT - _BOTTOM + 18, f"{x:,.0f}", anchor="middle")
    _text(svg, (_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 14, "joules per right answer", anchor="middle")


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = (high - low) * _ROOM or 1.0
    return (low if low == 0.0 else low - room), high + room


def _x(value: float, span: tuple[float, float]) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * (value - span[0]) / (span[1] - span[0])


def _y(value: float, span: tuple[float, float]) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _BOTTOM - _TOP) * (value - span[0]) / (span[1] - span[0])


def _text(svg: ET.Element, x: float, y: float, text: str, *, anchor: str = "start") -> None:
    ET.SubElement(svg, "text", x=f"{x:.1f}", y=f"{y:.1f}", attrib={"text-anchor": anchor}).text = text
