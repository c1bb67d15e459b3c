"""`jevons bench soak`."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from pathlib import Path

import click


@click.command("soak")
@click.option("--minutes", type=click.FloatRange(min=0.05, max=120.0), default=5.0, show_default=True, help="Of mixed load.")
@click.option("--streams", type=click.IntRange(min=1, max=20_000), default=1000, show_default=True, help="At once, after it.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Write JSON and Markdown there.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def soak(*, minutes: float, streams: int, out: Path | None, as_json: bool) -> None:
    """Load the real proxy for minutes with all sorts of requests, then with many streams at once; nothing may be lost or left."""
    from .page import page  # noqa: PLC0415 - what a verb needs is imported when it is called
    from .soak import run_soak  # noqa: PLC0415 - likewise

    run = asyncio.run(run_soak(minutes * 60, streams, lambda line: click.echo(line, err=True)))
    command = shlex.join(["jevons", "bench", "soak", "--minutes", f"{minutes:g}", "--streams", str(streams)])
    data = json.dumps(run.as_json(), indent=1)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "soak.json").write_text(data + "\n")
        (out / "soak.md").write_text(page(run, command))
    click.echo(data if as_json else page(run, command), nl=as_json)
    if not run.is_sound:
        sys.exit(1)
