"""The ledger in SQLite."""

from __future__ import annotations

import resource
import sqlite3
import stat

import pytest
from ledger_world import Database, record
from store_cases import CASES, batch

from jevons.exporters.ledger.sqlite_store import SqliteStore
from jevons.exporters.ledger.store import StoreError, StoreUnavailable

pytest_plugins = ["ledger_fixture"]


@pytest.fixture
def database(sqlite_database):
    """Only this kind."""
    return sqlite_database


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_what_holds_of_every_store(case, database, opened):
    """Each of the cases that every store has to stand."""
    case(database, opened)


def test_the_file_is_its_owners_alone(database, opened):
    """It says who asked what and when: nobody else may read it. And it has a write-ahead log."""
    opened()
    assert stat.S_IMODE(database.place.stat().st_mode) == 0o600
    assert database.rows("PRAGMA journal_mode") == [{"journal_mode": "wal"}]


def test_another_file_is_no_ledger(database):
    """A file that is no database is refused by name, and left as it is."""
    database.place.write_text("notes " * 1000)
    with pytest.raises(StoreError, match=r"jevons\.db: file is not a database") as caught:
        database.store().open()
    assert not isinstance(caught.value, StoreUnavailable)
    assert database.place.read_text().startswith("notes")


def test_a_folder_that_is_not_there(tmp_path):
    """A path that cannot be made says why; it may be mounted later."""
    with pytest.raises(StoreUnavailable, match="No such file or directory"):
        SqliteStore(tmp_path / "nowhere" / "jevons.db").open()


def test_a_locked_database_is_unavailable(database, opened):
    """While another holds the write lock nothing is written; afterwards it is."""
    store = opened()
    other = sqlite3.connect(database.place, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailable, match="locked"):
        store.write(batch(record()))
    other.execute("COMMIT")
    other.close()
    store.write(batch(record()))
    assert len(database.rows("SELECT * FROM requests")) == 1


def test_a_full_disk_is_unavailable(database, opened):
    """A file that may not grow takes no rows and stays sound; once it may, it takes them."""
    store = opened()
    store.write(batch(record()))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (database.place.stat().st_size, hard))
    many = batch(*(record(f"req_{place}", model="m" * 5000) for place in range(100, 150)))
    try:
        with pytest.raises(StoreUnavailable):
            store.write(many)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert len(database.rows("SELECT * FROM requests")) == 1
    store.write(many)
    assert len(database.rows("SELECT * FROM requests")) == 51
    assert database.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_a_store_that_is_not_open(tmp_path):
    """Before it is open, and after it was closed, it is unavailable; closing twice is closing once."""
    database = Database(tmp_path / "jevons.db")
    store = database.store()
    with pytest.raises(StoreUnavailable, match="not open"):
        store.write(batch())
    store.open()
    store.close()
    store.close()
    with pytest.raises(StoreUnavailable, match="not open"):
        store.open_runs()
