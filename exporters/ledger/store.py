"""What a database has to do for the ledger, and the two ways in which it can fail. Every call blocks: make it in a thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from jevons.proxy.errors import JevonsError

from .rows import Batch, RunRow
from .statements import migrations

ReadRow = Mapping[str, object]
"""One row that was read, by column."""


class StoreError(JevonsError):
    """The database is not one that can be used: another's file, a schema newer than this version, no permission."""


class StoreUnavailable(StoreError):
    """It does not answer now, is locked or full, and may be well again later."""


class NoLedgerYet(StoreError):
    """There is no ledger in it: whoever writes makes one, whoever reads finds nothing."""


class Store(Protocol):
    """A database with the ledger's tables; `name` is for messages, without a password.

    Its calls raise StoreUnavailable, or StoreError where trying again is no use.
    """

    name: str

    @property
    def is_open(self) -> bool:
        """Whether it is connected."""
        ...

    def open(self) -> None:
        """Connect, and bring the tables up to date. Once it is open, opening it does nothing."""
        ...

    def close(self) -> None:
        """Let go of it; never raises."""
        ...

    def write(self, batch: Batch) -> None:
        """Write all of it or nothing. A request that is there already stays as it is, so that writing again is safe."""
        ...

    def prune(self, before: float) -> int:
        """Delete what is older than a Unix time; returns how many requests."""
        ...

    def open_runs(self) -> list[RunRow]:
        """The processes that have not said that they ended."""
        ...

    def lose_run(self, run_id: str) -> None:
        """Note that one of them has ended without saying so."""
        ...

    def read(self, sql: str, values: Sequence[object] = ()) -> Iterator[ReadRow]:
        """The rows of a query, a few at a time; its text has `?` for each value."""
        ...


def pending(version: int) -> Iterator[tuple[int, tuple[str, ...]]]:
    """The steps that a schema of this version lacks. Raises StoreError where the schema is newer than we are."""
    steps = migrations()
    if version > steps[-1].version:
        raise StoreError(f"its schema is version {version}, made by a newer jevons; this one knows up to {steps[-1].version}")
    for step in steps:
        if step.version > version:
            yield step.version, step.statements
