"""The ledger in PostgreSQL, by psycopg 3 (`pip install 'jevons[postgres]'`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from jevons.proxy.units import Seconds

from .rows import Batch, RunRow
from .statements import query
from .store import NoLedgerYet, ReadRow, StoreError, StoreUnavailable, pending

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS: Final[Seconds] = 5.0
STATEMENT_SECONDS: Final[Seconds] = 60.0
MIGRATION_LOCK: Final = 7305815_1882
"""Of processes that start together, one brings the tables up to date and the others wait."""
_ROWS_AT_A_TIME: Final = 1000


class PostgresStore:
    """One connection to one database. With `is_reader` it writes nothing."""

    def __init__(self, url: str, *, is_reader: bool = False, connect_seconds: Seconds = CONNECT_SECONDS) -> None:
        if find_spec("psycopg") is None:
            raise StoreError("a ledger in PostgreSQL takes psycopg: pip install 'jevons[postgres]'")
        self._url = url
        self._is_reader = is_reader
        self._connect_seconds = connect_seconds
        self._connection: psycopg.Connection[Any] | None = None
        self.name = _without_password(url)

    @property
    def is_open(self) -> bool:
        """Whether it is connected."""
        return self._connection is not None

    def open(self) -> None:
        """Connect, and bring the tables up to date."""
        if self._connection is not None:
            return
        import psycopg  # noqa: PLC0415 - an extra, which only this needs

        with self._errors():
            connection = psycopg.connect(
                self._url,
                autocommit=True,
                connect_timeout=round(self._connect_seconds),
                options=f"-c statement_timeout={round(STATEMENT_SECONDS * 1000)}",
                application_name="jevons ledger",
            )
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
        self._connection = connection

    def _prepare(self, connection: psycopg.Connection[Any]) -> None:
        if self._is_reader:
            connection.read_only = True
            if self._version(connection) == 0:
                raise NoLedgerYet("it has no ledger: let `jevons serve` write to it first")
            return
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
            connection.execute(query("create_schema_migrations").encode())
            for version, statements in pending(self._version(connection)):
                for statement in statements:
                    connection.execute(statement.encode())
                connection.execute(_with_places(query("insert_schema_migration")), (version,))

    @staticmethod
    def _version(connection: psycopg.Connection[Any]) -> int:
        found = connection.execute("SELECT to_regclass('schema_migrations')").fetchone()
        if found is None or found[0] is None:
            return 0
        row = connection.execute(query("schema_version").encode()).fetchone()
        return 0 if row is None else int(row[0])

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            import psycopg  # noqa: PLC0415 - as above

            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None

    def write(self, batch: Batch) -> None:
        """Write all of it or nothing."""
        with self._errors(), self._opened().transaction(), self._opened().cursor() as cursor:
            cursor.execute(_with_places(query("insert_run")), batch.run)
            tables: tuple[tuple[str, Sequence[tuple[object, ...]]], ...] = (
                ("insert_request", batch.requests),
                ("insert_attempt", batch.attempts),
                ("insert_account", batch.accounts),
                ("insert_feedback", batch.feedback),
            )
            for name, rows in tables:
                if rows:
                    cursor.executemany(_with_places(query(name)), rows)

    def prune(self, before: float) -> int:
        """Delete what is older; the tries go with their requests."""
        with self._errors(), self._opened().transaction():
            requests = self._opened().execute(_with_places(query("prune_requests")), (before,)).rowcount
            for name in ("prune_accounts", "prune_feedback", "prune_runs"):
                self._opened().execute(_with_places(query(name)), (before,))
        return requests

    def open_runs(self) -> list[RunRow]:
        """The processes that have not said that they ended."""
        with self._errors():
            return [RunRow(*row) for row in self._opened().execute(query("open_runs").encode())]

    def lose_run(self, run_id: str) -> None:
        """Note that one of them has ended without saying so."""
        with self._errors():
            self._opened().execute(_with_places(query("lose_run")), (run_id,))

    def read(self, sql: str, values: Sequence[object] = ()) -> Iterator[ReadRow]:
        """The rows of a query, fetched a thousand at a time from a cursor of the server's."""
        from psycopg.rows import dict_row  # noqa: PLC0415 - as above

        with (
            self._errors(),
            self._opened().transaction(),
            self._opened().cursor(name="ledger", row_factory=dict_row) as cursor,
        ):
            cursor.itersize = _ROWS_AT_A_TIME
            cursor.execute(_with_places(sql), tuple(values))
            yield from cursor

    def _opened(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            raise StoreUnavailable(f"{self.name}: not open")
        return self._connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        import psycopg  # noqa: PLC0415 - as above

        try:
            yield
        except StoreError as error:
            raise type(error)(f"{self.name}: {error}") from error
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise StoreUnavailable(f"{self.name}: {_first_line(error)}") from error
        except psycopg.Error as error:
            raise StoreError(f"{self.name}: {_first_line(error)}") from error


def _with_places(sql: str) -> bytes:
    """The statement as psycopg wants it; none of ours holds a question mark or a per cent sign in a text."""
    return sql.replace("?", "%s").encode()


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _without_password(url: str) -> str:
    """For messages: the address and the database, and nothing that opens it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
