"""One soak from its start to its figures: the demo's simulated servers, the real proxy, minutes of load, a burst, rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp

from ...simulation.demo_stack import DemoStack
from ...units import Seconds
from ..machine import Machine, describe_machine
from .load import SoakLoad
from .watch import Sample, Watch, kib_per_hour

CLIENTS: Final = 32
WARM_UP_SECONDS: Final[Seconds] = 5.0
REST_SECONDS: Final[Seconds] = 3.0
COOL_SECONDS: Final[Seconds] = 5.0
"""After the burst, with nobody there: longer than an idle connection to a model server is kept."""
DESCRIPTORS_MORE: Final = 8
"""So many more at the end than at the beginning are no leak: a pool may hold another connection or two."""
RESIDUAL_LIMIT: Final = 1e-9
_PATIENCE: Final = aiohttp.ClientTimeout(total=None, sock_connect=60.0, sock_read=300.0)


@dataclass(frozen=True, slots=True)
class Soak:
    """What was found. `before` and `after` are looks at rest, without a client; `samples` are those under load."""

    started_at: datetime
    machine: Machine
    seconds: Seconds
    streams: int
    burst_seconds: Seconds
    answers: dict[str, dict[str, int]]
    lost: dict[str, int]
    before: Sample
    full: Sample
    """At rest, but with the connections of all the streams still open."""
    after: Sample
    samples: tuple[Sample, ...]

    @property
    def requests(self) -> int:
        """All, the burst included."""
        return sum(sum(counts.values()) for counts in self.answers.values())

    @property
    def is_sound(self) -> bool:
        """None lost, no task, request or descriptor left over, and the sums held in every look."""
        is_at_rest = self.after.in_flight == 0 and self.after.tasks <= self.before.tasks
        is_at_rest &= self.after.descriptors <= self.before.descriptors + DESCRIPTORS_MORE
        return not self.lost and is_at_rest and max(each.residual for each in (*self.samples, self.after)) <= RESIDUAL_LIMIT

    def as_json(self) -> dict[str, Any]:
        """All of it, with the slope."""
        data, slope = asdict(self), kib_per_hour(self.samples)
        return {
            **data,
            "simulated": True,
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "requests": self.requests,
            "rss_kib_per_hour": slope and slope.as_json(),
            "is_sound": self.is_sound,
        }


async def run_soak(seconds: Seconds, streams: int, say: Callable[[str], None]) -> Soak:
    """Run it. Raises JevonsError where something does not start."""
    started_at = datetime.now(UTC)
    async with DemoStack() as stack, _clients() as looking:
        watch = Watch(looking, stack.admin, stack.proxy_pid)
        async with _clients() as session:
            await SoakLoad(session, stack.main, seed=0).run(CLIENTS, WARM_UP_SECONDS)
        await asyncio.sleep(REST_SECONDS)
        before = await watch.look()
        async with _clients() as session:
            load = SoakLoad(session, stack.main, seed=1)
            say(f"{CLIENTS} clients for {seconds:g} s …")
            watching = asyncio.create_task(watch.run())
            await load.run(CLIENTS, seconds)
            watching.cancel()
            say(f"{streams} streams at once …")
            began = time.monotonic()
            await load.burst(streams)
            burst_seconds = time.monotonic() - began
            await asyncio.sleep(REST_SECONDS)
            full = await watch.look()
        await asyncio.sleep(COOL_SECONDS)
        async with _clients() as session:  # the next requests are what closes idle connections that are too old
            await SoakLoad(session, stack.main, seed=2).run(2, REST_SECONDS)
        await asyncio.sleep(REST_SECONDS)
        after = await watch.look()
    return Soak(
        started_at,
        describe_machine(),
        seconds,
        streams,
        burst_seconds,
        {kind: dict(counter) for kind, counter in load.tally.answers.items()},
        load.tally.lost,
        before,
        full,
        after,
        tuple(watch.samples),
    )


def _clients() -> aiohttp.ClientSession:
    """As many connections as are wanted, closed with it."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=_PATIENCE)
