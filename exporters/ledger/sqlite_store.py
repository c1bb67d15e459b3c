"""The ledger in a SQLite file: write-ahead log, so that who reads and who writes do not wait for each other."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from jevons.proxy.units import Seconds

from .rows import Batch, RunRow
from .statements import query
from .store import NoLedgerYet, ReadRow, StoreError, StoreUnavailable, pending

BUSY_SECONDS: Final[Seconds] = 2.0
"""How long to wait for another who writes."""
_OWNER_ONLY: Final = 0o600


class SqliteStore:
    """One connection to one file. With `is_reader` it writes nothing, and a file that is not there is an error."""

    def __init__(self, path: Path, *, is_reader: bool = False, busy_seconds: Seconds = BUSY_SECONDS) -> None:
        self.path = path
        self.name = str(path)
        self._is_reader = is_reader
        self._busy_seconds = busy_seconds
        self._connection: sqlite3.Connection | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is connected."""
        return self._connection is not None

    def open(self) -> None:
        """Connect; a file of ours that is made is its owner's alone, since it says who asked what and when."""
        if self._connection is not None:
            return
        if self._is_reader and not self.path.is_file():
            raise NoLedgerYet(f"{self.path}: no such file")
        with self._errors():
            if not self._is_reader:
                self.path.touch(_OWNER_ONLY)
            connection = sqlite3.connect(
                self.path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False, cached_statements=64
            )
            connection.row_factory = sqlite3.Row
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        self._connection = connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if self._is_reader:
            connection.execute("PRAGMA query_only = ON")
            for _ in pending(self._version(connection)):
                raise NoLedgerYet("it has no ledger of this version: let `jevons serve` write to it first")
            return
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        with _transaction(connection):
            connection.execute(query("create_schema_migrations"))
            for version, statements in pending(self._version(connection)):
                for statement in statements:
                    connection.execute(statement)
                connection.execute(query("insert_schema_migration"), (version,))

    @staticmethod
    def _version(connection: sqlite3.Connection) -> int:
        try:
            return int(connection.execute(query("schema_version")).fetchone()["version"])
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return 0
            raise

    def close(self) -> None:
        """Close the connection; the last one folds the log into the file."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def write(self, batch: Batch) -> None:
        """Write all of it or nothing."""
        with self._errors(), _transaction(self._opened()) as connection:
            connection.execute(query("insert_run"), batch.run)
            connection.executemany(query("insert_request"), batch.requests)
            connection.executemany(query("insert_attempt"), batch.attempts)
            connection.executemany(query("insert_account"), batch.accounts)
            connection.executemany(query("insert_feedback"), batch.feedback)

    def prune(self, before: float) -> int:
        """Delete what is older; the tries go with their requests."""
        with self._errors(), _transaction(self._opened()) as connection:
            requests = connection.execute(query("prune_requests"), (before,)).rowcount
            for name in ("prune_accounts", "prune_feedback", "prune_runs"):
                connection.execute(query(name), (before,))
        return requests

    def open_runs(self) -> list[RunRow]:
        """The processes that have not said that they ended."""
        with self._errors():
            return [RunRow(*row) for row in self._opened().execute(query("open_runs"))]

    def lose_run(self, run_id: str) -> None:
        """Note that one of them has ended without saying so."""
        with self._errors():
            self._opened().execute(query("lose_run"), (run_id,))

    def read(self, sql: str, values: Sequence[object] = ()) -> Iterator[ReadRow]:
        """The rows of a query."""
        with self._errors(), closing(self._opened().execute(sql, tuple(values))) as cursor:
            for row in cursor:
                yield dict(row)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreUnavailable(f"{self.path}: not open")
        return self._connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            raise type(error)(f"{self.path}: {error}") from error
        except sqlite3.OperationalError as error:  # locked, full, not to be opened or written: that may pass
            raise StoreUnavailable(f"{self.path}: {error}") from error
        except sqlite3.Error as error:
            raise StoreError(f"{self.path}: {error}") from error
        except OSError as error:
            raise StoreUnavailable(f"{self.path}: {error.strerror or error}") from error


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All or nothing; the lock is taken at the start, so that nobody waits for it in the middle."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
