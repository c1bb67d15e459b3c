"""The results of a study: as data, and as a Markdown page."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from ...metering.coefficients import LISTED_DOUBT
from ..machine import Machine
from .methods import METHODS, Method
from .study import WARM_SECONDS, Row, Score, Study
from .world import UNLIKE

NONE: Final = "n/a"
_BOUNDS_SAY: Final = (
    "Of *jevons, as it learns* and *from the table alone*: how many of the true values lie within `low` … `high`, where 85 to"
    " 95 % are aimed at, and how wide half of that is in the median. Then of *as it learns* how far all charges together are from"
    " the truth, and conservation, the parts against the counters, in the worst run of all."
)
_NOTES: Final = (
    (
        "The engine is simulated step by step and knows what each request has cost: an equal part of the fixed energy of every"
        " step it was in, and what it added. It has the form of the law that jevons assumes. Whether real engines have it is"
        " another question (docs/metering.md)."
    ),
    (
        "Each seed has an engine of its own, whose four terms are off the table's by factors with a standard deviation of"
        f" {UNLIKE:g} in the logarithm: models that are not in the table are about so unlike what it foretells of them."
        " They are drawn by Latin hypercube: of ten seeds each has another tenth of what a term may be. *True coefficients* is"
        " told what they are, and its bounds, which nobody told, are not shown."
    ),
    (
        f"A model that is in the table is off its own row by {LISTED_DOUBT:g} in a step's and a token's energy, as rows of one"
        " model on as many cards are off each other; context and prompt, which are in no row, by as much as for any other."
    ),
    (
        "In the two rows after `jevons calibrate` its stages, windows and fit were run on each engine alone, in virtual time,"
        " before any client came: *as it learns* starts from what was found. What is said there of the table is as in the rows"
        " that they repeat."
    ),
    (
        "No constant of the metering was chosen by these seeds; what had to be chosen by simulation was chosen on others (101 to"
        " 140). A run draws its engines once, and its requests err together: a row has as many draws as single runs differ."
    ),
    (
        "A step's energy varies by 2 % about the law; the proxy's own estimates of prompt tokens are off by up to 20 % until the"
        " server has counted; a step's tokens arrive up to 2 ms late. The counter moves every 100 ms and trails by 30 ms, unless"
        " the row says otherwise."
    ),
    (
        "Errors are those of the division: the sensor's gain is 1. The bounds are held against the truth under every gain within"
        " 5 % instead, all equally likely; charges and bounds are proportional to it. They are those that were told when a"
        " request became final, by what had been learned until then."
    ),
    (
        f"Requests that began in the first {WARM_SECONDS:.0f} s are not judged. The others' methods are given the same readings,"
        " the server's own token counts, and windows of one second."
    ),
)
FAR: Final = 10.0
"""Errors from here on are written as a factor."""


@dataclass(frozen=True, slots=True)
class Report:
    """A study, and where and when it was made."""

    study: Study
    command: str
    machine: Machine
    started_at: datetime


def results_json(report: Report) -> str:
    """All figures, for programs; a line for each workload."""
    study = report.study
    head = {
        "command": report.command,
        "started_at": report.started_at.isoformat(timespec="seconds"),
        "took_seconds": round(study.took_seconds, 1),
        "machine": report.machine,
        "methods": {method.name: method.title for method in METHODS},
    }
    fields = [f"{_encoded(name)}: {_encoded(value)}" for name, value in head.items()]
    rows = ",\n  ".join(f"{_encoded(row.workload.name)}: {_encoded(_row_json(row))}" for row in study.rows)
    return "{\n" + ",\n".join(fields) + ',\n"workloads": {\n  ' + rows + "\n}\n}\n"


def _row_json(row: Row) -> dict[str, object]:
    scores = {name: _score_json(score) for name, score in row.scores.items()}
    return {"title": row.workload.title, "seeds": list(row.seeds), "requests": row.requests, "methods": scores}


def _score_json(score: Score) -> dict[str, object]:
    found = {
        "median_error": score.median,
        "p95_error": score.p95,
        "shift": score.shift,
        "coverage": score.coverage,
        "half_width": score.half_width,
        "residual": score.residual,
    }
    return {name: None if value is None else float(f"{value:.4g}") for name, value in found.items()}


def _encoded(value: object) -> str:
    return msgspec.json.encode(value).decode()


def markdown(report: Report, *, plot: str | None = None) -> str:
    """The page: where and when, errors, bounds, and what to keep in mind."""
    rows = report.study.rows
    parts = ["# How near each request's joules come to the truth\n", _circumstances(report)]
    if plot:
        parts.append(f"![Relative error per request, by method and workload]({plot})\n")
    parts += [
        "## Relative error of a request's energy\n",
        "Median / 95th percentile over requests. From ten times the truth on, the factor.\n",
        _table(["workload", *(method.title for method in METHODS)], [_errors(row) for row in rows]),
        "## The bounds, and the sums\n",
        f"{_BOUNDS_SAY}\n",
        _table(
            ["workload", "learning: held", "half-width", "table: held", "half-width", "sum", "conservation"],
            [_bounds(row) for row in rows],
        ),
        "## To keep in mind\n",
        _notes(),
    ]
    return "\n".join(parts)


def _circumstances(report: Report) -> str:
    study, machine = report.study, report.machine
    requests = sum(row.requests for row in study.rows)
    return (
        f"- {report.started_at:%Y-%m-%d %H:%M} UTC, `{report.command}`, {study.took_seconds / 60:.1f} minutes;"
        f" {machine.cores} cores, Python {machine.python}\n"
        f"- everything is **simulated**, in virtual time: {requests:,} requests; {_seeds(study.rows)}\n"
    )


def _seeds(rows: Sequence[Row]) -> str:
    """The seeds of most rows, and those of rows that have others."""
    usual = statistics.mode(tuple(row.seeds) for row in rows)
    others = [f"of *{row.workload.title}* {_span(row.seeds)}" for row in rows if tuple(row.seeds) != usual]
    return ", ".join([f"seeds {_span(usual)}", *others])


def _span(seeds: Sequence[int]) -> str:
    return f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else str(seeds[0])


def _errors(row: Row) -> list[str]:
    return [row.workload.title, *(_pair(row.scores[method.name], method) for method in METHODS)]


def _pair(score: Score, method: Method) -> str:
    text = f"{_error(score.median)} / {_error(score.p95)}"
    return f"**{text}**" if method.name == "fitted" else text


def _error(value: float) -> str:
    if value >= FAR:
        return f"{value + 1:.0f} times"
    return f"{100 * value:.0f} %" if value >= 0.1 else f"{100 * value:.1f} %"  # noqa: PLR2004 - two figures


def _bounds(row: Row) -> list[str]:
    learning, table = row.scores["fitted"], row.scores["priors"]
    residual = max(score.residual or 0.0 for score in row.scores.values())
    return [
        row.workload.title,
        _share(learning.coverage),
        _share(learning.half_width),
        _share(table.coverage),
        _share(table.half_width),
        f"{100 * learning.shift:+.1f} %",
        f"{residual:.0e}",
    ]


def _share(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.0f} %" if value >= 0.1 else f"{100 * value:.1f} %"  # noqa: PLR2004


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _notes() -> str:
    return "\n".join(f"- {note}" for note in _NOTES) + "\n"
