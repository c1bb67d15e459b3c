"""The ledger as the proxy sees it: records in, and nothing that anybody waits for.

Records wait in a queue of fixed size and are written in batches by one thread; once in `flush_seconds` the devices' accounts,
the feedback and a sign of life follow. What a database that is away or full cannot take is tried again a few times, then
counted as dropped. A process that ends without saying so has lost its last batch at most, and the next one says that.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeVar

import structlog

from jevons.proxy.exchange import Record
from jevons.proxy.metering_state import MeteringState
from jevons.proxy.units import Seconds

from ..exporter import BoundedExporter
from .account_book import AccountBook
from .reply import find_reply
from .rows import Batch, FeedbackRow, RunRow, attempt_rows, request_row
from .store import Store, StoreError, StoreUnavailable

T = TypeVar("T")

_SECONDS_PER_DAY: Final = 86_400.0
_PRUNE_SECONDS: Final[Seconds] = 3600.0
_MOST_SCORES: Final = 10_000
"""Of those that wait to be written."""
_ROWS_AT_A_TIME: Final = 25
"""Records that are made into rows before the thread lets the event loop have the interpreter."""
_SILENT_SECONDS: Final[Seconds] = 60.0
"""A process on another machine that has not been seen for so long has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerSettings:
    """How it writes."""

    flush_seconds: Seconds = 2.0
    batch_size: int = 500
    queue_size: int = 10_000
    retention_days: float | None = None
    retry_seconds: tuple[Seconds, ...] = (0.1, 0.4, 1.0, 2.0)
    """The waits between the tries to write a batch; after the last it is dropped."""
    drain_seconds: Seconds = 5.0


