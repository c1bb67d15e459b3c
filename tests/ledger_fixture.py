"""Databases of both kinds for a ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ledger_world import Database

from jevons.exporters.ledger.store import Store

pytest_plugins = ["postgres_fixture"]


@pytest.fixture
def sqlite_database(tmp_path: Path) -> Database:
    """A file that is not there yet."""
    return Database(tmp_path / "jevons.db")


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """Each kind in turn."""
    if request.param == "sqlite":
        return Database(tmp_path / "jevons.db")
    return Database(request.getfixturevalue("postgres_cluster").make_database())


@pytest.fixture
def opened(database: Database) -> Iterator[Callable[..., Store]]:
    """Open stores on the database; they are closed at the end."""
    stores: list[Store] = []

    def open_it(*, is_reader: bool = False) -> Store:
        store = database.store(is_reader=is_reader)
        store.open()
        stores.append(store)
        return store

    yield open_it
    for store in stores:
        store.close()
