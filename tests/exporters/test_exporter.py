from __future__ import annotations

import asyncio
from collections.abc import Sequence

from structlog.testing import capture_logs

from jevons.exporters.exporter import BoundedExporter
from jevons.proxy.exchange import Endpoint, Outcome, Record


def records(count: int) -> list[Record]:
    """So many ended requests."""
    return [Record(f"r{i}", "default", Endpoint.CHAT, 0.0, outcome=Outcome.OK) for i in range(count)]


class Collecting:
    """Keeps what it gets, once it is let go; fails on the batches that hold a certain record."""

    def __init__(self, *, is_open: bool = True, fails_on: str = "") -> None:
        self.batches: list[list[str]] = []
        self.gate = asyncio.Event()
        self.called = asyncio.Event()
        self._fails_on = fails_on
        if is_open:
            self.gate.set()

    async def deliver(self, records: Sequence[Record]) -> None:
        """Wait for the gate, then keep the ids."""
        self.called.set()
        await self.gate.wait()
        ids = [record.request_id for record in records]
        if self._fails_on in ids:
            raise OSError("disk full")
        self.batches.append(ids)


async def test_records_are_delivered_in_order_and_none_is_lost():
    """What was exported before the end is delivered by the end, in order and in batches of the size given."""
    sink = Collecting()
    async with BoundedExporter(sink, name="test", batch_size=4) as bounded:
        for record in records(10):
            bounded.export(record)
    assert [request_id for batch in sink.batches for request_id in batch] == [f"r{i}" for i in range(10)]
    assert [len(batch) for batch in sink.batches] == [4, 4, 2]
    assert (bounded.dropped, bounded.failed) == (0, 0)


async def test_a_full_queue_drops_the_newest_and_counts_it():
    """A slow exporter never blocks: beyond the capacity records are dropped and counted."""
    sink = Collecting(is_open=False)
    async with BoundedExporter(sink, name="test", capacity=3, batch_size=1) as bounded:
        first, *others = records(6)
        bounded.export(first)
        await sink.called.wait()
        for record in others:
            bounded.export(record)
        assert bounded.dropped == 2
        sink.gate.set()
    assert sink.batches == [["r0"], ["r1"], ["r2"], ["r3"]]


async def test_a_failing_exporter_is_logged_counted_and_goes_on():
    """What an exporter raises costs its batch and nothing more."""
    sink = Collecting(fails_on="r1")
    with capture_logs() as logs:
        async with BoundedExporter(sink, name="ledger", batch_size=1) as bounded:
            for record in records(3):
                bounded.export(record)
    assert sink.batches == [["r0"], ["r2"]]
    assert bounded.failed == 1
    assert [(entry["event"], entry["exporter"], entry["records"]) for entry in logs] == [("exporter_failed", "ledger", 1)]


async def test_a_hanging_exporter_does_not_hold_up_the_end():
    """Past the deadline what is left is given up, counted and told."""
    sink = Collecting(is_open=False)
    with capture_logs() as logs:
        async with BoundedExporter(sink, name="ledger", batch_size=2, drain_seconds=0.01) as bounded:
            for record in records(5):
                bounded.export(record)
    assert sink.batches == []
    assert bounded.dropped == 5
    assert logs[0]["event"] == "exporter_left_records"


async def test_before_its_start_it_only_queues():
    """Making one starts nothing: records wait for the task."""
    sink = Collecting()
    bounded = BoundedExporter(sink, name="test")
    bounded.export(records(1)[0])
    await asyncio.sleep(0)
    assert sink.batches == []
    async with bounded:
        pass
    assert sink.batches == [["r0"]]
