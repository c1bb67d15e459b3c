"""The four pictures of a study: distributions, pairs, the batch curve, and where a difference comes from. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..units import Joules
from .bootstrap import Interval
from .chart import (
    LEFT,
    RIGHT,
    WIDTH,
    bottom_axis,
    child,
    dot,
    label,
    left_axis,
    line,
    linear_axis,
    log_axis,
    path,
    picture,
    text_of,
)
from .decomposition import PromptPair, Step
from .imposing import quantile_of
from .plot_style import ARMS


@dataclass(frozen=True, slots=True)
class Curve:
    """Joules per response by how many were in flight; `colour` None is a reference of others."""

    name: str
    points: Sequence[tuple[float, Interval]]
    colour: int | None = None


def distributions(values: Mapping[str, Sequence[tuple[str, Joules]]]) -> str:
    """A row per arm: each prompt a dot, the quartiles a line, the median a bar."""
    row, top = 74, 12
    bottom = top + row * len(values)
    svg = picture("Joules per response, by arm", bottom + 42)
    axis = log_axis([joules for rows in values.values() for _, joules in rows], LEFT - 40, WIDTH - RIGHT)
    bottom_axis(svg, axis, top, bottom, "joules per response")
    for number, (arm, rows) in enumerate(values.items()):
        colour = number % ARMS
        middle = top + row * number + 44
        label(svg, LEFT - 40, middle - 28, arm, kind=f"name f{colour}")
        for prompt, joules in rows:
            jitter = max(-1.0, min(1.0, quantile_of(prompt, 0) / 2)) * 13
            dot(svg, (axis.at(joules), middle + jitter), 3, f"dot f{colour}", f"{prompt}: {joules:,.0f} J")
        ordered = [joules for _, joules in rows]
        if len(ordered) > 1:
            low, median, high = statistics.quantiles(ordered, n=4, method="inclusive")
            line(svg, (axis.at(low), middle + 19, axis.at(high), middle + 19), f"s{colour}")
            line(svg, (axis.at(median), middle - 16, axis.at(median), middle + 23), f"s{colour}")
    return text_of(svg)


def paired_scatter(pairs: Sequence[PromptPair], first: str, second: str, colour: int) -> str:
    """Each prompt once: joules of the first arm across, of the second up; on the dashed line both took the same."""
    top, height = 26, 330
    svg = picture(f"Joules per response of {second} against {first}", top + height + 42)
    both = [joules for pair in pairs for joules in pair.joules]
    across = log_axis(both, LEFT, WIDTH - RIGHT)
    up = log_axis(both, top + height, top)
    bottom_axis(svg, across, top, top + height, f"{first}, joules")
    left_axis(svg, up, LEFT, WIDTH - RIGHT, f"{second}, joules")
    line(svg, (across.start, up.start, across.end, up.end), "equal")
    for pair in pairs:
        hint = f"{pair.prompt}: {pair.joules[0]:,.0f} J and {pair.joules[1]:,.0f} J"
        dot(svg, (across.at(pair.joules[0]), up.at(pair.joules[1])), 4, f"dot f{colour % ARMS}", hint)
    return text_of(svg)


def batch_curve(curves: Sequence[Curve]) -> str:
    """Joules per response against requests in flight, both logarithmic, with the intervals."""
    top, height = 26, 250
    svg = picture("Joules per response by requests in flight", top + height + 42 + 18 * len(curves))
    points = [point for curve in curves for point in curve.points]
    ends = [end for _, one in points for end in (one.value, one.low, one.high) if end is not None]
    across = log_axis([level for level, _ in points], LEFT, WIDTH - RIGHT)
    up = log_axis(ends, top + height, top)
    bottom_axis(svg, across, top, top + height, "requests in flight")
    left_axis(svg, up, LEFT, WIDTH - RIGHT, "joules per response")
    for number, curve in enumerate(curves):
        kind = "reference" if curve.colour is None else f"s{curve.colour % ARMS}"
        fill = "soft" if curve.colour is None else f"f{curve.colour % ARMS}"
        path(svg, [(across.at(level), up.at(one.value)) for level, one in curve.points], kind)
        for level, one in curve.points:
            if one.low is not None and one.high is not None and one.low > 0:
                line(svg, (across.at(level), up.at(one.low), across.at(level), up.at(one.high)), kind)
            hint = f"{curve.name}, {level:g} in flight: {one.value:,.0f} J"
            dot(svg, (across.at(level), up.at(one.value)), 3.5 if curve.colour is not None else 2, fill, hint)
        y = top + height + 52 + 18 * number
        line(svg, (LEFT, y - 4, LEFT + 22, y - 4), kind)
        label(svg, LEFT + 30, y, curve.name, kind="" if curve.colour is not None else "soft")
    return text_of(svg)


def waterfall_plot(start: Joules, steps: Sequence[Step], end: Joules, names: tuple[str, str], colours: tuple[int, int]) -> str:
    """From one arm's mean joules per response to the other's, a bar for each reason."""
    top, height = 26, 210
    svg = picture(f"From {names[0]} to {names[1]}: where the difference comes from", top + height + 50)
    levels = [start]
    for step in steps:
        levels.append(levels[-1] + step.joules)
    up = linear_axis([*levels, end], top + height, top)
    left_axis(svg, up, LEFT, WIDTH - RIGHT, "mean joules per response")
    bars = [
        (names[0], 0.0, start, f"f{colours[0] % ARMS}", f"{start:,.0f} J"),
        *((step.name, levels[place], levels[place + 1], "soft", f"x {step.factor:.2f}") for place, step in enumerate(steps)),
        (names[1], 0.0, end, f"f{colours[1] % ARMS}", f"{end:,.0f} J"),
    ]
    room = (WIDTH - RIGHT - LEFT) / len(bars)
    for place, (name, low, high, kind, text) in enumerate(bars):
        x, wide = LEFT + room * (place + 0.14), room * 0.72
        upper, lower = sorted((up.at(low), up.at(high)))
        child(svg, "rect", kind=kind, x=x, y=upper, width=wide, height=max(1.0, lower - upper), rx=2.0)
        label(svg, x + wide / 2, upper - 6, text, anchor="middle")
        for number, words in enumerate(_two_lines(name)):
            label(svg, x + wide / 2, top + height + 18 + 14 * number, words, kind="soft", anchor="middle")
    return text_of(svg)


def _two_lines(name: str) -> list[str]:
    """A label under a bar, broken near its middle where it is long."""
    if len(name) <= 12 or " " not in name:  # noqa: PLR2004 - what stands under a bar
        return [name if len(name) <= 16 else f"{name[:15]}…"]  # noqa: PLR2004 - likewise
    spaces = [place for place, letter in enumerate(name) if letter == " "]
    cut = min(spaces, key=lambda place: abs(place - len(name) / 2))
    return [name[:cut], name[cut + 1 :]]
