"""The results of a run: as data, and as a Markdown page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from .figures import (
    CPU_FIGURES,
    FIGURES,
    KEPT_PACE,
    OTHER_FIGURES,
    REFERENCES,
    Cell,
    Figure,
    Spread,
    Table,
    is_failing,
    kept_pace,
    tabulate,
)
from .rounds import Run
from .subjects import DIRECT, Subject
from .workloads import WORKLOADS

FOREIGN_SHARE: Final = 0.05
"""Above this share of the proxy's core taken by others, the run says so."""
BEHIND: Final = "\\*"
"""Marks figures of a proxy that fell behind the pace."""
NONE: Final = "n/a"


def results(run: Run, command: str) -> dict[str, object]:
    """Everything, figures and raw counts, for programs."""
    table = tabulate(run.visits, FIGURES)
    return {
        "command": command,
        "started_at": run.started_at.isoformat(timespec="seconds"),
        "took_seconds": round(run.took_seconds, 1),
        "machine": run.machine,
        "cores": run.cores,
        "load_average_before": run.load_average,
        "plan": {
            "rounds": run.plan.rounds,
            "seconds": run.plan.seconds,
            "warmup_seconds": run.plan.warmup_seconds,
            "workloads": run.plan.workloads,
        },
        "subjects": {subject.name: {"title": subject.title, "version": subject.version} for subject in run.subjects},
        "skipped": run.skipped,
        "figures": {figure.name: {"title": figure.title, "unit": figure.unit} for figure in FIGURES},
        "table": {
            subject: {name: {**_spread_json(cell.spread), "ratios": _ratios_json(cell)} for name, cell in cells.items()}
            for subject, cells in table.items()
        },
        "notes": notes(run),
        "visits": run.visits,
    }


def _ratios_json(cell: Cell) -> dict[str, object]:
    return {reference: _spread_json(ratio) for reference, ratio in cell.ratios.items()}


def _spread_json(spread: Spread) -> dict[str, object]:
    return {"median": _rounded(spread.median), "rounds": [_rounded(value) for value in spread.values]}


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def results_json(run: Run, command: str) -> str:
    """The results as JSON, a line for each subject's row and each visit, so that a difference between two runs can be read."""
    fields = [f"{_encoded(name)}: {_broken(value)}" for name, value in results(run, command).items()]
    return "{\n" + ",\n".join(fields) + "\n}\n"


def _broken(value: object) -> str:
    match value:
        case list() if value:
            return "[\n  " + ",\n  ".join(_encoded(item) for item in value) + "\n]"
        case dict() if value:
            return "{\n  " + ",\n  ".join(f"{_encoded(name)}: {_encoded(item)}" for name, item in value.items()) + "\n}"
        case _:
            return _encoded(value)


def _encoded(value: object) -> str:
    return msgspec.json.encode(value).decode()


def markdown(run: Run, command: str, *, plot: str | None = None) -> str:
    """The page: where and when, the table, the ratios, and what to keep in mind."""
    table = tabulate(run.visits, FIGURES)
    subjects = [subject for subject in run.subjects if subject.name in table]
    parts = ["# What a proxy costs\n", _circumstances(run, command)]
    if plot:
        parts.append(f"![CPU time per request and per event]({plot})\n")
    parts += [
        "## CPU time\n",
        "User and system time of the proxy's whole process tree, in µs per request or per event.\n",
        _grid(CPU_FIGURES, subjects, table, behind=fallen_behind(run)),
        "## Latency, memory, start\n",
        *_without_proxy(run),
        _grid(OTHER_FIGURES, subjects, table),
    ]
    for reference in REFERENCES:
        if reference in table:
            parts += [f"## Ratio to {reference}\n", "Taken within each round, then the median.\n"]
            parts.append(_ratio_grid(reference, subjects, table))
    remarks = notes(run)
    if remarks:
        parts += ["## To keep in mind\n", "\n".join(f"- {remark}" for remark in remarks) + "\n"]
    return "\n".join(parts)


def _circumstances(run: Run, command: str) -> str:
    versions = ", ".join(dict.fromkeys(f"{_product(subject)} {subject.version}" for subject in run.subjects if subject.version))
    plan, machine, cores = run.plan, run.machine, run.cores
    rounds = "one round" if plan.rounds == 1 else f"{plan.rounds} rounds of all in turn"
    return (
        f"- {run.started_at:%Y-%m-%d %H:%M} UTC, `{command}`, {run.took_seconds / 60:.0f} minutes\n"
        f"- {machine.cpu}, {machine.cores} cores; {machine.kernel}; {machine.system}; Python {machine.python}\n"
        f"- proxy on core {cores.proxy}, load and mock model server on core {cores.load}\n"
        f"- {versions}\n"
        f"- {rounds}, {plan.seconds:g} s counted per workload after {plan.warmup_seconds:g} s of it; medians, and in brackets"
        " the lowest and highest round\n"
    )