class Ledger:
    """An exporter. `async with` opens the database and at its end writes what is left; `run` is its timer.

    `store` is written by one thread, `archive` is the same database, read by another.
    """

    def __init__(
        self,
        store: Store,
        archive: Store,
        settings: LedgerSettings,
        *,
        metering: Callable[[], MeteringState],
        version: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._archive = archive
        self._settings = settings
        self._metering = metering
        self._clock = clock
        self._run = RunRow(uuid.uuid4().hex, version, socket.gethostname(), os.getpid(), clock(), clock(), None, "open", 0)
        self._book = AccountBook(self._run.run_id, self._run.started_at)
        self._bounded = BoundedExporter(
            self,
            name="ledger",
            capacity=settings.queue_size,
            batch_size=settings.batch_size,
            linger_seconds=settings.flush_seconds,
            drain_seconds=settings.drain_seconds,
        )
        self._feedback: dict[str, FeedbackRow] = {}
        self._writer = ThreadPoolExecutor(1, "ledger-writer")
        self._reader = ThreadPoolExecutor(1, "ledger-reader")
        self._pruned_at = 0.0
        self._lost = 0
        self._is_down = False
        self._log = structlog.get_logger("jevons.ledger")

    @property
    def run_id(self) -> str:
        """What the rows of this process are marked with."""
        return self._run.run_id

    @property
    def dropped(self) -> int:
        """Rows that are in no database and never will be: the queue was full, or the database could not be written."""
        return self._bounded.dropped + self._bounded.failed + self._lost

    def export(self, record: Record) -> None:
        """Queue a record; a full queue drops and counts it."""
        self._bounded.export(record)

    def feedback(self, request_id: str, tenant: str, score: float) -> None:
        """Keep a client's score of an answer; the last one counts."""
        if len(self._feedback) >= _MOST_SCORES and request_id not in self._feedback:
            self._lost += 1
        else:
            self._feedback[request_id] = FeedbackRow(request_id, tenant, score, self._clock())

    async def find(self, request_id: str, tenant: str) -> dict[str, object] | None:
        """The reply of `GET /v1/energy/{id}` for a request of this tenant; None where there is none, or no database now."""

        def look() -> dict[str, object] | None:
            self._archive.open()
            return find_reply(self._archive, request_id, tenant)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._reader, look)
        except StoreError as error:
            self._archive.close()
            self._log.warning("ledger cannot be read", reason=str(error))
            return None

    async def __aenter__(self) -> Self:
        """Open the database. One that does not answer is waited for while we run; one that is no ledger raises StoreError."""
        try:
            await self._in_writer(self._begin)
        except StoreUnavailable as error:
            self._say_down(error)
        except BaseException:
            self._let_go()
            raise
        await self._bounded.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Write what is left, and that this process has ended; within `drain_seconds` twice over."""
        await self._bounded.__aexit__(kind, error, trace)
        try:
            async with asyncio.timeout(self._settings.drain_seconds):
                await self._flush(has_ended=True)
        except TimeoutError:
            self._log.warning("ledger not written to its end")
        finally:
            if self.dropped:
                self._log.warning("ledger has dropped rows", rows=self.dropped)
            self._let_go()

    def _let_go(self) -> None:
        self._writer.submit(self._store.close)
        self._reader.submit(self._archive.close)
        self._writer.shutdown(wait=False)
        self._reader.shutdown(wait=False)

    async def run(self) -> None:
        """Write accounts and scores once in `flush_seconds`, and delete what is too old once an hour, until cancelled."""
        while True:
            await asyncio.sleep(self._settings.flush_seconds)
            await self._flush()
            days = self._settings.retention_days
            if days is not None and self._clock() - self._pruned_at >= _PRUNE_SECONDS:
                await self._prune(self._clock() - days * _SECONDS_PER_DAY)

    async def deliver(self, records: Sequence[Record]) -> None:
        """Write these; what cannot be written after the last try is counted."""
        if not await self._write(lambda: self._batch_of(records)):
            self._lost += len(records)

    def _batch_of(self, records: Sequence[Record]) -> Batch:
        requests, attempts = [], []
        for place, record in enumerate(records):
            requests.append(request_row(record, self.run_id))
            attempts += attempt_rows(record)
            if place % _ROWS_AT_A_TIME == 0:
                time.sleep(0)
        return Batch(self._run, requests=requests, attempts=attempts)

    async def _flush(self, *, has_ended: bool = False) -> None:
        now = self._clock()
        accounts = self._book.rows(self._metering(), now)
        self._run = self._run._replace(seen_at=now, dropped=self.dropped)
        if has_ended:
            self._run = self._run._replace(ended_at=now, state="closed")
        feedback = list(self._feedback.values())
        batch = Batch(self._run, accounts=accounts, feedback=feedback)
        if await self._write(lambda: batch):
            self._book.written(accounts)
            self._feedback = {key: row for key, row in self._feedback.items() if row not in feedback}

    async def _prune(self, before: float) -> None:
        try:
            requests = await self._in_writer(lambda: self._store.prune(before))
        except StoreError as error:
            self._log.warning("ledger not pruned", reason=str(error))
            return
        self._pruned_at = self._clock()
        if requests:
            self._log.info("ledger pruned", requests=requests, older_than_days=self._settings.retention_days)

    async def _write(self, make: Callable[[], Batch]) -> bool:
        """Write a batch, trying again after each of the waits; False where it was in vain."""

        def write() -> None:
            self._begin()
            self._store.write(make())

        for wait in (*self._settings.retry_seconds, None):
            try:
                await self._in_writer(write)
            except StoreUnavailable as error:
                self._say_down(error)
                await self._in_writer(self._store.close)
                if wait is not None:
                    await asyncio.sleep(wait)
                continue
            if self._is_down:
                self._is_down = False
                self._log.info("ledger is written again", dropped=self.dropped)
            return True
        return False

    def _begin(self) -> None:
        """Open the database where it is not, and then say who has ended without saying so."""
        if self._store.is_open:
            return
        self._store.open()
        for run in self._store.open_runs():
            if run.run_id != self.run_id and self._has_ended(run):
                self._store.lose_run(run.run_id)
                self._log.warning(
                    "the last run ended without a word: its last batch may be missing",
                    run_id=run.run_id,
                    last_seen_seconds_ago=round(self._clock() - run.seen_at, 1),
                    written_every_seconds=self._settings.flush_seconds,
                )

    def _has_ended(self, run: RunRow) -> bool:
        if run.host != self._run.host:
            return self._clock() - run.seen_at > _SILENT_SECONDS
        return run.pid == self._run.pid or not _is_alive(run.pid)

    def _say_down(self, error: StoreError) -> None:
        if not self._is_down:
            self._is_down = True
            self._log.error("ledger cannot be written", reason=str(error))

    async def _in_writer(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, work)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
