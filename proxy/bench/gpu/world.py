"""What a check has at hand: both ways to the server, the device's own counter, and what the proxy says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from ...calibration.calibrate import Calibration
from ...calibration.readings import Readings
from ...calibration.stages import SHORT_WORDS
from ...calibration.streams import ChatClient, Stream
from ...errors import JevonsError
from ...metering.attribution import BIN_SECONDS
from ...scraping import FRESH
from ...units import Joules, Seconds

FINAL_SECONDS: Final = 30.0
SCRAPE_SECONDS: Final = 0.5
_DEVICE: Final = "jevons_device_energy_joules_total"
_ACCOUNTS: Final = "jevons_energy_joules_total"
Spans = list[tuple[Seconds, Seconds]]
"""When requests began and ended."""


@dataclass(slots=True)
class Balance:
    """How far, relative, the accounts were from the device's total in each scrape."""

    errors: list[float] = field(default_factory=list)

    def read(self, page: str) -> None:
        """Take one scrape."""
        totals: dict[str, Joules] = {}
        parts: dict[str, Joules] = {}
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                if sample.name == _DEVICE:
                    totals[sample.labels["device"]] = sample.value
                elif sample.name == _ACCOUNTS:
                    device = sample.labels["device"]
                    parts[device] = parts.get(device, 0.0) + sample.value
        self.errors += [abs(parts.get(device, 0.0) - total) / total for device, total in totals.items() if total > 0.0]


@dataclass(slots=True)
class World:
    """A server that runs, the proxy in front of it, and the device below; `balance` is kept all the time."""

    session: aiohttp.ClientSession
    direct: ChatClient
    proxied: ChatClient
    admin: str
    readings: Readings
    calibration: Calibration
    balance: Balance = field(default_factory=Balance)

    async def energy(self, stream: Stream) -> Joules:
        """What the proxy says that a request has consumed, once it is final; raises JevonsError where it does not know."""
        url = f"{self.proxied.upstream.base_url}/energy/{stream.request_id}"
        deadline = time.monotonic() + FINAL_SECONDS
        while time.monotonic() < deadline:
            async with self.session.get(url) as reply:
                if reply.status != HTTPStatus.OK:
                    raise JevonsError(f"{url} answers {reply.status}")
                record: dict[str, Any] = await reply.json()
            energy = record["energy"]
            if energy["status"] == "final":
                if energy["joules"] is None:
                    raise JevonsError(f"the proxy does not know the energy of a request: {', '.join(energy['quality'])}")
                return float(energy["joules"])
            await asyncio.sleep(0.1)
        raise JevonsError(f"a request's energy did not become final in {FINAL_SECONDS:g} s")

    async def energies(self, streams: Sequence[Stream]) -> list[Joules]:
        """The same of several."""
        return [await self.energy(stream) for stream in streams]

    async def joules(self, begin: Seconds, end: Seconds) -> dict[int, Joules]:
        """What the device consumed in each bin that touches the time, by its own counter; readings before are forgotten."""
        await self.readings.wait_until_known(end + BIN_SECONDS)
        return self.readings.take(int(begin // BIN_SECONDS), int(end // BIN_SECONDS) + 1)

    async def counted(self, spans: Spans, rest_seconds: Seconds) -> Joules:
        """What the counter shows of requests that were alone, from just before the first to `rest_seconds` after the last.

        The idle power of the time between is not theirs, and taken out.
        """
        bins = await self.joules(spans[0][0] - BIN_SECONDS, spans[-1][1] + rest_seconds - BIN_SECONDS)
        idle_seconds = len(bins) * BIN_SECONDS - sum(end - begin for begin, end in spans)
        return sum(bins.values()) - self.calibration.idle_watts * idle_seconds

    @asynccontextmanager
    async def balancing(self) -> AsyncIterator[None]:
        """Within it the proxy's accounts are scraped again and again."""
        task = asyncio.create_task(self._scrape(), name="accounts")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _scrape(self) -> None:
        while True:
            async with self.session.get(f"{self.admin}/metrics", headers=FRESH) as reply:
                self.balance.read(await reply.text())
            await asyncio.sleep(SCRAPE_SECONDS)


async def run_in_turn(client: ChatClient, output_tokens: int, count: int) -> tuple[list[Stream], Spans]:
    """So many short prompts, each asked when the answer before has ended; gives when each began and ended."""
    streams, spans = [], []
    for _ in range(count):
        stream = Stream(SHORT_WORDS, time.monotonic())
        await client.ask(stream, output_tokens)
        streams.append(stream)
        spans.append((stream.began, time.monotonic()))
    return streams, spans


async def run_all(client: ChatClient, streams: Sequence[Stream], output_tokens: int) -> None:
    """Let all of them run to their end at once; raises what the first that fails raises."""
    for stream in streams:
        stream.began = time.monotonic()
    try:
        async with asyncio.TaskGroup() as tasks:
            for stream in streams:
                tasks.create_task(client.ask(stream, output_tokens))
    except ExceptionGroup as group:
        raise group.exceptions[0] from None


@asynccontextmanager
async def steady_load(client: ChatClient, count: int, *, words: int, output_tokens: int) -> AsyncIterator[list[Stream]]:
    """Within it so many streams run, each replaced when it ends; gives the growing list of them. They are cut off at the end."""
    streams: list[Stream] = []

    async def go_on() -> None:
        while True:
            stream = Stream(words, time.monotonic())
            streams.append(stream)
            await client.ask(stream, output_tokens)

    tasks = [asyncio.create_task(go_on()) for _ in range(count)]
    try:
        yield streams
        for task in tasks:
            if task.done():
                task.result()  # the server failed one of them: that is the error, not what comes of it
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
