"""What the ledger costs, and whether it has everything: the same load with it and without it, turn by turn.

Each turn has a proxy of its own, in front of the same simulated server on the same simulated GPU. After a turn with a ledger
the joules in it are laid beside those of the metrics and those of the device.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from jevons.exporters.ledger.rows import Batch, RunRow, attempt_rows, request_row
from jevons.exporters.ledger.sqlite_store import SqliteStore

from ..errors import JevonsError
from ..exchange import (
    Attempt,
    Endpoint,
    Energy,
    EnergyStatus,
    Method,
    Outcome,
    Plan,
    Reason,
    Record,
    Target,
    Upstream,
    Usage,
)
from ..scraping import FRESH
from ..simulation.gpu import SimulatedGpu
from ..units import Joules, Seconds
from .processes import cpu_time

CONCURRENCY: Final = 32
START_SECONDS: Final[Seconds] = 30.0
SETTLE_SECONDS: Final[Seconds] = 30.0
WARM_UP: Final = 50
BATCH: Final = 500
MICRO: Final = 1e6
EXACT: Final = 1e-9

CONFIG: Final = """\
listen: 127.0.0.1:0
admin: 127.0.0.1:0
drain_seconds: 5
upstreams:
  - {{name: chat, url: "{server}/v1", model: simulated-8b, dialect: vllm, devices: ["simulated:{gpu}"]}}
"""


@dataclass(frozen=True, slots=True)
class Sums:
    """The same energy by three books, after everything has ended."""

    requests: int
    ledger_requests_joules: Joules
    metrics_requests_joules: Joules
    ledger_accounts_joules: Mapping[str, Joules]
    metrics_accounts_joules: Mapping[str, Joules]
    device_joules: Joules
    dropped: int

    @property
    def largest_difference(self) -> float:
        """Between any two that must be the same, relative to the greater."""
        attributed = self.metrics_accounts_joules["attributed"]
        accounts = sum(self.ledger_accounts_joules.values())
        pairs = [
            (self.ledger_requests_joules, self.metrics_requests_joules),
            (self.ledger_requests_joules, attributed),
            (accounts, sum(self.metrics_accounts_joules.values())),
            (accounts, self.device_joules),
        ]
        return max(abs(one - other) / max(one, other, 1e-300) for one, other in pairs)


@dataclass(frozen=True, slots=True)
class Turn:
    """One load through one proxy."""

    has_ledger: bool
    requests: int
    seconds: Seconds
    proxy_cpu_seconds: Seconds
    sums: Sums | None

    @property
    def requests_per_second(self) -> float:
        """Throughput."""
        return self.requests / self.seconds

    @property
    def cpu_us_per_request(self) -> float:
        """Of the proxy's process, in microseconds; the writing thread's included."""
        return self.proxy_cpu_seconds / self.requests * MICRO


@dataclass(frozen=True, slots=True)
class LedgerRun:
    """All turns."""

    turns: tuple[Turn, ...]
    alone_us: float
    """CPU microseconds that a request's rows take, made and written with nothing else going on."""

    def medians(self, *, has_ledger: bool) -> tuple[float, float]:
        """Requests per second, and CPU microseconds per request."""
        turns = [turn for turn in self.turns if turn.has_ledger == has_ledger]
        return (
            statistics.median(turn.requests_per_second for turn in turns),
            statistics.median(turn.cpu_us_per_request for turn in turns),
        )

    @property
    def throughput_ratio(self) -> float:
        """With the ledger over without it: the median of the turns that stood next to each other."""
        off = [turn.requests_per_second for turn in self.turns if not turn.has_ledger]
        on = [turn.requests_per_second for turn in self.turns if turn.has_ledger]
        return statistics.median(one / other for one, other in zip(on, off, strict=True))

    @property
    def is_exact(self) -> bool:
        """Whether every ledger has every request and every joule."""
        sums = [turn.sums for turn in self.turns if turn.sums is not None]
        return all(
            one.largest_difference <= EXACT and one.dropped == 0 and one.requests == self.turns[0].requests for one in sums
        )


async def run_ledger_bench(requests: int, rounds: int, say: Callable[[str], None]) -> LedgerRun:
    """Take turns; which goes first changes from round to round. Raises JevonsError where a process does not start."""
    turns: list[Turn] = []
    with tempfile.TemporaryDirectory(prefix="jevons-bench-") as name:
        folder = Path(name)
        gpu = folder / "gpu0"
        SimulatedGpu.create(gpu).close()
        async with _process("server", gpu) as (server, _):
            config = CONFIG.format(server=server.strip(), gpu=gpu)
            for number in range(rounds):
                for has_ledger in (False, True) if number % 2 == 0 else (True, False):
                    say(f"round {number + 1} of {rounds}, {'with' if has_ledger else 'without'} a ledger")
                    turns.append(await _turn(folder / f"{number}-{has_ledger}", config, requests, has_ledger=has_ledger))
        alone_us = await asyncio.to_thread(measure_alone, folder / "alone.db", requests)
    return LedgerRun(tuple(turns), alone_us)


def measure_alone(path: Path, requests: int) -> float:
    """CPU microseconds per request of the ledger's own work: the load of a busy machine does not count in it."""
    store = SqliteStore(path)
    store.open()
    records = [_record(number) for number in range(requests)]
    run = RunRow("alone", "", "", 0, 0.0, 0.0, None, "closed", 0)
    began = time.thread_time()
    for start in range(0, requests, BATCH):
        batch = records[start : start + BATCH]
        rows = [request_row(each, run.run_id) for each in batch]
        store.write(Batch(run, requests=rows, attempts=[row for each in batch for row in attempt_rows(each)]))
    used = time.thread_time() - began
    store.close()
    return used / requests * MICRO


