"""What a proxy holds: its memory over many requests, which must not grow, and what an open stream takes that says nothing.

The load is mixed, all of it at once: JSON replies, streams that are read to their end, and streams that the client leaves, with
its connection, after the first events.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ..units import Seconds
from .load import LoadResult
from .machine import Cores, Machine, describe_machine
from .programs import Programs
from .running import Running, running
from .trend import Trend, second_half
from .workloads import Workload

CONNECTIONS: Final = 32
SLICE_SECONDS: Final[Seconds] = 10.0
SHORT_SECONDS: Final[Seconds] = 2.0
FEW: Final = 10_000
"""Below so many requests the slices are short."""
SETTLE_SECONDS: Final[Seconds] = 2.0
SILENCE_US: Final = 600_000_000
WHOLE: Final = Workload("whole", "JSON replies", connections=20)
STREAM: Final = Workload("stream", "streams of 32 events", connections=8, events=32)
LEAVE: Final = Workload("leave", "streams left after two events", connections=4, events=32, pace_us=5_000, leaves_after=2)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One look: the requests served so far, the seconds of load, and the resident memory of the proxy, under load."""

    requests: int
    seconds: Seconds
    size: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory, in bytes: the proportional one moves with how many other processes run the same Python."""

    started_at: datetime
    machine: Machine
    checkpoints: tuple[Checkpoint, ...]
    whole: int
    """JSON replies that came whole, as did the streams."""
    streamed: int
    left: int
    """Streams that the client left."""
    bad: int
    """Answers that were none: of any but 200, or broken off."""
    streams: int
    before: int
    """With nothing under way."""
    open: int
    """With so many streams open, each with its first event, and silent."""

    @property
    def bytes_per_stream(self) -> float:
        """What each has added."""
        return (self.open - self.before) / self.streams

    @property
    def bytes_per_request(self) -> Trend | None:
        """By how much it has grown, per request, over the second half of the requests: the first fills what is bounded."""
        return second_half([float(each.requests) for each in self.checkpoints], [float(each.size) for each in self.checkpoints])

    @property
    def bytes_per_hour(self) -> Trend | None:
        """The same by time."""
        trend = second_half([each.seconds for each in self.checkpoints], [float(each.size) for each in self.checkpoints])
        return trend and trend.times(3600.0)

    def as_json(self) -> dict[str, object]:
        """For programs."""
        by_request, by_hour = self.bytes_per_request, self.bytes_per_hour
        return {
            "started_at": self.started_at.isoformat(timespec="seconds"),
            "machine": {"cpu": self.machine.cpu, "cores": self.machine.cores, "python": self.machine.python},
            "checkpoints": [
                {"requests": each.requests, "seconds": round(each.seconds, 1), "bytes": each.size} for each in self.checkpoints
            ],
            "requests": {"whole": self.whole, "streamed": self.streamed, "left": self.left, "bad": self.bad},
            "bytes_per_request": by_request and by_request.as_json(),
            "bytes_per_hour": by_hour and by_hour.as_json(),
            "streams": self.streams,
            "bytes_before_streams": self.before,
            "bytes_with_streams": self.open,
            "bytes_per_stream": self.bytes_per_stream,
        }


def measure_memory(programs: Programs, cores: Cores, say: Callable[[str], None], *, requests: int, streams: int) -> Memory:
    """Hold so many streams open, and then serve so many requests. Raises JevonsError where it does not serve."""
    started_at = datetime.now(UTC)
    with running(programs, cores) as proxy:
        before, opened = _hold_open(proxy, streams)
        say(f"{streams} silent streams: {before / 1e6:.1f} -> {opened / 1e6:.1f} MB")
        began = time.monotonic()
        counts = dict.fromkeys(("whole", "streamed", "left", "bad"), 0)
        checkpoints = [Checkpoint(0, 0.0, _bytes(proxy))]
        while checkpoints[-1].requests < requests:
            size = _load_slice(proxy, SLICE_SECONDS if requests >= FEW else SHORT_SECONDS, counts)
            served = counts["whole"] + counts["streamed"] + counts["left"]
            checkpoints.append(Checkpoint(served, time.monotonic() - began, size))
            say(f"{served} requests: {size / 1e6:.1f} MB")
    return Memory(
        started_at,
        describe_machine(),
        tuple(checkpoints),
        **counts,
        streams=streams,
        before=before,
        open=opened,
    )


def _load_slice(proxy: Running, seconds: Seconds, counts: dict[str, int]) -> int:
    """All three loads for a while; returns the memory at its end, with requests under way."""

    def run(workload: Workload, *, looks: bool = False) -> tuple[LoadResult, int]:
        done, edges = proxy.load.run(workload, seconds=seconds, warmup_seconds=0.0, on_edge=lambda: _bytes(proxy) if looks else 0)
        return done, edges.after

    with ThreadPoolExecutor(2) as others:
        beside = [others.submit(run, workload) for workload in (STREAM, LEAVE)]
        whole, size = run(WHOLE, looks=True)
        stream, leave = (each.result()[0] for each in beside)
    counts["whole"] += whole.ok
    counts["streamed"] += stream.ok + leave.ok
    counts["left"] += leave.left
    counts["bad"] += whole.bad + stream.bad + leave.bad
    return size


def _hold_open(proxy: Running, streams: int) -> tuple[int, int]:
    """The memory before, and with the streams open. A few come before that, so that what is made once is not counted."""
    silent = Workload("silent", "silent streams", connections=streams, events=3, pace_us=SILENCE_US)
    few = Workload("silent", "silent streams", connections=CONNECTIONS, events=3, pace_us=SILENCE_US)
    proxy.load.run(few, seconds=0.1, warmup_seconds=0.5, on_edge=lambda: None)
    before = _bytes(proxy)
    _, edges = proxy.load.run(silent, seconds=0.1, warmup_seconds=SETTLE_SECONDS, on_edge=lambda: _bytes(proxy))
    return before, edges.before


def _bytes(proxy: Running) -> int:
    return proxy.program.resident_bytes() or 0
