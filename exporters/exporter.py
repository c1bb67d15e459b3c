"""What an exporter is: something that presents finished requests, and computes nothing.

A quick one, which only touches memory, has `export` and is called right where a request ends. A slow one, which writes to a
disk or a network, has `deliver` and is put behind a `BoundedExporter`: a queue of fixed size and one task that empties it.
When the queue is full the newest record is dropped and counted, so that no exporter can hold a request up or fill the memory.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, Self

import structlog

from jevons.proxy.exchange import Record
from jevons.proxy.metering_state import MeteringState
from jevons.proxy.units import Seconds

from .surroundings import Surroundings


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What an exporter may present besides records; the names are those of the configuration."""

    upstreams: Sequence[str]
    policies: Sequence[str]
    metering: Callable[[], MeteringState]
    """All of metering in one go: call it once per presentation."""
    version: str
    tenants: Sequence[str] = ()
    """Who may be named: those of the keys, and the one of everybody without a key."""
    surroundings: Surroundings = field(default_factory=Surroundings)
    clock: Callable[[], float] = time.time


class Exporter(Protocol):
    """Takes each record once, when its request has ended and its energy is as final as it will be."""

    def export(self, record: Record) -> None:
        """Present it. Returns at once and never raises."""
        ...


class SlowExporter(Protocol):
    """An exporter that does I/O: it gets the records in batches, in the order in which the requests ended."""

    async def deliver(self, records: Sequence[Record]) -> None:
        """Write them; what this raises is logged, and the batch is lost."""
        ...


class BoundedExporter:
    """Keeps a slow exporter off the request path.

    `async with` starts its task; leaving it writes what is still queued, for `drain_seconds` at most. A batch goes out when it
    is full, or `linger_seconds` after its first record came.
    """

    def __init__(
        self,
        exporter: SlowExporter,
        *,
        name: str,
        capacity: int = 10_000,
        batch_size: int = 500,
        linger_seconds: Seconds = 0.0,
        drain_seconds: Seconds = 5.0,
    ) -> None:
        self._exporter = exporter
        self._name = name
        self._queue: asyncio.Queue[Record] = asyncio.Queue(capacity)
        self._batch_size = batch_size
        self._linger_seconds = linger_seconds
        self._is_due = asyncio.Event()
        self._is_ending = False
        self._drain_seconds = drain_seconds
        self._task: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("jevons.exporter")
        self.dropped = 0
        """Records that found the queue full, or were left in it at the end."""
        self.failed = 0
        """Records in batches that the exporter could not deliver."""

    def export(self, record: Record) -> None:
        """Queue it, or drop and count it."""
        try:
            self._queue.put_nowait(record)
        except asyncio.QueueFull:
            self.dropped += 1
        if self._queue.qsize() >= self._batch_size:
            self._is_due.set()

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._consume(), name=f"exporter {self._name}")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is None:
            return
        self._is_ending = True
        self._is_due.set()
        try:
            async with asyncio.timeout(self._drain_seconds):
                await self._queue.join()
        except TimeoutError:
            left = self._queue.qsize()
            self.dropped += left
            self._log.warning("exporter_left_records", exporter=self._name, records=left)
        finally:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _consume(self) -> None:
        while True:
            batch = [await self._queue.get()]
            await self._linger()
            while len(batch) < self._batch_size and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            await self._deliver(batch)
            for _ in batch:
                self._queue.task_done()

    async def _linger(self) -> None:
        """Let more gather: for so long, or until there is a batch of them, or the end."""
        if self._linger_seconds <= 0.0 or self._is_ending or self._queue.qsize() >= self._batch_size - 1:
            return
        self._is_due.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._linger_seconds):
                await self._is_due.wait()

    async def _deliver(self, batch: list[Record]) -> None:
        try:
            await self._exporter.deliver(batch)
        except asyncio.CancelledError:
            self.dropped += len(batch)
            raise
        except Exception:  # noqa: BLE001 - the guard: an exporter's fault, whatever it is, must not end the exporting
            self.failed += len(batch)
            self._log.exception("exporter_failed", exporter=self._name, records=len(batch))
