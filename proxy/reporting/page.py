"""A report as one HTML file that needs nothing besides: good to send to somebody who has no jevons."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Final

from ..units import Joules
from .charts import Column, colour_class, shares, stacked
from .figures import UNKNOWN_SIGN, between, count, money, number, share, short
from .period import iso_minute
from .report import Report
from .tables import FIGURES, carbon_lines, figures_of, savings_text

_HERE: Final = Path(__file__).parent
_SECONDS_PER_HOUR: Final = 3600
_MOST_HOURS: Final = 72
"""Beyond these bars are days."""
_HOURS_PER_DAY: Final = 24
_MOST_ROWS: Final = 200
SIMULATED: Final = "Simulated: the figures below come from a simulated device, and not from a measurement."


def render_page(report: Report, *, version: str, made_at: float) -> str:
    """The page."""
    sections = [_cards(report)]
    if report.total.requests:
        sections += [_over_time(report), _devices(report), _groups(report), _heaviest(report)]
    sections.append(_about(report))
    return Template((_HERE / "page.html").read_text(encoding="utf-8")).substitute(
        title="Energy of language model requests",
        subtitle=escape(report.period.text),
        banner=f'<p class="banner">{escape(SIMULATED)}</p>' if report.is_simulated else "",
        style=(_HERE / "page.css").read_text(encoding="utf-8"),
        main="\n".join(section for section in sections if section),
        footer=f"Made by jevons {escape(version)} at {iso_minute(made_at)} UTC from its ledger.",
    )


def _cards(report: Report) -> str:
    total, tariff = report.total, report.tariff
    cards = [
        (count(total.requests), "requests"),
        (short(total.watt_hours, "Wh"), f"of energy ({short(total.joules, 'J')})"),
        (short(total.joules_per_request, "J"), "per request"),
        (short(total.joules_per_token, "J"), "per token of answer"),
        (
            money(tariff.cost(total.joules)),
            f"cost, at {tariff.price_per_kwh:g} per kWh" if tariff.price_per_kwh else "cost: no price given",
        ),
        (short(total.gco2e, "g"), "CO₂e"),
        (short(report.savings.joules, "J"), "saved by routing"),
    ]
    inner = "".join(f'<div class="card"><b>{escape(value)}</b><span>{escape(label)}</span></div>' for value, label in cards)
    return f'<section class="cards">{inner}</section>'


def _over_time(report: Report) -> str:
    hours = sorted({hour for hour, _ in report.hours})
    by_days = hours[-1] - hours[0] >= _MOST_HOURS
    step = _HOURS_PER_DAY if by_days else 1
    bars: dict[int, dict[str, Joules]] = defaultdict(lambda: defaultdict(float))
    weights: dict[str, Joules] = defaultdict(float)
    for (hour, upstream), sums in report.hours.items():
        bars[hour // step][upstream] += sums.joules or 0.0
        weights[upstream] += sums.joules or 0.0
    series = sorted((name for name, joules in weights.items() if joules > 0.0), key=lambda name: -weights[name])
    columns = [
        Column(_bar_label(place * step, by_days=by_days), bars[place]) for place in range(hours[0] // step, hours[-1] // step + 1)
    ]
    title = f"Energy of requests per {'day' if by_days else 'hour'}, by model server"
    return _figure(title, stacked(columns, series, title), series)


def _bar_label(hour: int, *, by_days: bool) -> str:
    text = iso_minute(hour * _SECONDS_PER_HOUR)
    return text[5:10] if by_days else text[11:]


def _devices(report: Report) -> str:
    totals: dict[str, Joules] = defaultdict(float)
    for (_, account), joules in report.accounts.items():
        totals[account] += joules
    if not totals:
        return ""
    whole = sum(totals.values())
    title = f"Where the devices' energy went ({short(whole, 'J')})"
    legend = [f"{name} {short(joules, 'J')} ({share(joules, whole)})" for name, joules in totals.items()]
    words = (
        "attributed: to requests; idle: while nobody asked for anything; bypass: others past jevons; unresolved: what no reading "
        "can be laid to anybody's account."
    )
    return _figure(title, shares(totals, title), legend, words)


def _figure(title: str, svg: str, legend: Sequence[str], words: str = "") -> str:
    marks = "".join(f'<li><i class="{colour_class(place)}"></i>{escape(name)}</li>' for place, name in enumerate(legend))
    below = f'<p class="quiet">{escape(words)}</p>' if words else ""
    return f'<section><h2>{escape(title)}</h2><figure>{svg}</figure><ul class="legend">{marks}</ul>{below}</section>'


def _groups(report: Report) -> str:
    groups = list(report.groups.items())
    rows = [[*key, *figures_of(sums, report.tariff)] for key, sums in groups[:_MOST_ROWS]]
    footer = [*("all" if place == 0 else "" for place, _ in enumerate(report.by)), *figures_of(report.total, report.tariff)]
    title = f"By {', '.join(report.by)}" + (f" (the first {_MOST_ROWS} of {len(groups)})" if len(groups) > _MOST_ROWS else "")
    return _table(title, [*report.by, *FIGURES], rows, texts=len(report.by), footer=footer)


def _heaviest(report: Report) -> str:
    rows = [
        [
            iso_minute(row["started_at"]),
            row["tenant"],
            row["upstream"] or UNKNOWN_SIGN,
            row["route"] or UNKNOWN_SIGN,
            row["request_id"],
            count(row["prompt_tokens"]),
            count(row["completion_tokens"]),
            number(row["joules"]),
            between(row["joules_low"], row["joules_high"]),
        ]
        for row in report.heaviest
    ]
    names = ["started", "tenant", "upstream", "route", "request", "tokens in", "out", "J", "between"]
    return _table("The heaviest requests", names, rows, texts=5)


def _table(title: str, names: Sequence[str], rows: Sequence[Sequence[str]], *, texts: int, footer: Sequence[str] = ()) -> str:
    """The first `texts` columns are words, the others figures."""

    def line(tag: str, cells: Sequence[str]) -> str:
        marks = ['class="text"' if place < texts else "" for place, _ in enumerate(cells)]
        return (
            "<tr>" + "".join(f"<{tag} {mark}>{escape(cell)}</{tag}>" for cell, mark in zip(cells, marks, strict=True)) + "</tr>"
        )

    body = "\n".join(line("td", row) for row in rows)
    foot = f"<tfoot>{line('td', footer)}</tfoot>" if footer else ""
    return (
        f'<section><h2>{escape(title)}</h2><div class="scroll"><table><thead>{line("th", names)}</thead>'
        f"<tbody>{body}</tbody>{foot}</table></div></section>"
    )


def _about(report: Report) -> str:
    ways = ", ".join(f"{count(requests)} {method}" for method, requests in report.methods.items()) or "no requests"
    lines = [
        savings_text(report.savings),
        *carbon_lines(report),
        f"Energy is that of the devices ({ways}), attributed to requests so that the parts sum to the devices' counters.",
        f"The bounds of all requests sum to {short(report.total.low, 'J')} to {short(report.total.high, 'J')}.",
        f"Cost and CO2e count the building too: PUE {report.tariff.pue:g}.",
    ]
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in report.notes)
    return "<section><h2>How to read this</h2>" + "".join(f"<p>{escape(line)}</p>" for line in lines) + notes + "</section>"