def fallen_behind(run: Run) -> dict[tuple[str, str], float]:
    """By subject and workload, for those that did not keep up in some round: the least share of the events that came."""
    found: dict[tuple[str, str], float] = {}
    for visit in run.visits:
        for workload in WORKLOADS:
            kept = kept_pace(visit, workload)
            if kept is not None and kept < KEPT_PACE:
                key = visit.subject, workload.name
                found[key] = min(kept, found.get(key, 1.0))
    return found


def _product(subject: Subject) -> str:
    return subject.name.partition("-")[0] if subject.name.startswith("jevons") else subject.name


def _grid(
    figures: Sequence[Figure], subjects: Sequence[Subject], table: Table, *, behind: Mapping[tuple[str, str], float] | None = None
) -> str:
    def text(subject: Subject, figure: Figure) -> str:
        cell = table[subject.name].get(figure.name)
        mark = BEHIND if behind and (subject.name, figure.name) in behind else ""
        return _spread_text(cell.spread) + mark if cell else NONE

    shown = _known(figures, table)
    rows = [[f"{figure.title}, {figure.unit}", *(text(subject, figure) for subject in subjects)] for figure in shown]
    return _markdown_table(["", *(subject.title for subject in subjects)], rows)


def _ratio_grid(reference: str, subjects: Sequence[Subject], table: Table) -> str:
    def text(subject: Subject, figure: Figure) -> str:
        cell = table[subject.name].get(figure.name)
        ratio = cell.ratios.get(reference) if cell else None
        return _spread_text(ratio) if ratio else NONE

    others = [subject for subject in subjects if subject.name != reference]
    rows = [[figure.title, *(text(subject, figure) for subject in others)] for figure in _known(CPU_FIGURES, table)]
    return _markdown_table(["", *(subject.title for subject in others)], rows)


def _known(figures: Sequence[Figure], table: Table) -> list[Figure]:
    """Those that somebody has: the others belong to workloads that were not run."""
    return [figure for figure in figures if any(figure.name in cells for cells in table.values())]


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _spread_text(spread: Spread) -> str:
    if len(spread.values) == 1:
        return significant(spread.median)
    return f"{significant(spread.median)} ({significant(spread.low)} … {significant(spread.high)})"


def significant(value: float) -> str:
    """Three figures, which is more than a shared machine repeats."""
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0  # noqa: PLR2004 - the powers of ten
    return f"{value:,.{digits}f}"


def _without_proxy(run: Run) -> list[str]:
    base = [visit for visit in run.visits if visit.subject == DIRECT]
    found = []
    for workload, name, what in (("calm", "latency_us", "a reply"), ("calm-stream", "first_event_us", "a first event")):
        measured = [one for visit in base if (one := visit.measurement(workload))]
        medians = tuple(series.p50 / 1e3 for one in measured if (series := getattr(one.load, name)))
        if medians:
            found.append(f"{what} takes {_spread_text(Spread(medians))} ms")
    return [f"Without a proxy {' and '.join(found)} in the median.\n"] if found else []


def notes(run: Run) -> list[str]:
    """What a reader must know of this run before believing a figure."""
    found = [f"{name} was left out: {reason.splitlines()[0]}" for name, reason in run.skipped.items()]
    if run.cores.are_siblings:
        found.append("Proxy and load shared one physical core, as two hardware threads: absolute figures are too high.")
    if run.load_average > 0.5 * run.machine.cores:
        found.append(f"The machine was busy before the run began: load average {run.load_average:.1f}.")
    foreign = [one.foreign_share for visit in run.visits for one in visit.measurements if one.foreign_share is not None]
    if foreign and max(foreign) > FOREIGN_SHARE:
        busy = sum(share > FOREIGN_SHARE for share in foreign)
        found.append(
            f"Others took more than {FOREIGN_SHARE:.0%} of the proxy's core in {busy} of {len(foreign)} measurements"
            f" (at most {max(foreign):.0%})."
        )
    for subject in run.subjects:
        found += _failures(subject, run)
    late = [f"{name} in {workload} ({share:.0%} of the events came)" for (name, workload), share in fallen_behind(run).items()]
    if late:
        found.append(
            f"{BEHIND} It fell behind the pace in some round, and the figure is that of a saturated core, which is lower:"
            f" {', '.join(late)}."
        )
    return found


def _failures(subject: Subject, run: Run) -> list[str]:
    found = []
    for workload in WORKLOADS:
        visits = [visit for visit in run.visits if visit.subject == subject.name]
        measured = [one for visit in visits if (one := visit.measurement(workload.name))]
        where = f"{subject.title}, {workload.title}"
        if any(is_failing(one.load.ok, one.load.bad) for one in measured):
            bad = sum(one.load.bad for one in measured)
            found.append(f"{where}: {bad} requests failed; rounds with failures have no figure.")
        if any(one.load.odd for one in measured):
            odd = sum(one.load.odd for one in measured)
            found.append(f"{where}: {odd} streams had another number of events than were sent.")
    return found
