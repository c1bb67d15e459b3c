"""What a dashboard is made of, as data: sections of panels, each with its expressions, its unit and its description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

SELECTOR: Final = 'job=~"$job"'
"""In every expression: which of the scraped proxies."""


@dataclass(frozen=True, slots=True)
class Query:
    """One expression, and how its series are named in the legend."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture. `unit` is Grafana's word; `kind` how it is drawn; `width` is of 24 columns."""

    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    kind: Literal["lines", "stack", "shares", "stat", "bars", "heatmap"] = "lines"
    width: int = 8
    height: int = 8
    decimals: int | None = None
    from_zero: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One dashboard; `uid` is fixed, so that links to it last."""

    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    has_past: bool = False
    """Whether it compares with the past: then there is a variable for how long ago."""


def rate(metric: str, by: str = "", **labels: str) -> str:
    """`sum by (…)(rate(metric{…}[$__rate_interval]))`; a label's value may begin with `~` to be a pattern."""
    return f"sum{f' by ({by}) ' if by else ''}(rate({metric}{{{_matchers(labels)}}}[$__rate_interval]))"


def increase(metric: str, by: str = "", over: str = "$__range", offset: str = "", **labels: str) -> str:
    """`sum by (…)(increase(metric{…}[over]))`, over the time shown unless told."""
    past = f" offset {offset}" if offset else ""
    return f"sum{f' by ({by}) ' if by else ''}(increase({metric}{{{_matchers(labels)}}}[{over}]{past}))"


def ratio(above: str, below: str) -> str:
    """One over the other, absent where the other is 0: nothing is no ratio."""
    return f"{above} / ({below} > 0)"


def quantile(share: float, metric: str, by: str) -> str:
    """Of a histogram, over the rate interval."""
    buckets = rate(f"{metric}_bucket", f"le, {by}" if by else "le")
    return f"histogram_quantile({share}, {buckets})"


def _matchers(labels: dict[str, str]) -> str:
    matchers = [f'{name}=~"{value[1:]}"' if value.startswith("~") else f'{name}="{value}"' for name, value in labels.items()]
    return ", ".join([SELECTOR, *matchers])
