"""`jevons bench ledger`."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from .ledger_cost import LedgerRun


@click.command("ledger")
@click.option("--requests", type=click.IntRange(min=100), default=5000, show_default=True, help="Per turn.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Of a turn with and one without.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def ledger_bench(*, requests: int, rounds: int, as_json: bool) -> None:
    """Measure what the ledger costs, and whether its sums are those of the metrics and of the devices. Simulated."""
    from .ledger_cost import run_ledger_bench  # noqa: PLC0415 - what a verb needs is imported when it is called

    run = asyncio.run(run_ledger_bench(requests, rounds, lambda line: click.echo(line, err=True)))
    click.echo(json.dumps(as_data(run), indent=2) if as_json else render(run))
    if not run.is_exact:
        sys.exit(1)


def as_data(run: LedgerRun) -> dict[str, Any]:
    """All of it as JSON takes it."""
    return {
        "simulated": True,
        "turns": [asdict(turn) for turn in run.turns],
        "throughput_ratio": run.throughput_ratio,
        "ledger_alone_us": run.alone_us,
        "is_exact": run.is_exact,
    }


def render(run: LedgerRun) -> str:
    """The same for people."""
    off, on = run.medians(has_ledger=False), run.medians(has_ledger=True)
    rounds = sum(turn.has_ledger for turn in run.turns)
    lines = [
        f"{run.turns[0].requests} requests per turn, {rounds} turns each, medians; simulated server and GPU",
        "",
        "                              without      with   with / without",
        f"requests per second        {off[0]:10.0f}{on[0]:10.0f}{run.throughput_ratio:17.3f}",
        f"proxy CPU us per request   {off[1]:10.0f}{on[1]:10.0f}{on[1] / off[1]:17.3f}",
        f"the ledger's own CPU us per request{run.alone_us:17.1f}{run.alone_us / off[1]:17.3f} of the proxy's without it",
        "",
        "joules after the end            ledger            metrics",
    ]
    for turn in run.turns:
        if (sums := turn.sums) is not None:
            ledger, metrics = sum(sums.ledger_accounts_joules.values()), sum(sums.metrics_accounts_joules.values())
            lines += [
                f"  {sums.requests} requests      {sums.ledger_requests_joules:18.6f} {sums.metrics_requests_joules:18.6f}",
                f"  the four accounts  {ledger:18.6f} {metrics:18.6f}   device {sums.device_joules:.6f}",
                f"  dropped {sums.dropped}; largest difference {sums.largest_difference:.1e}",
            ]
    return "\n".join(lines)
