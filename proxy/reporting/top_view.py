"""The terminal's picture of a running proxy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from .figures import UNKNOWN_SIGN, between, count, number, short
from .watch import Watched

_BARS: Final = "▁▂▃▄▅▆▇█"
_COLOURS: Final = {"attributed": "green", "idle": "blue", "bypass": "magenta", "unresolved": "yellow"}
_FIXED_LINES: Final = 12
"""What stands above the requests, with one device and one upstream."""
_LEAST_REQUESTS: Final = 3


def render(watched: Watched, *, width: int, height: int) -> RenderableType:
    """One picture that fits so many columns and lines."""
    rows = max(_LEAST_REQUESTS, height - _FIXED_LINES - len(watched.devices) - len(watched.upstreams) - len(watched.budgets))
    parts: list[RenderableType] = [_title(watched), "", _power(watched, width), _upstreams(watched), _devices(watched)]
    if watched.budgets:
        parts.append(_budgets(watched))
    return Group(*parts, _requests(watched, rows))


def _title(watched: Watched) -> Text:
    words = f"jevons {watched.version}  {short(watched.watts, 'W')}  {count(watched.in_flight)} in flight"
    title = Text(words, style="bold")
    if watched.problem is not None:
        title.append(f"  {watched.problem}", style="bold red")
    return title.append("  q quits", style="dim")


def _power(watched: Watched, width: int) -> Text:
    text = Text()
    for account, watts in watched.power().items():
        text.append("■ ", style=_COLOURS[account]).append(f"{account} {short(watts, 'W')}   ")
    return text.append("\n").append(sparkline(watched.history(), max(10, width - 2)), style="green")


def sparkline(values: Sequence[float], width: int) -> str:
    """The latest values as bars, the highest of them full."""
    shown = list(values)[-width:]
    top = max(shown, default=0.0)
    if top <= 0.0:
        return _BARS[0] * len(shown)
    return "".join(_BARS[min(len(_BARS) - 1, int(value / top * len(_BARS)))] for value in shown)


def _upstreams(watched: Watched) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("upstream", "", "J/token"):
        table.add_column(name, justify="right" if name == "J/token" else "left")
    for name, joules in watched.joules_per_token().items():
        is_up = watched.upstreams[name]
        table.add_row(Text(name), Text("up" if is_up else "down", style="green" if is_up else "bold red"), number(joules))
    return table


def _devices(watched: Watched) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("meter", "", "power", "counter/power", ""):
        table.add_column(name, justify="right" if name in {"power", "counter/power"} else "left")
    for each in watched.devices:
        state = Text("up", style="green") if each["is_up"] else Text("down", style="bold red")
        ratio = number(each["counter_power_ratio"])
        table.add_row(Text(each["device"]), state, short(each["watts"], "W"), ratio, Text(each["reason"] or each["name"]))
    return table


def _budgets(watched: Watched) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in ("budget", "used", "of"):
        table.add_column(name, justify="left" if name == "budget" else "right")
    for each in watched.budgets:
        table.add_row(Text(str(each.get("name"))), short(each.get("used_joules"), "J"), short(each.get("limit_joules"), "J"))
    return table


def _requests(watched: Watched, rows: int) -> Table:
    table = Table(box=None, pad_edge=False, title=f"the last {rows} requests (*: estimated or simulated)", title_justify="left")
    for name in ("UTC", "tenant", "upstream", "route", "out", "J", "between", "s", "outcome"):
        is_figure = name in {"out", "J", "between", "s"}
        table.add_column(name, justify="right" if is_figure else "left", no_wrap=True, overflow="ellipsis")
    for each in list(watched.requests)[: -rows - 1 : -1]:
        table.add_row(*_request(each))
    return table


def _request(each: dict[str, Any] | Any) -> list[Text]:
    energy = each["energy"]
    joules = number(energy["joules"]) + ("*" if energy["method"] in {"estimated", "simulated"} else "")
    words = [
        datetime.fromtimestamp(each["at"], UTC).strftime("%H:%M:%S"),
        each["tenant"],
        each["upstream"] or UNKNOWN_SIGN,
        each["route"] or UNKNOWN_SIGN,
        count(each["tokens"]["completion"]),
        joules,
        between(energy["low"], energy["high"]),
        number(each["seconds"]),
        each["outcome"] or UNKNOWN_SIGN,
    ]
    return [Text(word) for word in words]