def _record(number: int) -> Record:
    usage = Usage(prompt=20, cached=0, completion=8)
    energy = Energy(0.3, 0.25, 0.35, Method.SIMULATED, EnergyStatus.FINAL, "gpu", ("resolution",))
    target = Target(Upstream("chat", "http://127.0.0.1/v1", "simulated-8b"))
    return Record(
        request_id=f"req_{uuid.uuid4().hex}",
        tenant="default",
        endpoint=Endpoint.CHAT,
        started_at=float(number),
        upstream="chat",
        model="simulated-8b",
        plan=Plan().sent_to((target,), Reason("default", "direct", "direct"), "unsure"),
        usage=usage,
        energy=energy,
        attempts=(Attempt("chat", Outcome.OK, usage, energy),),
        outcome=Outcome.OK,
        duration_seconds=0.1,
    )


async def _turn(stem: Path, config: str, requests: int, *, has_ledger: bool) -> Turn:
    path, database = stem.with_suffix(".yaml"), stem.with_suffix(".db")
    await asyncio.to_thread(path.write_text, config + (f"ledger: {{path: {database}}}\n" if has_ledger else ""))
    async with _process("proxy", path) as (line, process):
        addresses = json.loads(line)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await _wait_until_ready(session, addresses["admin"])
            await _ask_all(session, addresses["main"], WARM_UP)
            before, began = cpu_time(process.pid).total, time.perf_counter()
            await _ask_all(session, addresses["main"], requests - WARM_UP)
            seconds, used = time.perf_counter() - began, cpu_time(process.pid).total - before
            await _wait_until_final(session, addresses["admin"], requests)
        process.terminate()
        last = (await process.stdout.readline()) if process.stdout else b""
        await process.wait()
    sums = _sums(json.loads(last)["page"], database) if has_ledger else None
    return Turn(has_ledger, requests, seconds * requests / (requests - WARM_UP), used * requests / (requests - WARM_UP), sums)


@asynccontextmanager
async def _process(role: str, path: Path) -> AsyncIterator[tuple[str, Process]]:
    """One of the two, its first line, and its end."""
    module = "jevons.proxy.bench.ledger_subject"
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", module, role, str(path), stdout=PIPE, limit=2**24)
    try:
        async with asyncio.timeout(START_SECONDS):
            line = (await process.stdout.readline()) if process.stdout else b""
        if not line:
            raise JevonsError(f"the {role} did not start")
        yield line.decode(), process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _wait_until_ready(session: aiohttp.ClientSession, admin: str) -> None:
    """Until the upstream answers and the device has been read."""
    async with asyncio.timeout(START_SECONDS):
        while True:
            async with session.get(f"{admin}/readyz") as reply:
                is_ready = reply.ok
            if is_ready and sum(_values(await _page(session, admin), "jevons_device_energy_joules_total").values()) > 0.0:
                return
            await asyncio.sleep(0.1)


async def _ask_all(session: aiohttp.ClientSession, main: str, requests: int) -> None:
    numbers = iter(range(requests))

    async def ask_on() -> None:
        for number in numbers:
            body = {
                "model": "auto",
                "messages": [{"role": "user", "content": f"Question {number}: why is the sky blue?"}],
                "max_tokens": 8,
                "stream": number % 2 == 0,
            }
            async with session.post(f"{main}/v1/chat/completions", json=body) as reply:
                await reply.read()
                if not reply.ok:
                    raise JevonsError(f"a request of the load was answered with {reply.status}")

    await asyncio.gather(*(ask_on() for _ in range(CONCURRENCY)))


async def _wait_until_final(session: aiohttp.ClientSession, admin: str, requests: int) -> None:
    async with asyncio.timeout(SETTLE_SECONDS):
        while True:
            settled = _values(await _page(session, admin), "jevons_request_energy_joules_count")
            if sum(settled.values()) >= requests:
                return
            await asyncio.sleep(0.1)


async def _page(session: aiohttp.ClientSession, admin: str) -> str:
    async with session.get(f"{admin}/metrics", headers=FRESH) as reply:
        return await reply.text()


def _values(page: str, name: str, label: str = "device") -> dict[str, float]:
    """The samples of one name, by one label."""
    samples = (sample for family in text_string_to_metric_families(page) for sample in family.samples if sample.name == name)
    return {sample.labels.get(label, ""): sample.value for sample in samples}


def _sums(page: str, database: Path) -> Sums:
    with closing(sqlite3.connect(database)) as ledger:
        [requests] = _rows(ledger, "SELECT COUNT(*), COALESCE(SUM(joules), 0) FROM requests")
        accounts = _rows(ledger, "SELECT account, SUM(joules) FROM accounts GROUP BY account")
    return Sums(
        requests=requests[0],
        ledger_requests_joules=requests[1],
        metrics_requests_joules=sum(_values(page, "jevons_request_energy_joules_sum").values()),
        ledger_accounts_joules=dict(accounts),
        metrics_accounts_joules=_values(page, "jevons_energy_joules_total", "account"),
        device_joules=sum(_values(page, "jevons_device_energy_joules_total").values()),
        dropped=round(sum(_values(page, "jevons_ledger_dropped_total").values())),
    )


def _rows(ledger: sqlite3.Connection, sql: str) -> list[Any]:
    return ledger.execute(sql).fetchall()
