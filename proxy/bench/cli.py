"""`jevons bench`: reproducible benchmarks."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from .gpu.cli import gpu
from .ledger_cli import ledger_bench
from .resources_cli import blocking, memory
from .soak.cli import soak

if TYPE_CHECKING:
    from .rounds import Run

STEM: Final = "proxy"
"""What the files of results are called."""


@click.group()
@click.pass_context
def bench(context: click.Context) -> None:
    """Measure jevons itself."""
    context.with_resource(_stopped_whole())


@contextmanager
def _stopped_whole() -> Iterator[None]:
    """SIGTERM ends a bench as an error would: every `with` on the way out stops what it has started."""

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@bench.command("proxy")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="How often to visit every subject.")
@click.option("--seconds", type=click.FloatRange(min=0.1), default=1.2, show_default=True, help="Counted per workload.")
@click.option("--only", multiple=True, metavar="NAME", help="Measure this subject; may be given again.")
@click.option("--workload", "wanted", multiple=True, metavar="NAME", help="Run this workload; may be given again.")
@click.option("--peers", is_flag=True, help="Install other gateways first, each into an environment of its own.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write JSON, Markdown and a plot there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def proxy(
    *, rounds: int, seconds: float, only: tuple[str, ...], wanted: tuple[str, ...], peers: bool, out: Path | None, as_json: bool
) -> None:
    """Measure what a proxy costs: CPU per request and per event, latency, memory; jevons, nginx, and what else is installed."""
    from .programs import cache_folder
    from .report import markdown, results_json
    from .rounds import Plan, run_bench
    from .workloads import WORKLOADS

    names = [workload.name for workload in WORKLOADS]
    for name in wanted:
        if name not in names:
            raise click.BadParameter(f"{name!r} is none of {', '.join(names)}", param_hint="--workload")
    plan = Plan(rounds, seconds, only=only, workloads=tuple(one for one in WORKLOADS if not wanted or one.name in wanted))
    command = _command(rounds, seconds, only, wanted, peers=peers)
    run = run_bench(plan, os.sched_getaffinity(0), cache_folder(), lambda line: click.echo(line, err=True), installs_peers=peers)
    if out:
        _write(out, run, command)
    click.echo(results_json(run, command) if as_json else markdown(run, command), nl=False)
    if not run.visits:
        sys.exit(1)


def _command(rounds: int, seconds: float, only: tuple[str, ...], wanted: tuple[str, ...], *, peers: bool) -> str:
    """What to type for the same again, without this machine's paths."""
    words = ["jevons", "bench", "proxy", "--rounds", str(rounds), "--seconds", f"{seconds:g}"]
    words += [word for name in only for word in ("--only", name)]
    words += [word for name in wanted for word in ("--workload", name)]
    return shlex.join([*words, "--peers"] if peers else words)


def _write(folder: Path, run: Run, command: str) -> None:
    from .figures import CPU_FIGURES, tabulate
    from .plot import draw
    from .report import markdown, results_json

    folder.mkdir(parents=True, exist_ok=True)
    titles = {subject.name: subject.title for subject in run.subjects}
    (folder / f"{STEM}.json").write_text(results_json(run, command))
    (folder / f"{STEM}.svg").write_text(draw(tabulate(run.visits, CPU_FIGURES), CPU_FIGURES, titles))
    (folder / f"{STEM}.md").write_text(markdown(run, command, plot=f"{STEM}.svg"))
    click.echo(f"written to {folder}: {STEM}.json, {STEM}.md, {STEM}.svg", err=True)


bench.add_command(gpu)
bench.add_command(ledger_bench)
bench.add_command(memory)
bench.add_command(soak)
bench.add_command(blocking)


@bench.command("attribution")
@click.option("--quick", is_flag=True, help="One seed and half the time: less than a minute.")
@click.option("--cost", "with_cost", is_flag=True, help="Measure what metering itself costs instead.")
@click.option("--workload", "wanted", multiple=True, metavar="NAME", help="Play this workload; may be given again.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write JSON, Markdown and a plot there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def attribution(*, quick: bool, with_cost: bool, wanted: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Hold each request's joules against the truth, which a simulator knows: ours and other methods, workload by workload."""
    from .attribution.command import print_cost, print_study

    if with_cost:
        print_cost(is_quick=quick, as_json=as_json)
    else:
        print_study(wanted, is_quick=quick, out=out, as_json=as_json)


@bench.command("route")
@click.option("--rounds", type=click.IntRange(min=1), default=25, show_default=True, help="How often each prompt is decided on.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def route(*, rounds: int, as_json: bool) -> None:
    """Measure how long a routing decision takes, by chain of policies and by length of the prompt."""
    from .decisions import measure, render

    timings = measure(rounds)
    click.echo(json.dumps([timing.as_json() for timing in timings], indent=2) if as_json else render(timings))
