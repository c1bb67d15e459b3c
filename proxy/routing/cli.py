"""`jevons route`: looking at routing from outside."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from .judgements import compare, evaluate, tune

CONFIG = click.option(
    "--config", "config_path", type=click.Path(path_type=Path), required=True, help="The YAML file whose policies are tried."
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def route() -> None:
    """Measure, tune and replay routing."""


@route.command()
@click.argument("past", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@CONFIG
@AS_JSON
def replay(past: Path, config_path: Path, *, as_json: bool) -> None:
    """Say what another configuration would have done with the requests in PAST: a SQLite ledger, or JSON lines."""
    from jevons.policies.difficulty import DifficultyPolicy

    from ..config_file import load_config
    from .past import read_past
    from .replay import render
    from .replay import replay as run

    report = run(read_past(past), load_config(config_path, os.environ), DifficultyPolicy().probability)
    click.echo(json.dumps(report, indent=2) if as_json else render(report))


for _command in (evaluate, compare, tune):
    route.add_command(_command)
