"""`jevons report`, `jevons ledger` and `jevons top`."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from .report import Report

FORMATS: Final = ("table", "json", "csv", "html")
WIDTH: Final = 160

CONFIG = click.option("--config", "config_path", type=click.Path(path_type=Path), help="Names the ledger and the price.")
LEDGER = click.option("--ledger", help="The ledger itself: a SQLite file or a postgresql:// URL.")
UNTIL = click.option("--until", help="As --since; omitted: now.")
OUT = click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it there.")


@click.command()
@CONFIG
@LEDGER
@click.option("--since", default="24h", show_default=True, help="30m, 24h, 7d, 4w ago, or a time such as 2026-11-23T12:00.")
@UNTIL
@click.option(
    "--by", default="upstream,tenant", show_default=True, help="Of upstream, tenant, route, hour, day, model, tier, outcome."
)
@click.option("--format", "file_format", type=click.Choice(FORMATS), default="table", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--price-per-kwh", type=click.FloatRange(min=0.0), help="Instead of the configuration's.")
@OUT
def report(
    *,
    config_path: Path | None,
    ledger: str | None,
    since: str,
    until: str | None,
    by: str,
    file_format: str,
    as_json: bool,
    price_per_kwh: float | None,
    out: Path | None,
) -> None:
    """Say what requests have cost: joules, money and CO2e, by whom and where, from the ledger."""
    from .period import make_period
    from .places import find_place, opened
    from .report import make_report

    place = find_place(config_path, ledger, price_per_kwh)
    with opened(place) as store:
        found = make_report(store, make_period(since, until, time.time()), _dimensions(by), place.tariff)
    text = _render(found, "json" if as_json else file_format)
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
        click.echo(f"written to {out}", err=True)


def _dimensions(by: str) -> tuple[str, ...]:
    from .report import DIMENSIONS

    wanted = tuple(dict.fromkeys(word.strip() for word in by.split(",") if word.strip()))
    for word in wanted:
        if word not in DIMENSIONS:
            raise click.BadParameter(f"{word!r} is none of {', '.join(DIMENSIONS)}", param_hint="--by")
    return wanted


def _render(found: Report, file_format: str) -> str:
    from rich.console import Console

    from .documents import report_csv, report_document
    from .page import render_page
    from .tables import print_report

    if file_format == "json":
        return json.dumps(report_document(found), indent=2) + "\n"
    if file_format == "csv":
        return report_csv(found)
    if file_format == "html":
        return render_page(found, version=version("jevons"), made_at=time.time())
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDTH  # a pipe has no width of its own
    with console.capture() as capture:
        print_report(found, console)
    return capture.get()


@click.group("ledger")
def ledger_group() -> None:
    """The ledger of requests."""


@ledger_group.command()
@CONFIG
@LEDGER
@click.option(
    "--table", type=click.Choice(["requests", "attempts", "accounts", "feedback", "runs"]), default="requests", show_default=True
)
@click.option("--format", "file_format", type=click.Choice(["jsonl", "parquet"]), default="jsonl", show_default=True)
@click.option("--since", default="24h", show_default=True, help="As in `jevons report`.")
@UNTIL
@OUT
def export(
    *,
    config_path: Path | None,
    ledger: str | None,
    table: str,
    file_format: str,
    since: str,
    until: str | None,
    out: Path | None,
) -> None:
    """Write a table's rows as JSONL or Parquet."""
    from .export import export_table
    from .period import make_period
    from .places import find_place, opened

    with opened(find_place(config_path, ledger, None)) as store:
        count = export_table(store, table, make_period(since, until, time.time()), file_format, out)
    click.echo(f"{count} rows" + (f" written to {out}" if out else ""), err=True)


@click.command()
@click.option("--admin", default="http://127.0.0.1:9464", show_default=True, help="The admin listener of the proxy.")
@click.option("--token", envvar="JEVONS_ADMIN_TOKEN", help="Its token; best in JEVONS_ADMIN_TOKEN.")
@click.option("--json", "as_json", is_flag=True, help="Print what is so now as JSON, and end.")
def top(*, admin: str, token: str | None, as_json: bool) -> None:
    """Watch a running proxy in the terminal; q quits. Into a pipe: one picture."""
    from .top import look_once, print_once, watch

    admin = admin.rstrip("/") if "://" in admin else f"http://{admin}".rstrip("/")
    with suppress(KeyboardInterrupt):
        if as_json:
            click.echo(json.dumps(asyncio.run(look_once(admin, token)).as_json(), indent=2))
        elif not sys.stdout.isatty():
            print_once(asyncio.run(look_once(admin, token)))
        else:
            asyncio.run(watch(admin, token))
