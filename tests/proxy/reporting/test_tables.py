"""A report for the terminal."""

from __future__ import annotations

import io

import pytest
from ledger_content import HOUR, NOW, day, fill, holdouts
from ledger_world import record
from rich.console import Console

from jevons.proxy.reporting.period import Period
from jevons.proxy.reporting.report import make_report
from jevons.proxy.reporting.sums import Tariff
from jevons.proxy.reporting.tables import FIGURES, figures_of, headline, print_report

pytest_plugins = ["ledger_fixture"]
DAY = Period(NOW - 24 * HOUR, NOW)


@pytest.fixture
def printed(sqlite_database):
    """Print the report on these records."""

    def print_it(records, period=DAY):
        fill(sqlite_database, records)
        store = sqlite_database.store(is_reader=True)
        store.open()
        report = make_report(store, period, ("upstream", "tenant"), Tariff(0.3))
        store.close()
        console = Console(file=io.StringIO(), width=160)
        print_report(report, console)
        return console.file.getvalue(), report

    return print_it


def test_it_says_what_matters(printed):
    """The headline, the groups, the devices, the heaviest, where the grams are from, and that it is simulated."""
    text, report = printed(day())
    for words in (
        "5 requests",
        "330 J",
        "SIMULATED",
        "thinker",
        "attributed",
        "The heaviest requests",
        "r3",
        "uk_carbon_intensity",
    ):
        assert words in text
    assert "Saved by routing: unknown, since no request has had the other arm run" in text
    assert headline(report).startswith("5 requests · 330 J · 0.0917 Wh · cost 0.000027 · 0.0330 g CO2e")


def test_savings_with_their_interval(printed):
    """Where both arms were run it says what was saved, between which bounds, and what knowing it has cost."""
    text, _ = printed([*day(), *holdouts(24)])
    assert "Saved by routing: 2.42 kJ (95 %: 2.41 kJ to 2.42 kJ) over 27 requests" in " ".join(text.split())


def test_nothing_in_that_time(printed):
    """An empty time says so, and prints no tables."""
    text, _ = printed([], Period(0.0, 1.0))
    assert "No requests in this time." in text
    assert "┃" not in text


def test_names_are_no_markup(printed):
    """A tenant whose name looks like rich's markup is printed as it is."""
    text, _ = printed([record("r9", tenant="[red]x[/]", started_at=NOW - 60)])
    assert "[red]x[/]" in text


def test_a_row_has_every_figure(printed):
    """As many as there are names for."""
    _, report = printed(day())
    assert len(figures_of(report.total, report.tariff)) == len(FIGURES)
