"""`jevons bench routing`: the comparison through the whole proxy, in simulation."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

STEM: Final = "route-simulated"
_SUFFIXES: Final = (".jsonl", ".jsonl.gz")


@click.command("routing")
@click.argument("places", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    default="config.yaml",
    show_default=True,
    help="Whose policies route.",
)
@click.option("--per-source", type=click.IntRange(min=1), default=40, show_default=True, help="Prompts of each source.")
@click.option("--split", default="dev", show_default=True, help="Of which split.")
@click.option("--speed", type=click.FloatRange(min=1), default=4.0, show_default=True, help="Times that of the hardware.")
@click.option("--concurrency", type=click.IntRange(min=1), default=16, show_default=True, help="Prompts in flight at once.")
@click.option("--one-server", is_flag=True, help="One server whose thinking is switched, in place of two.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write JSON, Markdown and a plot there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def routing_bench(
    *,
    places: tuple[Path, ...],
    config_path: Path,
    per_source: int,
    split: str,
    speed: float,
    concurrency: int,
    one_server: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Joules per right answer through the whole proxy, simulated: always, never, random, ours, oracle. PLACES hold rows."""
    from ..logs import configure_logs
    from .rows import pair_rows, read_rows
    from .whole import Setup, draw_sample, run_rounds
    from .whole_report import figures, render

    configure_logs("error")
    rows = [row for row in read_rows(_files(places)) if row.split == split]
    pairs, _ = pair_rows(rows, {})
    sample = draw_sample(pairs, per_source)
    setup = Setup(_policies(config_path), speed, concurrency, has_one_server=one_server)
    rounds = asyncio.run(run_rounds(sample, setup, lambda line: click.echo(line, err=True)))
    found = figures(rounds, sample, setup)
    command = f"jevons bench routing DIR --per-source {per_source} --split {split} --speed {speed:g} --concurrency {concurrency}"
    command += " --one-server" if one_server else ""
    if out:
        _write(out, found, command)
    click.echo(json.dumps(found, indent=2) if as_json else render(found, command=command), nl=as_json)


def _files(places: tuple[Path, ...]) -> list[Path]:
    """The files, and those of rows in the folders."""
    files: list[Path] = []
    for place in places:
        files += sorted(one for one in place.iterdir() if one.name.endswith(_SUFFIXES)) if place.is_dir() else [place]
    return files


def _policies(path: Path) -> dict[str, Any]:
    """The part of a configuration that says who decides. Raises ConfigError where the whole of it cannot be read."""
    import os

    from ..config_file import load_config

    config = load_config(path, os.environ)
    return config.model_dump(mode="json", include={"policies", "default"}, exclude_unset=True)


def _write(folder: Path, found: Mapping[str, Any], command: str) -> None:
    from .whole_report import draw, render

    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{STEM}.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    (folder / f"{STEM}.svg").write_text(draw(found), encoding="utf-8")
    (folder / f"{STEM}.md").write_text(render(found, command=command, plot=f"{STEM}.svg"), encoding="utf-8")
    click.echo(f"written to {folder}: {STEM}.json, {STEM}.md, {STEM}.svg", err=True)
