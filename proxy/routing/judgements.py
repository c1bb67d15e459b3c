"""`jevons route eval`, `compare` and `tune` as commands; what they do is in the modules beside this one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

if TYPE_CHECKING:
    from jevons.policies.score.trees import Trees

    from .rows import Pair, Row

Function = TypeVar("Function", bound=Callable[..., Any])

AS_JSON: Final = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
MODEL: Final = click.option(
    "--model", "model_path", type=click.Path(path_type=Path), help="A score made by `route tune`; omitted: the shipped one."
)
OUT: Final = click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write Markdown and plots there.")


def rows_options(command: Function) -> Function:
    """Which rows, which two models of each source, what their tokens cost."""
    for option in reversed((
        click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path)),
        click.option("--pair", "pairs", multiple=True, metavar="SOURCE=DIRECT:REASONING", help="The two models of a source."),
        click.option("--direct", metavar="NAME", help="The direct model of every source without a pair."),
        click.option("--reasoning", metavar="NAME", help="The reasoning model of every source without a pair."),
        click.option("--joules-per-token", type=(float, float), metavar="DIRECT REASONING", help="What a token costs of each."),
        click.option("--impute", is_flag=True, help="Make up the unknown lengths of reasoning answers, and say so."),
        click.option("--resamples", type=click.IntRange(min=0), default=200, show_default=True, help="Of the bootstrap."),
    )):  # fmt: skip
        command = option(command)
    return command


@click.command("eval")
@rows_options
@click.option("--split", help="Only rows of this split, such as dev.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Where the score draws the line; omitted: its own.")
@MODEL
@OUT
@AS_JSON
def evaluate(
    *,
    files: tuple[Path, ...],
    split: str | None,
    threshold: float | None,
    model_path: Path | None,
    out: Path | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Judge the score on labelled rows beside random, always, never, the oracle and keywords."""
    from .evaluation import Setting, default_routers, judge_all, report
    from .tables import figures_table

    model = _model(model_path)
    rows, pairs = _read(files, chosen, split)
    line = threshold or model.threshold
    setting = Setting(chosen["resamples"], line, chosen["joules_per_token"], is_imputed=chosen["impute"])
    judged = judge_all(pairs, default_routers(model), setting)
    found = report(judged, rows, model, setting)
    if out:
        _write(out, "route-eval", figures_table(found), judged)
    click.echo(json.dumps(found, indent=2) if as_json else figures_table(found), nl=as_json)


@click.command()
@rows_options
@MODEL
@OUT
@AS_JSON
def compare(*, files: tuple[Path, ...], model_path: Path | None, out: Path | None, as_json: bool, **chosen: Any) -> None:
    """Judge the score on the dev rows beside routers that are trained on the train rows of the same files."""
    from .evaluation import Setting, default_routers, differences, judge_all
    from .routers import ngrams, similarity_weighted
    from .tables import comparison_table, cost_table

    model = _model(model_path)
    _, training = _read(files, chosen, "train")
    _, pairs = _read(files, chosen, "dev")
    setting = Setting(chosen["resamples"], model.threshold, chosen["joules_per_token"], is_imputed=chosen["impute"])
    trained = {"hashed n-grams": ngrams(training), "RouteLLM-style": similarity_weighted(training)}
    judged = judge_all(pairs, {**default_routers(model), **trained}, setting)
    leads = differences([one for one in judged if one.name != "oracle"], setting.resamples)
    unit = "joules" if setting.joules_per_token else "tokens"
    costs = cost_table(judged, threshold=model.threshold, is_imputed=setting.is_imputed, unit=unit)
    text = f"{comparison_table(judged, leads)}\n{costs}"
    if out:
        _write(out, "route-compare", text, judged)
    figures = {one.name: one.as_json() for one in judged}
    shown = {name: None if lead is None else lead.as_json() for name, lead in leads.items()}
    click.echo(json.dumps({"routers": figures, "lead": shown}, indent=2) if as_json else text, nl=as_json)


@click.command()
@click.argument("labels", required=False, type=click.Path(path_type=Path))
@click.option("--ledger", type=click.Path(path_type=Path), help="A SQLite ledger with prompts, holdout and feedback.")
@MODEL
@click.option("--refit", is_flag=True, help="Fit trees of your own instead of a threshold; takes jevons[tune].")
@click.option("--keep", type=click.FloatRange(0.5, 1), default=0.95, show_default=True, help="Of reasoning's accuracy.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Where the refitted score goes, as JSON.")
@AS_JSON
def tune(
    *,
    labels: Path | None,
    ledger: Path | None,
    model_path: Path | None,
    refit: bool,
    keep: float,
    out: Path | None,
    as_json: bool,
) -> None:
    """Fit the score to labels of your own: JSON lines of {prompt, direct, reasoning} or {prompt, needs_reasoning}."""
    from .ledger_labels import read_ledger
    from .tables import front_table
    from .tuning import read_labels, snippet, summary
    from .tuning import tune as run

    if labels is None and ledger is None:
        raise click.UsageError("give LABELS.jsonl, --ledger PATH, or both")
    found = [*(read_labels(labels) if labels else []), *(read_ledger(ledger) if ledger else [])]
    tuned = run(found, _model(model_path), refits=refit, kept_share=keep)
    place = (out or Path("my-difficulty.json")) if refit else None
    if place is not None:
        place.write_text(json.dumps(tuned.artefact, separators=(",", ":")) + "\n", encoding="utf-8")
    yaml = snippet(tuned, place)
    click.echo(json.dumps({**summary(tuned), "yaml": yaml}, indent=2) if as_json else f"{front_table(tuned)}\n{yaml}", nl=as_json)


def _model(path: Path | None) -> Trees:
    from jevons.policies.score.trees import read_trees, shipped

    from ..errors import ConfigError

    if path is None:
        return shipped()
    try:
        return read_trees(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError([f"{path}: {error}"]) from None


def _read(files: tuple[Path, ...], chosen: dict[str, Any], split: str | None) -> tuple[list[Row], list[Pair]]:
    from ..errors import JevonsError
    from .rows import pair_rows, read_pair_option, read_rows

    every = read_rows(files)
    pairs = dict(read_pair_option(text, every) for text in chosen["pairs"])
    rows = [row for row in every if split is None or row.split == split]
    paired, _ = pair_rows(rows, pairs, (chosen["direct"], chosen["reasoning"]))
    if not paired:
        which = f" of the split {split}" if split else ""
        raise JevonsError(f"no row{which} has results of a direct and a reasoning model")
    return rows, paired


def _write(folder: Path, stem: str, text: str, judged: list[Any]) -> None:
    from .drawing import draw
    from .metrics import Ranking

    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.md").write_text(text, encoding="utf-8")
    curves = {one.name: Ranking(one.rows).curve() for one in judged}
    written = [f"{stem}.md"]
    for axis in ("calls", "tokens", "joules"):
        if any(getattr(points[-1], axis) is not None for points in curves.values()):
            name = f"{stem}-{axis}.svg"
            (folder / name).write_text(draw(curves, axis=axis, title=f"Right answers against {axis}"), encoding="utf-8")
            written.append(name)
    click.echo(f"written to {folder}: {', '.join(written)}", err=True)
