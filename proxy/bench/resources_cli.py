"""`jevons bench memory` and `jevons bench blocking`: what the proxy holds, and whom it keeps waiting."""

from __future__ import annotations

import json
import os

import click

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@click.option("--requests", type=click.IntRange(min=1), default=50_000, show_default=True, help="How many to serve, at least.")
@click.option("--streams", type=click.IntRange(min=1), default=500, show_default=True, help="How many to hold open.")
@AS_JSON
def memory(*, requests: int, streams: int, as_json: bool) -> None:
    """Measure the memory of jevons over many requests, and of a stream that is open and silent."""
    from .machine import pick_cores, thread_siblings
    from .memory import measure_memory, render
    from .programs import build, cache_folder

    cores = pick_cores(os.sched_getaffinity(0), thread_siblings())
    programs = build(cache_folder() / "bench")
    found = measure_memory(programs, cores, lambda line: click.echo(line, err=True), requests=requests, streams=streams)
    click.echo(json.dumps(found.as_json(), indent=2) if as_json else render(found))


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
