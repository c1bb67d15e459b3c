"""`jevons bench gpu`."""

from __future__ import annotations

import asyncio
import shlex
import sys
from dataclasses import KW_ONLY, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from .run import Plan, Run

STEM: Final = "gpu"
SHAPES: Final = ("random-1b", "random-8b")
SHORT_SECONDS: Final = 13.0
SHORT_IDLE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for."""

    url: str | None
    model: str | None
    shape: str | None
    served: str | None
    devices: tuple[str, ...]
    only: tuple[str, ...]
    _: KW_ONLY
    is_simulated: bool
    is_short: bool

    def check(self) -> None:
        """Raises UsageError where it names no server, or several."""
        if (self.url is None) != (self.model is None):
            raise click.UsageError("--url and --model come together")
        named = [self.url is not None, self.shape is not None, self.served is not None, self.is_simulated]
        if named.count(True) > 1:
            raise click.UsageError("name one server: --url and --model, or --torch, --transformers, --simulated")

    def plan(self) -> Plan:
        """What to run for it."""
        from ...calibration.calibrate import Options
        from ...exchange import Upstream
        from .outcome import QUICK, SHORT, Scale
        from .run import Plan

        upstream = None
        if self.url is not None and self.model is not None:
            upstream = Upstream("bench", self.url.rstrip("/"), self.model, devices=self.devices or ("all",))
        options = Options(60.0, 16 if self.is_simulated else 32)
        return Plan(
            upstream,
            self.shape or self.served,
            "torch" if self.served is None else "transformers",
            scale=(QUICK if self.is_simulated else SHORT) if self.is_short else Scale(),
            calibration=Options(SHORT_SECONDS, 6, idle_seconds=SHORT_IDLE_SECONDS) if self.is_short else options,
            only=self.only,
        )

    @property
    def command(self) -> str:
        """What to type for the same again."""
        named = [("--url", self.url), ("--model", self.model), ("--torch", self.shape), ("--transformers", self.served)]
        named += [("--device", name) for name in self.devices] + [("--only", name) for name in self.only]
        flags = [flag for flag, is_set in (("--simulated", self.is_simulated), ("--short", self.is_short)) if is_set]
        return shlex.join(["jevons", "bench", "gpu", *(word for pair in named if pair[1] for word in pair if word), *flags])


@click.command("gpu")
@click.option("--url", help="The API of a model server that runs, such as http://127.0.0.1:8000/v1.")
@click.option("--model", help="The name it knows the model by.")
@click.option("--torch", "shape", type=click.Choice(SHAPES), help="Start a model of random weights instead, in plain torch.")
@click.option("--transformers", "served", type=click.Choice(SHAPES), help="The same, by `transformers serve`.")
@click.option("--simulated", is_flag=True, help="Start a simulated server on a simulated board; every result says so.")
@click.option("--device", "devices", multiple=True, metavar="NAME", help="What the server runs on, as in the configuration.")
@click.option("--short", is_flag=True, help="Fewer repetitions and smaller batches: a smoke test, no result.")
@click.option("--only", multiple=True, metavar="CHECK", help="Run this check; may be given again.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write JSON, Markdown and a plot there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def gpu(
    *,
    url: str | None,
    model: str | None,
    shape: str | None,
    served: str | None,
    simulated: bool,
    devices: tuple[str, ...],
    short: bool,
    only: tuple[str, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """Check the metering against a board's own counter: the law of a step, equal shares, alone, lengths, A/B/A, bypass, sums.

    The server is one that runs (--url and --model), one of random weights (--torch, --transformers) or a simulated one
    (--simulated). Nothing else may use it or its board meanwhile.
    """
    from ...logs import configure_logs
    from .report import describe_plan, markdown, results_json
    from .run import NAMES, find_problem, run_bench

    configure_logs("error")
    for name in only:
        if name not in NAMES:
            raise click.BadParameter(f"{name!r} is none of {', '.join(NAMES)}", param_hint="--only")
    wanted = Wanted(url, model, shape, served, devices, only, is_simulated=simulated, is_short=short)
    wanted.check()
    plan = wanted.plan()
    if not simulated and (reason := asyncio.run(find_problem(devices or ("all",)))) is not None:
        click.echo(describe_plan(plan, reason))
        return
    if not simulated and plan.upstream is None and plan.shape is None:
        raise click.UsageError("name the server: --url and --model of one that runs, or --torch, --transformers, --simulated")
    if plan.shape is not None and find_spec(plan.program) is None:
        raise click.UsageError(f"--{plan.program} needs {plan.program}: pip install 'jevons[realserver]'")
    run = asyncio.run(run_bench(plan, lambda line: click.echo(line, err=True)))
    if out:
        _write(out, run, wanted.command)
    click.echo(results_json(run, wanted.command) if as_json else markdown(run, wanted.command), nl=False)
    if not run.is_passed:
        sys.exit(1)


def _write(folder: Path, run: Run, command: str) -> None:
    from .plot import draw
    from .report import markdown, results_json, title

    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{STEM}-simulated" if run.calibration.is_simulated else STEM
    (folder / f"{stem}.json").write_text(results_json(run, command))
    (folder / f"{stem}.svg").write_text(draw(run.outcomes, title(run)))
    (folder / f"{stem}.md").write_text(markdown(run, command, plot=f"{stem}.svg"))
    click.echo(f"written to {folder}: {stem}.json, {stem}.md, {stem}.svg", err=True)
