"""The ledger as the proxy uses it: nobody waits for it, what it cannot write is counted, and it comes back."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import pytest
from ledger_world import RUN, Database, metering_state, now_records, record
from structlog.testing import capture_logs

from jevons.exporters.ledger.ledger import Ledger, LedgerSettings
from jevons.exporters.ledger.rows import Batch
from jevons.exporters.ledger.store import StoreError
from jevons.proxy.records import record_json

pytest_plugins = ["ledger_fixture"]
QUICK = {"flush_seconds": 0.01, "retry_seconds": (0.01, 0.01), "drain_seconds": 10.0}


def ledger_on(database, state=metering_state, **settings):
    """One that is not open yet."""
    chosen = LedgerSettings(**{**QUICK, **settings})
    return Ledger(database.store(), database.store(is_reader=True), chosen, metering=state, version="0.1.0")


@asynccontextmanager
async def running(ledger):
    """Open, with its timer."""
    async with ledger:
        timer = asyncio.create_task(ledger.run())
        try:
            yield ledger
        finally:
            timer.cancel()
            await asyncio.wait([timer])


async def until(condition):
    """Wait until something is so."""
    for _ in range(3000):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never came true")


def count(database, table="requests"):
    """How many rows there are."""
    sql = {"requests": "SELECT COUNT(*) AS n FROM requests", "attempts": "SELECT COUNT(*) AS n FROM attempts"}
    return database.rows(sql[table])[0]["n"]


async def test_everything_is_there_after_the_end(database):
    """Requests, tries, accounts and scores are written by the time it is left, and the run says that it ended."""
    ledger = ledger_on(database, lambda: metering_state(attributed=7.5, idle=2.5), flush_seconds=60.0)
    async with running(ledger):
        for each in now_records(120):
            ledger.export(each)
        ledger.feedback("req_1", "alice", 0.2)
        ledger.feedback("req_1", "alice", 0.8)
    assert (count(database), count(database, "attempts")) == (120, 120)
    assert {row["account"]: row["total_joules"] for row in database.rows("SELECT * FROM accounts")} == {
        "attributed": 7.5,
        "idle": 2.5,
    }
    assert [row["score"] for row in database.rows("SELECT * FROM feedback")] == [0.8]
    [run] = database.rows("SELECT * FROM runs")
    assert (run["state"], run["dropped"]) == ("closed", 0)
    assert run["ended_at"] >= run["started_at"]
    assert ledger.dropped == 0


async def test_rows_are_written_while_it_runs(database):
    """A row does not wait for the end, nor for others; nor does a full batch wait for the timer."""
    async with running(ledger_on(database)) as ledger:
        ledger.export(record())
        await until(lambda: count(database) == 1)
    async with running(ledger_on(database, flush_seconds=60.0, batch_size=10)) as ledger:
        for each in now_records(10, tenant="bob"):
            ledger.export(each)
        await until(lambda: count(database) >= 10)


async def test_what_was_written_is_found(database):
    """By the tenant whose it is, as memory would say it, while it runs; others find nothing."""
    async with running(ledger_on(database)) as ledger:
        ledger.export(record())
        await until(lambda: count(database) == 1)
        assert await ledger.find("req_1", "alice") == record_json(record())
        assert await ledger.find("req_1", "bob") is None


async def test_a_full_queue_drops_and_counts(sqlite_database):
    """More than may wait is dropped: nobody is held up, and every row is either written or counted."""
    async with running(ledger_on(sqlite_database, queue_size=20, batch_size=20)) as ledger:
        for each in now_records(100):
            ledger.export(each)
        assert ledger.dropped == 80
    assert count(sqlite_database) == 20
    assert sqlite_database.rows("SELECT dropped FROM runs") == [{"dropped": 80}]


async def test_a_locked_database_is_tried_again(sqlite_database):
    """What waits for a lock is written once that is gone, and the log says both."""
    ledger = ledger_on(sqlite_database, retry_seconds=(0.05,) * 200)
    with capture_logs() as logs:
        async with running(ledger):
            other = sqlite3.connect(sqlite_database.place, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            ledger.export(record())
            await until(lambda: any(entry["event"] == "ledger cannot be written" for entry in logs))
            other.execute("COMMIT")
            other.close()
            await until(lambda: any(entry["event"] == "ledger is written again" for entry in logs))
    assert count(sqlite_database) == 1
    assert ledger.dropped == 0


async def test_after_the_last_try_it_is_counted_and_it_recovers(sqlite_database):
    """A batch that cannot be written is given up after so many tries; the accounts lose nothing, and the next batch goes in."""
    joules = [1.0]
    ledger = ledger_on(sqlite_database, lambda: metering_state(idle=joules[0]))
    with capture_logs() as logs:
        async with running(ledger):
            other = sqlite3.connect(sqlite_database.place, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            for each in now_records(3):
                ledger.export(each)
            await until(lambda: ledger.dropped == 3)
            other.execute("COMMIT")
            other.close()
            joules[0] = 2.0
            ledger.export(record("req_later"))
            await until(lambda: count(sqlite_database) == 1)
    events = [entry["event"] for entry in logs]
    assert events.count("ledger cannot be written") == 1
    assert "ledger has dropped rows" in events
    assert [row["total_joules"] for row in sqlite_database.rows("SELECT * FROM accounts")] == [2.0]
    assert sqlite_database.rows("SELECT dropped FROM runs") == [{"dropped": 3}]


async def test_a_server_that_is_not_there_yet(postgres_cluster):
    """A database that is away when we start is no reason not to start; what comes before it is there is counted or kept."""
    database = Database(postgres_cluster.make_database())
    postgres_cluster.stop()
    ledger = ledger_on(database, retry_seconds=(0.1,) * 300)
    try:
        with capture_logs() as logs:
            await ledger.__aenter__()
            ledger.export(record())
            assert await ledger.find("req_1", "alice") is None
    finally:
        postgres_cluster.start()
    await ledger.__aexit__(None, None, None)
    assert next(entry["event"] for entry in logs) == "ledger cannot be written"
    assert count(database) == 1


async def test_a_file_that_is_no_ledger_ends_the_start(sqlite_database):
    """What will never be a ledger is an error at once, not a warning for ever."""
    sqlite_database.place.write_text("notes " * 1000)
    with pytest.raises(StoreError, match="not a database"):
        await ledger_on(sqlite_database).__aenter__()


async def test_old_rows_are_deleted(database):
    """With a retention only what is younger stays."""
    async with running(ledger_on(database, retention_days=2.0)) as ledger:
        ledger.export(record("old", started_at=time.time() - 3 * 86_400))
        ledger.export(record("young", started_at=time.time() - 1 * 86_400))
        await until(lambda: [row["request_id"] for row in database.rows("SELECT * FROM requests")] == ["young"])


WRITER = """
import asyncio, os, signal, sys
sys.path[:0] = sys.argv[2:]
from ledger_world import Database, metering_state, now_records
from jevons.exporters.ledger.ledger import Ledger, LedgerSettings
from pathlib import Path

