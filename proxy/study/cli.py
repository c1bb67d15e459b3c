"""`jevons study`: one workload through several models or configurations."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from rich.console import Console

    from .raw import Raw
    from .runner import Runner
    from .study_file import Study

FAILED: Final = 1
FOLDER = click.Path(path_type=Path, file_okay=False)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def study() -> None:
    """Compare models by joules: paired, with intervals, through the proxy."""


@study.command("run")
@click.argument("path", metavar="[STUDY.YAML]", required=False, type=click.Path(path_type=Path))
@click.option("--preset", metavar="NAME", help="A shipped study in place of a file; see `jevons study presets`.")
@click.option("--out", type=FOLDER, help="Where raw data and report go; omitted: a new folder named by the time.")
@click.option("--resume", is_flag=True, help="Go on with the study that --out holds.")
@AS_JSON
def run(path: Path | None, preset: str | None, out: Path | None, *, resume: bool, as_json: bool) -> None:
    """Measure every arm on every prompt and write the report."""
    from .runner import stamp

    if (path is None) == (preset is None):
        raise click.UsageError("give a study.yaml, or --preset NAME")
    if resume and out is None:
        raise click.UsageError("--resume needs the --out of the run that it goes on with")
    folder = out or Path(f"study-{stamp()}")
    sys.exit(_drive(_loaded(path, preset), folder, resumes=resume, as_json=as_json))


@study.command("report")
@click.argument("folder", type=FOLDER)
@AS_JSON
def report(folder: Path, *, as_json: bool) -> None:
    """Write the report of a folder's raw data anew."""
    from .raw import read_raw

    _finish(read_raw(folder), folder, as_json=as_json)


@study.command("compare")
@click.argument("first", type=FOLDER)
@click.argument("second", type=FOLDER)
@click.option(
    "--arms", nargs=2, metavar="A B", help="This arm of the first against that of the second; omitted: those of one name."
)
@AS_JSON
def compare(first: Path, second: Path, arms: tuple[str, str] | None, *, as_json: bool) -> None:
    """Hold two studies of the same prompts against each other."""
    from .compare import compare_studies, comparison_json
    from .dataset import Dataset
    from .raw import read_raw
    from .wording import methods_text, span

    a, b = read_raw(first), read_raw(second)
    found = compare_studies(a, b, arms or None)
    method = methods_text(Dataset(a).methods)
    if as_json:
        click.echo(json.dumps({"method": method, "comparisons": [comparison_json(one) for one in found]}, indent=2))
        return
    click.echo(f"method: {method}; {second} over {first}, ratios of totals with 95 % intervals over prompts")
    for one in found:
        names = one.arms[0] if one.arms[0] == one.arms[1] else f"{one.arms[1]} over {one.arms[0]}"
        ratios = f"energy {span(one.totals.energy)} = length {span(one.totals.length)} x J/token {span(one.totals.per_token)}"
        click.echo(f"{names}, {one.level} in flight, {one.prompts} prompts: {ratios}")


@study.command("power")
@click.option("--ratio", type=float, required=True, help="The energy ratio to be seen, such as 1.2 for 20 % more.")
@click.option("--sd", type=float, help="Standard deviation of the logarithm of a prompt's energy ratio.")
@click.option("--from", "folder", type=FOLDER, help="Take it from this pilot study instead.")
@click.option("--arms", nargs=2, metavar="A B", help="The pilot's arms; omitted: the baseline and the next.")
@click.option("--power", type=float, default=0.8, show_default=True, help="The chance of seeing it.")
@click.option("--alpha", type=float, default=0.05, show_default=True, help="The chance of seeing what is not there.")
@AS_JSON
def power(
    *,
    ratio: float,
    sd: float | None,
    folder: Path | None,
    arms: tuple[str, str] | None,
    power: float,
    alpha: float,
    as_json: bool,
) -> None:
    """Say how many prompts are needed to see a given difference."""
    from .power import prompts_needed

    if (sd is None) == (folder is None):
        raise click.UsageError("give --sd, or --from a pilot study")
    spread = _pilot_sd(folder, arms) if folder is not None else float(sd or 0.0)
    need = prompts_needed(ratio, spread, alpha=alpha, power=power)
    if as_json:
        click.echo(json.dumps({"prompts": need.prompts, "ratio": ratio, "sd": spread, "power": power, "alpha": alpha}, indent=2))
        return
    click.echo(
        f"{need.prompts} prompts see an energy ratio of {ratio:g} with a chance of {power:.0%} at a level of {alpha:g}, "
        f"if the logarithm of a prompt's ratio has a standard deviation of {spread:.3g}"
    )


