"""What the demo shows: a table of the requests, and the sums."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..scraping import FRESH
from ..units import Joules, Seconds
from .workload import Question

CONSERVED_TO: Final = 1e-9
SHOWN_CHARACTERS: Final = 44
FEWEST_CHARACTERS: Final = 11
"""Of a prompt, as room allows."""
WIDTH_OF_THE_REST: Final = 84
"""Of the table, with each route on one line."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One question's way: `record` is the reply of `GET /v1/energy/{id}`, `truth_joules` what the simulator knows."""

    question: Question
    streamed: bool
    first_token_seconds: Seconds | None
    truth_joules: Joules
    record: dict[str, Any]

    @property
    def upstream(self) -> str:
        """Who answered."""
        return str(self.record["upstream"])

    @property
    def joules(self) -> Joules:
        """What it was charged."""
        return float(self.record["energy"]["joules"])

    @property
    def error(self) -> float:
        """Relative, against the truth."""
        return abs(self.joules / self.truth_joules - 1)


@dataclass(frozen=True, slots=True)
class Report:
    """The run as a whole."""

    routed: list[Answer]
    reasoned: list[Answer]
    """The questions that had been answered directly, asked again of the reasoning model."""
    accounts: dict[str, Joules]
    device_joules: Joules
    device: str
    main: str
    admin: str

    @property
    def residual(self) -> float:
        """How far the accounts are from the device, relative."""
        return abs(sum(self.accounts.values()) - self.device_joules) / self.device_joules

    @property
    def is_sound(self) -> bool:
        """Whether every request ended well and the accounts sum to the device."""
        return self.residual <= CONSERVED_TO and all(answer.record["outcome"] == "ok" for answer in self.routed + self.reasoned)

    @property
    def routed_joules(self) -> Joules:
        """What the questions took as they were routed."""
        return sum(answer.joules for answer in self.routed)

    @property
    def reasoning_joules(self) -> Joules:
        """What they took, or would have taken, with reasoning for all."""
        again = {answer.question.id: answer.joules for answer in self.reasoned}
        return sum(again.get(answer.question.id, answer.joules) for answer in self.routed)


async def read_accounts(web: aiohttp.ClientSession, admin: str) -> tuple[dict[str, Joules], Joules, str]:
    """The four accounts, the device's settled total and its name, from one scrape."""
    async with web.get(f"{admin}/metrics", headers=FRESH) as reply:
        text = await reply.text()
    accounts: dict[str, Joules] = {}
    total, name = 0.0, ""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "jevons_energy_joules_total":
                account = sample.labels["account"]
                accounts[account] = accounts.get(account, 0.0) + sample.value
            elif sample.name == "jevons_device_energy_joules_total":
                total += sample.value
            elif sample.name == "jevons_device_info":
                name = sample.labels["name"]
    return accounts, total, name


def print_report(report: Report, console: Console, *, as_json: bool) -> None:
    """The table and the sums, or all of it as JSON on stdout."""
    if as_json:
        print(json.dumps(_as_json(report), indent=2))  # noqa: T201 - what `--json` is for
        return
    console.print(_table(report.routed, console.width))
    console.print("Half of the requests were streamed, and only these have a first token.")
    console.print(f"\nOn {report.device}, one scrape, in joules ([bold]simulated[/]):")
    parts = " + ".join(f"{account} {joules:,.1f}" for account, joules in report.accounts.items())
    console.print(
        f"  {parts} = {sum(report.accounts.values()):,.1f}; the device {report.device_joules:,.1f} (off by {report.residual:.0e})"
    )
    saved = 1 - report.routed_joules / report.reasoning_joules
    console.print(f"  As routed, these {len(report.routed)} questions took {report.routed_joules:,.0f} J.")
    console.print(
        f"  With the {len(report.reasoned)} direct ones asked of the reasoning model too, {report.reasoning_joules:,.0f} J:"
    )
    console.print(f"  [bold]{saved:.0%} saved[/] against always reasoning (simulated).")
    errors = [answer.error for answer in report.routed]
    console.print(
        f"  Each request's joules against the simulator's own account of every step: "
        f"median {statistics.median(errors):.1%} off, worst {max(errors):.1%}."
    )


def _table(answers: list[Answer], width: int) -> Table:
    """In a narrow terminal it is the prompt that is cut and the route that is broken, never a figure."""
    table = Table(title="All figures simulated", title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    prompt_width = max(FEWEST_CHARACTERS, min(SHOWN_CHARACTERS, width - WIDTH_OF_THE_REST))
    table.add_column("prompt", overflow="ellipsis", no_wrap=True, width=prompt_width)
    table.add_column("route and why", overflow="fold")
    for heading in ("tokens\n(reasoning)", "joules", "low…high", "true\njoules", "first\ntoken"):
        table.add_column(heading, justify="right", no_wrap=True)
    for answer in answers:
        energy, tokens = answer.record["energy"], answer.record["tokens"]
        table.add_row(
            Text(answer.question.text.replace("\n", " ")),
            Text(f"{answer.upstream} ({answer.record['route'].partition(';')[0]})"),
            f"{tokens['completion']} ({tokens['reasoning'] or 0})",
            f"{energy['joules']:,.0f}",
            f"{energy['low']:,.0f}…{energy['high']:,.0f}",
            f"{answer.truth_joules:,.0f}",
            "" if answer.first_token_seconds is None else f"{answer.first_token_seconds:.2f} s",
        )
    return table


def _as_json(report: Report) -> dict[str, Any]:
    return {
        "method": "simulated",
        "device": report.device,
        "requests": [
            {
                **answer.record,
                "prompt": answer.question.text,
                "streamed": answer.streamed,
                "true_joules": answer.truth_joules,
                "first_token_seconds": answer.first_token_seconds,
            }
            for answer in report.routed
        ],
        "accounts": report.accounts,
        "device_joules": report.device_joules,
        "residual": report.residual,
        "routed_joules": report.routed_joules,
        "always_reasoning_joules": report.reasoning_joules,
        "listening": {"main": report.main, "admin": report.admin},
    }
