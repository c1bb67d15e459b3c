"""A ledger with a day in it whose sums are known."""

from __future__ import annotations

from ledger_world import ENERGY, RUN, UPSTREAM, record
from msgspec import structs

from jevons.exporters.ledger.rows import AccountRow, Batch, attempt_rows, request_row
from jevons.proxy.exchange import Energy, Outcome, Plan, Reason, Reasoning, Target, Upstream, Usage

NOW = 1_795_435_200.0
"""2026-11-23 12:00 UTC."""
HOUR = 3600.0
THINKER = Upstream("thinker", "http://127.0.0.1:8001/v1", "model-32b", Reasoning.ALWAYS)
DIRECT = Plan().sent_to((Target(UPSTREAM),), Reason("difficulty", "0.12", "direct"), "direct")
REASONING = Plan().sent_to((Target(THINKER),), Reason("rules", "proofs", "reasoning"), "reasoning")


def energy(joules, **fields):
    """So much, simulated."""
    return structs.replace(ENERGY, joules=joules, low=joules * 0.9, high=joules * 1.1, gco2e=joules / 1e4, **fields)


def day():
    """Requests of two tenants to two upstreams over three hours, one of unknown energy, one rejected, one from the day before."""
    other = structs.replace(DIRECT, reasons=(Reason("difficulty", "0.31", "direct"),))
    nowhere = {"upstream": None, "model": None, "plan": Plan(), "usage": Usage(), "attempts": ()}
    thinker = {"upstream": "thinker", "model": "model-32b", "plan": REASONING}
    return [
        record("r1", tenant="alice", started_at=NOW - 2.5 * HOUR, plan=DIRECT, energy=energy(10.0)),
        record("r2", tenant="bob", started_at=NOW - 1.5 * HOUR, plan=other, energy=energy(20.0)),
        record("r3", tenant="alice", started_at=NOW - 0.5 * HOUR, energy=energy(300.0), **thinker),
        record("r4", tenant="alice", started_at=NOW - 0.4 * HOUR, plan=DIRECT, energy=Energy(), usage=Usage()),
        record("r5", tenant="bob", started_at=NOW - 0.3 * HOUR, energy=Energy(), outcome=Outcome.REJECTED, **nowhere),
        record("r0", tenant="alice", started_at=NOW - 30 * HOUR, plan=DIRECT, energy=energy(7.0)),
    ]


def holdouts(count, other_joules=100.0):
    """Requests that went direct for 10 J each, and their other arms."""
    fields = {"started_at": NOW - HOUR, "plan": REASONING, "upstream": "thinker", "energy": energy(other_joules)}
    own = [record(f"h{place}", started_at=NOW - HOUR, plan=DIRECT, energy=energy(10.0 + place % 2)) for place in range(count)]
    return own + [record(f"o{place}", holdout_of=f"h{place}", **fields) for place in range(count)]


CLOSED = RUN._replace(seen_at=NOW, started_at=NOW - 20 * HOUR, state="closed")


def fill(database, records, *, run=CLOSED):
    """Write them, and an hour of a device's accounts."""
    accounts = [
        AccountRow(RUN.run_id, "GPU-1", "attributed", NOW - HOUR, NOW - 10, 330.0, 330.0),
        AccountRow(RUN.run_id, "GPU-1", "idle", NOW - HOUR, NOW - 10, 670.0, 670.0),
    ]
    store = database.store()
    store.open()
    requests = [request_row(each, RUN.run_id) for each in records]
    attempts = [row for each in records for row in attempt_rows(each)]
    store.write(Batch(run, requests=requests, attempts=attempts, accounts=accounts))
    store.close()
