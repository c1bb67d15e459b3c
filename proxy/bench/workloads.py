"""What is asked of a proxy: a few plain loads, each of which one figure comes from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

EVENTS_PER_STREAM: Final = 128
PROMPT: Final = (
    "You are reviewing the heating of an office building. It has gas boilers from 1998, and no insulation in the roof. "
    "Name the two measures that save the most for the money, in one sentence each, and say what you would measure first."
)
"""Of ordinary length, and with nothing in it that the rules of the shipped configuration look for."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One load on one address."""

    name: str
    title: str
    connections: int
    rate: float = 0.0
    """Requests per second; 0 is a closed loop: each connection asks again when it has its answer."""
    events: int = 0
    """Per stream; 0 asks for a JSON reply."""
    pace_us: int = 0
    """Between two events of a stream; 0 sends them as fast as they are taken."""
    leaves_after: int = 0
    """So many events of a stream have come when the client goes away; 0 reads all of them."""
    is_charged: bool = True
    """Whether its CPU time is a figure; else it is there for its latencies, and is run without a proxy too."""

    def body(self, model: str) -> bytes:
        """The request. `max_tokens` and `seed` tell the mock the number of events and their pace, see mock.c."""
        body: dict[str, object] = {"model": model, "messages": [{"role": "user", "content": PROMPT}], "temperature": 0.7}
        if self.events:
            body |= {"stream": True, "max_tokens": self.events, "seed": self.pace_us}
        return json.dumps(body).encode()

    @property
    def events_per_second(self) -> float | None:
        """What the mock sends in all, where that is given by the pace and not by the proxy."""
        return self.connections * 1e6 / self.pace_us if self.pace_us and not self.rate else None


def _paced(streams: int, milliseconds: int) -> Workload:
    return Workload(
        f"paced-{streams}-{milliseconds}",
        f"{streams} streams, an event every {milliseconds} ms each",
        connections=streams,
        events=EVENTS_PER_STREAM,
        pace_us=milliseconds * 1000,
    )


WORKLOADS: Final = (
    Workload("calm", "50 JSON replies per second", connections=8, rate=50, is_charged=False),
    Workload(
        "calm-stream",
        "50 streams per second of 16 events, one every 10 ms",
        connections=64,
        rate=50,
        events=16,
        pace_us=10_000,
        is_charged=False,
    ),
    Workload("request", "JSON replies, 32 connections", connections=32),
    Workload("flood", "32 streams, events as fast as they are taken", connections=32, events=EVENTS_PER_STREAM),
    _paced(32, 10),
    _paced(32, 30),
    _paced(256, 10),
    _paced(256, 30),
)
"""In the order in which they are run: the quiet ones first, while nothing is left to tidy up."""
