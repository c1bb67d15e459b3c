"""A report reads a ledger whose sums are known, of either kind."""

from __future__ import annotations

import pytest
from ledger_content import DIRECT, HOUR, NOW, day, energy, fill, holdouts
from ledger_world import RUN, record

from jevons.proxy.observed import Intensity
from jevons.proxy.reporting.period import Period
from jevons.proxy.reporting.report import make_report
from jevons.proxy.reporting.sums import Tariff

pytest_plugins = ["ledger_fixture"]
DAY = Period(NOW - 24 * HOUR, NOW)


def read(opened, by=("upstream",), period=DAY):
    """The report on what is there."""
    return make_report(opened(is_reader=True), period, by, Tariff(0.3, 1.2))


def test_the_total_is_of_that_time(database, opened):
    """330 J of three requests; of two more the energy is unknown, and one was made the day before."""
    fill(database, day())
    report = read(opened)
    assert (report.total.requests, report.total.unknown_energy) == (5, 2)
    assert report.total.joules == pytest.approx(330.0)
    assert (report.total.low, report.total.high) == (pytest.approx(297.0), pytest.approx(363.0))
    assert report.total.gco2e == pytest.approx(0.033)
    assert report.methods == {"simulated": 3, "unknown": 2}
    assert report.is_simulated
    assert any("energy of 2 of 5 requests is unknown" in note for note in report.notes)


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        (("upstream",), {("thinker",): 300.0, ("chat",): 30.0, ("(none)",): None}),
        (("tenant",), {("alice",): 310.0, ("bob",): 20.0}),
        (("route",), {("rules:proofs;to=thinker",): 300.0, ("difficulty;to=chat",): 30.0, ("(none)",): None}),
        (("hour",), {("2026-11-23 09:00",): 10.0, ("2026-11-23 10:00",): 20.0, ("2026-11-23 11:00",): 300.0}),
        (("day",), {("2026-11-23",): 330.0}),
        (
            ("tier", "tenant"),
            {("reasoning", "alice"): 300.0, ("direct", "bob"): 20.0, ("direct", "alice"): 10.0, ("(none)", "bob"): None},
        ),
        ((), {(): 330.0}),
    ],
)
def test_groups(database, opened, by, groups):
    """By any of the dimensions, the heaviest first, or in the order of time; scores do not split a route."""
    fill(database, day())
    found = {key: sums.joules for key, sums in read(opened, by).groups.items()}
    assert found == {key: None if joules is None else pytest.approx(joules) for key, joules in groups.items()}
    assert list(found) == list(groups)


def test_accounts_and_the_heaviest(sqlite_database, opened_sqlite):
    """The devices' accounts by name; the heaviest requests first, none of unknown energy."""
    fill(sqlite_database, day())
    report = read(opened_sqlite)
    assert report.accounts == {("GPU-1", "attributed"): 330.0, ("GPU-1", "idle"): 670.0}
    assert [row["request_id"] for row in report.heaviest] == ["r3", "r2", "r1"]


@pytest.fixture
def opened_sqlite(sqlite_database):
    """A reader of the file."""
    stores = []

    def open_it(*, is_reader):
        stores.append(sqlite_database.store(is_reader=is_reader))
        stores[-1].open()
        return stores[-1]

    yield open_it
    for store in stores:
        store.close()


def test_savings_come_from_pairs_and_are_in_no_sum(database, opened):
    """Two dozen requests with their other arms: 89.5 J saved by each that was routed direct; the arms' joules are apart."""
    fill(database, [*day(), *holdouts(24)])
    report = read(opened)
    assert report.total.requests == 5 + 24
    assert report.total.joules == pytest.approx(330.0 + 252.0)
    assert (report.savings.pairs, report.savings.requests) == (24, 27)
    assert report.savings.joules == pytest.approx(27 * 89.5)
    assert report.savings.low < report.savings.joules < report.savings.high
    assert report.savings.holdout_joules == pytest.approx(2400.0)
    assert any("24 requests ran a second time" in note for note in report.notes)


def test_without_a_holdout_savings_are_unknown(sqlite_database, opened_sqlite):
    """Null, and why."""
    fill(sqlite_database, day())
    savings = read(opened_sqlite).savings
    assert savings.joules is None
    assert "holdout" in savings.why


def test_the_grid_is_named_with_its_span(sqlite_database, opened_sqlite):
    """Each source with the least and the most that it said."""
    values = [("file", 200.0), ("file", 300.0), ("constant", 380.0)]
    energies = [energy(1.0, intensity=Intensity(grams, source)) for source, grams in values]
    records = [record(f"g{place}", started_at=NOW - 60, plan=DIRECT, energy=each) for place, each in enumerate(energies)]
    fill(sqlite_database, records)
    found = {each.source: (each.requests, each.least, each.most) for each in read(opened_sqlite).grid}
    assert found == {"file": (2, 200.0, 300.0), "constant": (1, 380.0, 380.0)}


def test_what_is_missing_is_said(sqlite_database, opened_sqlite):
    """Rows that were dropped, and a process that ended without a word."""
    fill(sqlite_database, day(), run=RUN._replace(started_at=NOW - 7200, seen_at=NOW - 3600, state="lost", dropped=7))
    notes = " ".join(read(opened_sqlite).notes)
    assert "7 rows could not be written" in notes
    assert "last seen at 2026-11-23 11:00 UTC ended without a word" in notes


def test_an_empty_time(sqlite_database, opened_sqlite):
    """Nothing was asked: no requests, and joules that are unknown, not 0."""
    fill(sqlite_database, [])
    report = read(opened_sqlite, period=Period(0.0, 1.0))
    assert report.total.requests == 0
    assert report.total.joules is None
    assert report.groups == {}
