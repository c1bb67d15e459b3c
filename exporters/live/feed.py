"""What the live page shows: the accounts of the last 15 minutes, the latest requests, the devices; kept in bounded memory.

Energy is given as it is counted, in joules since the start: the page makes watts of two readings. No prompt is in it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, TypeAlias

from jevons.exporters.catalogue import ACCOUNT
from jevons.proxy.exchange import Record
from jevons.proxy.metering_state import DeviceState, MeteringState
from jevons.proxy.units import Seconds

HISTORY_SECONDS: Final = 900
TICK_SECONDS: Final[Seconds] = 1.0
REQUESTS_KEPT: Final = 100

Json: TypeAlias = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSources:
    """Where the page's figures come from; each is asked once a second, and answers from memory."""

    metering: Callable[[], MeteringState]
    in_flight: Callable[[], int]
    upstreams_up: Callable[[], Mapping[str, bool]] = field(default=dict)
    budgets: Callable[[], Sequence[Mapping[str, object]]] = field(default=tuple)
    """Each as `{name, holder, used_joules, limit_joules, resets_at}`."""
    saving: Callable[[], Mapping[str, object] | None] = field(default=lambda: None)
    """What routing has saved against always reasoning, as it was measured; None while that is not known."""
    version: str = ""


class LiveFeed:
    """Takes a reading every second while it runs, and hands readings and requests to whoever watches."""

    def __init__(self, sources: LiveSources, *, clock: Callable[[], float] = time.time) -> None:
        self._sources = sources
        self._clock = clock
        self._readings: deque[Json] = deque(maxlen=HISTORY_SECONDS)
        self._requests: deque[Record | Json] = deque(maxlen=REQUESTS_KEPT)
        """As they came: most are gone before anybody looks."""
        self._requests_seen = 0
        self._metering = MeteringState()
        """As the last reading found it: all who watch see the same."""
        self._ticked = asyncio.Event()

    def export(self, record: Record) -> None:
        """Keep a finished request among the latest."""
        self._requests.append(record)
        self._requests_seen += 1

    def take(self, requests: Sequence[Json]) -> None:
        """Keep what another process has finished."""
        self._requests.extend(requests)
        self._requests_seen += len(requests)

    async def run(self) -> None:
        """Read once a second until cancelled."""
        while True:
            self.read()
            await asyncio.sleep(TICK_SECONDS)

    def read(self) -> None:
        """Take one reading, and wake who waits for it."""
        state = self._metering = self._sources.metering()
        watts = [each.watts for each in state.devices if each.watts is not None]
        reading: Json = {
            "at": self._clock(),
            "joules": {account: sum(each.accounts[account] for each in state.devices) for account in ACCOUNT.values},
            "watts": sum(watts) if watts else None,
            "in_flight": self._sources.in_flight(),
        }
        self._readings.append(reading)
        ticked, self._ticked = self._ticked, asyncio.Event()
        ticked.set()

    def state(self) -> Json:
        """All that the page shows."""
        return {
            "version": self._sources.version,
            "readings": list(self._readings),
            "requests": _shown(self._requests),
            **self._surroundings(),
        }

    async def events(self) -> AsyncIterator[Json]:
        """The whole state, and then once a second what is new. One that does not keep up misses readings and no more."""
        yield {"kind": "state", **self.state()}
        seen = self._requests_seen
        while True:
            await self._ticked.wait()
            fresh = min(self._requests_seen - seen, len(self._requests))
            seen = self._requests_seen
            requests = _shown(islice(self._requests, len(self._requests) - fresh, None))
            yield {"kind": "tick", "reading": self._readings[-1], "requests": requests, **self._surroundings()}

    def _surroundings(self) -> Json:
        return {
            "devices": [_device(each) for each in self._metering.devices],
            "upstreams": dict(self._sources.upstreams_up()),
            "budgets": [dict(each) for each in self._sources.budgets()],
            "saving": self._sources.saving(),
        }


def _device(state: DeviceState) -> Json:
    return {
        "device": state.device,
        "name": state.name,
        "is_up": state.is_up,
        "reason": state.reason,
        "watts": state.watts,
        "counter_power_ratio": state.counter_power_ratio,
    }


def _shown(requests: Iterable[Record | Json]) -> list[Json]:
    return [request_json(each) if isinstance(each, Record) else each for each in requests]


def request_json(record: Record) -> Json:
    """A finished request as the page shows it."""
    return {
        "id": record.request_id,
        "at": record.started_at,
        "tenant": record.tenant,
        "upstream": record.upstream,
        "route": record.plan.route,
        "reasons": [str(reason) for reason in record.plan.reasons],
        "tokens": record.usage.as_json(),
        "energy": record.energy.as_json(),
        "outcome": None if record.outcome is None else record.outcome.value,
        "seconds": record.duration_seconds,
        "is_holdout": record.holdout_of is not None,
    }