@study.command("presets")
@click.option("--show", metavar="NAME", help="Print this one, to be edited into a study.yaml.")
@AS_JSON
def presets(show: str | None, *, as_json: bool) -> None:
    """List the shipped studies."""
    from .presets import preset_names, preset_summary, preset_text

    if show is not None:
        click.echo(preset_text(show), nl=False)
        return
    found = {name: preset_summary(name) for name in preset_names()}
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for name, summary in found.items():
        click.echo(f"{name:18} {summary}")


@study.command("article")
@click.option("--out", type=FOLDER, required=True, help="Where article.md and its pictures go.")
@AS_JSON
def article(out: Path, *, as_json: bool) -> None:
    """Simulate the article's question on public coefficients and set it beside the article's numbers."""
    from .article import simulate_article
    from .article_page import article_json, write_article

    found = simulate_article()
    write_article(found, out)
    if as_json:
        click.echo(json.dumps(article_json(found), indent=2))
    else:
        click.echo(f"written to {out}: article.md and its pictures (simulated)")


def _loaded(path: Path | None, preset: str | None) -> Study:
    from .presets import load_preset
    from .study_file import load_study

    return load_preset(preset or "") if path is None else load_study(path)


def _pilot_sd(folder: Path, arms: tuple[str, str] | None) -> float:
    from ..errors import JevonsError
    from .dataset import Dataset
    from .power import pilot_sd
    from .raw import read_raw

    data = Dataset(read_raw(folder))
    if not arms and len(data.arms) < 2:  # noqa: PLR2004 - a comparison has two sides
        raise JevonsError(f"{folder}: a pilot needs two arms with answers")
    first, second = arms or (data.baseline, next(arm for arm in data.arms if arm != data.baseline))
    return pilot_sd(data.pairs(first, second, data.levels[0]))


def _drive(loaded: Study, folder: Path, *, resumes: bool, as_json: bool) -> int:
    """Run, show how far it is on standard error, write the report."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    from .runner import Progress, Runner

    console = Console(stderr=True, highlight=False)
    runner = Runner(loaded, folder)
    left = runner.prepare(resumes=resumes)
    columns = (
        TextColumn("{task.description:>24}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("starting", total=runner.total, completed=runner.total - left)
        runner.progress = Progress(
            stage=lambda words: bar.update(task, description=words),
            advance=lambda done, _total: bar.update(task, completed=done),
        )
        raw = asyncio.run(_measure(runner, console))
    _finish(raw, folder, as_json=as_json)
    missing = runner.missing
    if missing:
        console.print(f"{missing} requests did not succeed; `--resume` tries them again")
    return FAILED if missing else 0


async def _measure(runner: Runner, console: Console) -> Raw:
    from .hosting import linked

    current = asyncio.current_task()
    if current is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, current.cancel)
    try:
        async with linked(runner.study) as link:
            return await runner.run(link)
    except asyncio.CancelledError:
        console.print(f"Stopped. What was measured is in {runner.folder}; --resume goes on from there.")
        raise click.Abort from None


def _finish(raw: Raw, folder: Path, *, as_json: bool) -> None:
    from .report import HTML, MARKDOWN, write_report
    from .summary import summary_json, summary_lines

    write_report(raw, folder)
    if as_json:
        found: dict[str, Any] = summary_json(raw)
        click.echo(json.dumps(found, indent=2))
        return
    for line in summary_lines(raw):
        click.echo(line)
    click.echo(f"written to {folder}: {HTML}, {MARKDOWN}, raw.jsonl")
