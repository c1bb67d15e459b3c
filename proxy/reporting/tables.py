"""A report for the terminal."""

from __future__ import annotations

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from .figures import UNKNOWN_SIGN, between, count, money, number, share, short
from .period import iso_minute
from .report import Report
from .savings import Savings
from .sums import Sums, Tariff


def print_report(report: Report, console: Console) -> None:
    """Headline, groups, devices, the heaviest, and what has to be known of it."""
    console.print(Group(*_parts(report)))


def _parts(report: Report) -> list[RenderableType]:
    parts: list[RenderableType] = [
        Text(headline(report), style="bold"),
        Text(f"{report.period.text}; {_ways(report)}", style="dim"),
        "",
    ]
    if report.total.requests == 0:
        return [*parts, Text("No requests in this time.")]
    parts += [_groups(report), ""]
    if report.accounts:
        parts += [_accounts(report), ""]
    if report.heaviest:
        parts += [_heaviest(report), ""]
    parts += [Text(savings_text(report.savings)), *(Text(line) for line in carbon_lines(report))]
    return [*parts, *(Text(note, style="yellow") for note in report.notes)]


def headline(report: Report) -> str:
    """One line that says it all."""
    total = report.total
    words = [f"{count(total.requests)} requests", short(total.joules, "J"), f"{number(total.watt_hours)} Wh"]
    if (cost := report.tariff.cost(total.joules)) is not None:
        words.append(f"cost {money(cost)}")
    if total.gco2e is not None:
        words.append(f"{short(total.gco2e, 'g')} CO2e")
    return " · ".join(words) + (" · SIMULATED" if report.is_simulated else "")


def _ways(report: Report) -> str:
    return "energy " + ", ".join(f"{method}: {count(requests)}" for method, requests in report.methods.items())


def savings_text(savings: Savings) -> str:
    """What routing saved, or why nobody knows."""
    if savings.joules is None:
        return f"Saved by routing: unknown, since {savings.why}."
    span = f"{short(savings.low, 'J')} to {short(savings.high, 'J')}"
    return (
        f"Saved by routing: {short(savings.joules, 'J')} (95 %: {span}) over {count(savings.requests)} requests that were "
        f"answered directly, measured on {count(savings.pairs)} of which the reasoning arm was run as well, for "
        f"{short(savings.holdout_joules, 'J')}."
    )


def carbon_lines(report: Report) -> list[str]:
    """Where the grams come from, a line for each source."""
    if not report.grid:
        return ["CO2e: unknown, since no carbon intensity was configured or known (energy.carbon)."]
    return [
        f"CO2e: {each.source}, {number(each.least)} to {number(each.most)} gCO2e per kWh over {count(each.requests)} requests, "
        f"PUE {report.tariff.pue:g}."
        for each in report.grid
    ]


FIGURES = ("requests", "J", "Wh", "J/request", "J/token", "tokens out", "cost", "gCO2e")


def figures_of(sums: Sums, tariff: Tariff) -> list[str]:
    """One row of figures, in the order of `FIGURES`."""
    return [
        count(sums.requests),
        number(sums.joules),
        number(sums.watt_hours),
        number(sums.joules_per_request),
        number(sums.joules_per_token),
        count(sums.completion_tokens),
        money(tariff.cost(sums.joules)),
        number(sums.gco2e),
    ]


def _groups(report: Report) -> Table:
    table = Table(title="By " + ", ".join(report.by) if report.by else None, title_justify="left", show_footer=True)
    for place, dimension in enumerate(report.by):
        table.add_column(dimension, footer="all" if place == 0 else "", overflow="fold")
    for name, figure in zip(FIGURES, figures_of(report.total, report.tariff), strict=True):
        table.add_column(name, justify="right", footer=figure)
    for key, sums in report.groups.items():
        table.add_row(*(Text(word) for word in key), *figures_of(sums, report.tariff))
    return table


def _accounts(report: Report) -> Table:
    table = Table(title="Where the devices' energy went", title_justify="left")
    for name in ("device", "account"):
        table.add_column(name)
    for name in ("J", "share", "cost"):
        table.add_column(name, justify="right")
    whole = sum(report.accounts.values())
    for (device, account), joules in report.accounts.items():
        table.add_row(Text(device), account, number(joules), share(joules, whole), money(report.tariff.cost(joules)))
    return table


def _heaviest(report: Report) -> Table:
    table = Table(title="The heaviest requests", title_justify="left")
    for name in ("started", "tenant", "upstream", "route"):
        table.add_column(name, overflow="fold")
    for name in ("tokens in", "out", "J", "between"):
        table.add_column(name, justify="right")
    table.add_column("request", overflow="fold")
    for row in report.heaviest:
        words = (row["tenant"], row["upstream"] or UNKNOWN_SIGN, row["route"] or UNKNOWN_SIGN)
        table.add_row(
            iso_minute(row["started_at"]),
            *(Text(word) for word in words),
            count(row["prompt_tokens"]),
            count(row["completion_tokens"]),
            number(row["joules"]),
            between(row["joules_low"], row["joules_high"]),
            Text(row["request_id"]),
        )
    return table
