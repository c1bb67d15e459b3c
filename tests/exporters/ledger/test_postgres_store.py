"""The ledger in PostgreSQL, the real server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from ledger_world import Database, record
from store_cases import CASES, batch

from jevons.exporters.ledger.store import StoreError, StoreUnavailable

pytest_plugins = ["ledger_fixture"]


@pytest.fixture
def database(postgres_cluster):
    """Only this kind."""
    return Database(postgres_cluster.make_database())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_what_holds_of_every_store(case, database, opened):
    """Each of the cases that every store has to stand."""
    case(database, opened)


def test_processes_that_start_together(database):
    """Of several that open an empty database at once one makes the tables, and all can write."""
    stores = [database.store() for _ in range(4)]
    with ThreadPoolExecutor(len(stores)) as threads:
        list(threads.map(lambda store: store.open(), stores))
    for place, store in enumerate(stores):
        store.write(batch(record(f"req_{place}")))
        store.close()
    assert len(database.rows("SELECT * FROM requests")) == len(stores)


def test_a_server_that_restarts(postgres_cluster, database, opened):
    """While it is away the store is unavailable, and once closed and opened again it goes on."""
    store = opened()
    store.write(batch(record("req_1")))
    postgres_cluster.stop()
    try:
        with pytest.raises(StoreUnavailable):
            store.write(batch(record("req_2")))
        store.close()
        with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1"):
            store.open()
    finally:
        postgres_cluster.start()
    store.open()
    store.write(batch(record("req_2")))
    assert len(database.rows("SELECT * FROM requests")) == 2


def test_errors_do_not_show_the_password(postgres_cluster):
    """What goes wrong names the server and the database, and nothing that opens them."""
    url = postgres_cluster.url("missing").replace("jevons@", "jevons:s3cret-word@")
    with pytest.raises(StoreError) as caught:
        Database(url).store().open()
    assert "missing" in str(caught.value)
    assert "s3cret-word" not in str(caught.value)


def test_a_reader_lets_nobody_write(opened):
    """Reading a ledger that is there works, and finds what was written."""
    opened().write(batch(record("req_1")))
    assert [row["request_id"] for row in opened(is_reader=True).read("SELECT request_id FROM requests")] == ["req_1"]
