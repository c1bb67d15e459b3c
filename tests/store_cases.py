"""What holds of every store; `test_sqlite_store` and `test_postgres_store` let it be tried on theirs."""

from __future__ import annotations

import pytest
from ledger_world import RUN, record

from jevons.exporters.ledger.rows import AccountRow, Batch, FeedbackRow, attempt_rows, request_row
from jevons.exporters.ledger.store import StoreError, StoreUnavailable


def batch(*records, **fields):
    """These records as a batch."""
    rows = [request_row(each, RUN.run_id) for each in records]
    return Batch(RUN, requests=rows, attempts=[row for each in records for row in attempt_rows(each)], **fields)


def check_writing(database, opened):
    """A batch is read back as it was written, by another connection, and writing it twice is writing it once."""
    store = opened()
    written = batch(record(), feedback=[FeedbackRow("req_1", "alice", 0.5, 1.0)])
    store.write(written)
    store.write(written)
    reader = opened(is_reader=True)
    [found] = reader.read("SELECT * FROM requests WHERE request_id = ?", ("req_1",))
    assert tuple(found.values()) == tuple(written.requests[0])
    assert list(found) == list(written.requests[0]._fields)
    [attempt] = reader.read("SELECT * FROM attempts")
    assert tuple(attempt.values()) == tuple(written.attempts[0])
    assert [row["score"] for row in reader.read("SELECT * FROM feedback")] == [0.5]


def check_all_or_nothing(database, opened):
    """A batch with a row that the database refuses leaves nothing behind, and the store goes on."""
    store = opened()
    good = batch(record())
    bad = [request_row(record("req_2"), RUN.run_id)._replace(tenant=None)]
    with pytest.raises(StoreError) as caught:
        store.write(Batch(RUN, requests=[*good.requests, *bad]))
    assert not isinstance(caught.value, StoreUnavailable)
    assert database.rows("SELECT * FROM requests") == []
    store.write(good)
    assert len(database.rows("SELECT * FROM requests")) == 1


def check_accounts(database, opened):
    """An account's open window is written again in its place, and keeps every bit of its joules."""
    store = opened()
    joules = 0.1 + 0.2
    for end, gained in ((10.0, 1.5), (20.0, joules)):
        store.write(Batch(RUN, accounts=[AccountRow("run-1", "GPU-1", "idle", 0.0, end, gained, gained)]))
    [row] = database.rows("SELECT * FROM accounts")
    assert (row["window_end"], row["joules"], row["total_joules"]) == (20.0, joules, joules)


def check_last_score(database, opened):
    """Of several scores of one answer the last is kept."""
    store = opened()
    for score in (0.2, 0.9):
        store.write(Batch(RUN, feedback=[FeedbackRow("req_1", "alice", score, 1.0)]))
    assert [row["score"] for row in database.rows("SELECT * FROM feedback")] == [0.9]


def check_pruning(database, opened):
    """What is older goes, with its tries; what is younger stays, and so does a run that is open."""
    store = opened()
    accounts = [AccountRow("run-1", "GPU-1", "idle", start, start + 10, 1.0, 1.0) for start in (0.0, 100.0)]
    scores = [FeedbackRow(f"req_{at}", "alice", 1.0, at) for at in (1, 200)]
    store.write(batch(record("old", started_at=5.0), record("new", started_at=150.0), accounts=accounts, feedback=scores))
    assert store.prune(50.0) == 1
    assert [row["request_id"] for row in database.rows("SELECT * FROM requests")] == ["new"]
    assert [row["request_id"] for row in database.rows("SELECT * FROM attempts")] == ["new"]
    assert [row["window_start"] for row in database.rows("SELECT * FROM accounts")] == [100.0]
    assert [row["at"] for row in database.rows("SELECT * FROM feedback")] == [200.0]
    assert len(store.open_runs()) == 1


def check_runs(database, opened):
    """Runs are open until they say that they ended, or somebody notes that they did not."""
    store = opened()
    store.write(Batch(RUN))
    store.write(Batch(RUN._replace(run_id="run-2", state="closed", ended_at=5.0)))
    assert store.open_runs() == [RUN]
    store.lose_run("run-1")
    store.lose_run("run-2")
    assert store.open_runs() == []
    states = database.rows("SELECT run_id, state FROM runs ORDER BY run_id")
    assert [row["state"] for row in states] == ["lost", "closed"]


def check_schema(database, opened):
    """Opening again changes nothing; a schema of a newer version is refused, with both numbers."""
    opened().write(batch(record()))
    opened()
    assert len(database.rows("SELECT * FROM requests")) == 1
    database.run("INSERT INTO schema_migrations (version) VALUES (9999)")
    with pytest.raises(StoreError, match="schema is version 9999, made by a newer jevons"):
        opened()


def check_readers(database, opened):
    """A reader does not make a ledger where there is none, and writes nothing."""
    with pytest.raises(StoreError, match=r"no such file|no ledger"):
        opened(is_reader=True)
    opened()
    with pytest.raises(StoreError):
        opened(is_reader=True).write(batch(record()))


CASES = [
    check_writing, check_all_or_nothing, check_accounts, check_last_score, check_pruning, check_runs, check_schema, check_readers,
]  # fmt: skip
