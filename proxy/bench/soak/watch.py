"""What is watched during a soak: the proxy's memory, descriptors, threads and tasks, and whether the sums hold."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from ...scraping import FRESH
from ...units import Joules, Seconds
from ..trend import Trend, second_half

SAMPLE_SECONDS: Final[Seconds] = 2.0


@dataclass(frozen=True, slots=True)
class Sample:
    """One look."""

    at_seconds: Seconds
    rss_kib: int
    descriptors: int
    threads: int
    tasks: int
    in_flight: int
    residual: float
    """How far the accounts are from the device, relative."""


@dataclass
class Watch:
    """Looks at one process, again and again, from `began` on."""

    session: aiohttp.ClientSession
    admin: str
    pid: int
    began: Seconds = field(default_factory=time.monotonic)
    samples: list[Sample] = field(default_factory=list)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.samples.append(await self.look())
            await asyncio.sleep(SAMPLE_SECONDS)

    async def look(self) -> Sample:
        """Once; raises aiohttp.ClientError where the admin listener does not answer."""
        async with self.session.get(f"{self.admin}/metrics", headers=FRESH) as reply:
            page = await reply.text()
        seen: dict[str, float] = {}
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                seen[sample.name] = seen.get(sample.name, 0.0) + sample.value
        status = _status(self.pid)
        return Sample(
            time.monotonic() - self.began,
            status["VmRSS"],
            _descriptors(self.pid),
            status["Threads"],
            int(seen["jevons_event_loop_tasks"]),
            int(seen["jevons_requests_in_flight"]),
            _residual(seen["jevons_energy_joules_total"], seen["jevons_device_energy_joules_total"]),
        )


def kib_per_hour(samples: Sequence[Sample]) -> Trend | None:
    """The slope of the memory over the second half, with its interval; None of too few samples."""
    found = second_half([each.at_seconds for each in samples], [float(each.rss_kib) for each in samples])
    return found and found.times(3600.0)


def _residual(accounts: Joules, device: Joules) -> float:
    return abs(accounts - device) / device if device else abs(accounts)


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _status(pid: int) -> dict[str, int]:
    """`VmRSS` in KiB, and `Threads`."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in lines if words and words[0] in {"VmRSS:", "Threads:"}}
