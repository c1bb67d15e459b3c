"""`jevons bench memory` and `jevons bench blocking`: what the proxy holds, and whom it keeps waiting."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@click.option("--requests", type=click.IntRange(min=1), default=50_000, show_default=True, help="How many to serve, at least.")
@click.option("--streams", type=click.IntRange(min=1), default=500, show_default=True, help="How many to hold open.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write JSON and Markdown there.")
@AS_JSON
def memory(*, requests: int, streams: int, out: Path | None, as_json: bool) -> None:
    """Measure the memory of jevons over many requests of all sorts, and of a stream that is open and silent."""
    from .machine import pick_cores, thread_siblings
    from .memory import measure_memory
    from .memory_page import page
    from .programs import build, cache_folder

    cores = pick_cores(os.sched_getaffinity(0), thread_siblings())
    programs = build(cache_folder() / "bench")
    found = measure_memory(programs, cores, lambda line: click.echo(line, err=True), requests=requests, streams=streams)
    data = json.dumps(found.as_json(), indent=1)
    text = page(found, f"jevons bench memory --requests {requests} --streams {streams}")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "memory.json").write_text(data + "\n")
        (out / "memory.md").write_text(text)
    click.echo(data if as_json else text, nl=as_json)


@click.command()
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--seconds", type=click.FloatRange(min=0.1), default=2.0, show_default=True, help="Counted per round and kind.")
@AS_JSON
def blocking(*, rounds: int, seconds: float, as_json: bool) -> None:
    """Measure how long small requests wait beside bodies of 2 MB and lines of 10 MB."""
    from .blocking import measure_blocking, render
    from .machine import pick_cores, thread_siblings
    from .programs import build, cache_folder

    cores = pick_cores(os.sched_getaffinity(0), thread_siblings())
    programs = build(cache_folder() / "bench")
    waits = measure_blocking(programs, cores, lambda line: click.echo(line, err=True), rounds=rounds, seconds=seconds)
    click.echo(json.dumps([wait.as_json() for wait in waits], indent=2) if as_json else render(waits))
