"""What the ledger costs: the arithmetic, and one short run of the real thing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jevons.proxy.bench.ledger_cost import LedgerRun, Sums, Turn, run_ledger_bench

ACCOUNTS = {"attributed": 30.0, "idle": 70.0, "bypass": 0.0, "unresolved": 0.0}
SUMS = Sums(100, 30.0, 30.0, ACCOUNTS, ACCOUNTS, 100.0, 0)


def turn(*, has_ledger, seconds):
    """One of a hundred requests."""
    return Turn(has_ledger, 100, seconds, 0.05, SUMS if has_ledger else None)


def test_the_ratio_is_of_neighbours():
    """Turns that stood next to each other are compared, so that a machine that slows down does not count."""
    seconds = [(1.0, 1.01), (2.0, 2.02), (4.0, 4.04)]
    run = LedgerRun(tuple(turn(has_ledger=on, seconds=pair[on]) for pair in seconds for on in (False, True)), 25.0)
    assert run.throughput_ratio == pytest.approx(1 / 1.01)
    assert run.medians(has_ledger=False) == (50.0, pytest.approx(500.0))
    assert run.is_exact


@pytest.mark.parametrize(
    "changes",
    [
        {"ledger_requests_joules": 30.1},
        {"metrics_requests_joules": 29.9},
        {"ledger_accounts_joules": {**ACCOUNTS, "idle": 70.1}},
        {"device_joules": 100.1},
        {"dropped": 1},
        {"requests": 99},
    ],
)
def test_whatever_is_missing_is_found(changes):
    """A joule too much or too little anywhere, a row dropped, a request not there: it is not exact."""
    run = LedgerRun((replace(turn(has_ledger=True, seconds=1.0), sums=replace(SUMS, **changes)),), 25.0)
    assert not run.is_exact


async def test_a_short_run_is_exact():
    """A hundred requests through real processes: the ledger has every request and every joule of the metrics and the device."""
    said = []
    run = await run_ledger_bench(100, 1, said.append)
    assert [one.has_ledger for one in run.turns] == [False, True]
    assert run.is_exact, run
    assert run.turns[1].sums.requests == 100
    assert run.turns[1].sums.device_joules > run.turns[1].sums.ledger_requests_joules > 0.0
    assert len(said) == 2
    assert run.alone_us > 0.0
