"""What `jevons bench attribution` does."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click
import msgspec

from ..machine import describe_machine
from .cost import DAY_SECONDS, describe, measure_cost, measure_memory
from .plot import draw
from .report import Report, markdown, results_json
from .study import run_study
from .workloads import WORKLOADS, Workload

STEM: Final = "attribution"
"""What the files of results are called."""


def print_study(wanted: tuple[str, ...], *, is_quick: bool, out: Path | None, as_json: bool) -> None:
    """Play the workloads, print the table, and write it where that is asked for."""
    workloads = choose(wanted)
    started_at = datetime.now(UTC)
    study = run_study(workloads, is_quick=is_quick, say=lambda line: click.echo(line, err=True))
    report = Report(study, _command(wanted, is_quick=is_quick), describe_machine(), started_at)
    if out:
        write(out, report)
    click.echo(results_json(report) if as_json else markdown(report), nl=False)


def choose(wanted: tuple[str, ...]) -> list[Workload]:
    """The workloads of these names, or all; raises click.BadParameter for one that there is not."""
    names = [workload.name for workload in WORKLOADS]
    for name in wanted:
        if name not in names:
            raise click.BadParameter(f"{name!r} is none of {', '.join(names)}", param_hint="--workload")
    return [workload for workload in WORKLOADS if not wanted or workload.name in wanted]


def write(folder: Path, report: Report) -> None:
    """JSON, Markdown and the plot."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{STEM}.json").write_text(results_json(report))
    (folder / f"{STEM}.svg").write_text(draw(report.study.rows))
    (folder / f"{STEM}.md").write_text(markdown(report, plot=f"{STEM}.svg"))
    click.echo(f"written to {folder}: {STEM}.json, {STEM}.md, {STEM}.svg", err=True)


def print_cost(*, is_quick: bool, as_json: bool) -> None:
    """Measure and print; the memory over a day, or over four hours where it is to be quick."""
    cost = measure_cost()
    memory = measure_memory(DAY_SECONDS / 6 if is_quick else DAY_SECONDS)
    if as_json:
        click.echo(msgspec.json.encode({"microseconds": cost, "memory": memory}).decode())
    else:
        click.echo(describe(cost, memory), nl=False)


def _command(wanted: tuple[str, ...], *, is_quick: bool) -> str:
    words = ["jevons", "bench", "attribution", *(["--quick"] if is_quick else [])]
    return shlex.join([*words, *(word for name in wanted for word in ("--workload", name))])