async def main():
    database = Database(Path(sys.argv[1]))
    settings = LedgerSettings(flush_seconds=0.01, batch_size=10)
    async with Ledger(database.store(), database.store(), settings, metering=metering_state, version="0.1.0") as ledger:
        asyncio.create_task(ledger.run())
        for place, each in enumerate(now_records(100_000)):
            ledger.export(each)
            if place % 10 == 9:
                await asyncio.sleep(0.001)
                print(place, flush=True)

asyncio.run(main())
"""


def kill_a_writer(path):
    """Let another process write there, and kill it in full flight."""
    command = [sys.executable, "-c", WRITER, str(path), *(folder for folder in sys.path if folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        for line in writer.stdout:
            if int(line) > 200:
                break
        writer.kill()


async def test_kill_9_loses_the_last_batch_at_most_and_the_next_start_says_so(sqlite_database):
    """A writer killed in full flight leaves a sound database with whole batches; the next one notes the run and warns."""
    kill_a_writer(sqlite_database.place)
    assert sqlite_database.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]
    written = count(sqlite_database)
    assert written == count(sqlite_database, "attempts") > 0
    ids = [row["request_id"] for row in sqlite_database.rows("SELECT request_id FROM requests ORDER BY rowid")]
    assert ids == [f"req_{place}" for place in range(written)], "only the end is missing"
    with capture_logs() as logs:
        async with running(ledger_on(sqlite_database)):
            pass
    [warning] = [entry for entry in logs if "last batch may be missing" in entry["event"]]
    states = sqlite_database.rows("SELECT run_id, state FROM runs ORDER BY started_at")
    assert [row["state"] for row in states] == ["lost", "closed"]
    assert warning["run_id"] == states[0]["run_id"]


async def test_a_run_that_goes_on_elsewhere_is_not_lost(sqlite_database):
    """A process that lives, here or lately seen on another machine, is let be."""
    store = sqlite_database.store()
    store.open()
    ledger = ledger_on(sqlite_database)
    host = ledger._run.host
    now = time.time()
    runs = {
        "alive": RUN._replace(host=host, pid=os.getppid()),
        "elsewhere": RUN._replace(host="another", seen_at=now),
        "gone": RUN._replace(host="another", seen_at=now - 3600),
        "before": RUN._replace(host=host, pid=os.getpid()),
    }
    for run_id, run in runs.items():
        store.write(Batch(run._replace(run_id=run_id)))
    store.close()
    async with running(ledger):
        pass
    states = {row["run_id"]: row["state"] for row in sqlite_database.rows("SELECT * FROM runs")}
    assert {run_id: states[run_id] for run_id in runs} == {"alive": "open", "elsewhere": "open", "gone": "lost", "before": "lost"}
