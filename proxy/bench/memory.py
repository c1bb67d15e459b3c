"""What a proxy holds: its memory over many requests, which must not grow, and what an open stream takes that says nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..units import Seconds
from .machine import Cores
from .programs import Programs
from .running import Running, running
from .workloads import Workload

CONNECTIONS: Final = 32
SLICE_SECONDS: Final[Seconds] = 5.0
SETTLE_SECONDS: Final[Seconds] = 2.0
SILENCE_US: Final = 600_000_000
_JSON: Final = Workload("request", "JSON replies", connections=CONNECTIONS)


@dataclass(frozen=True, slots=True)
class Memory:
    """Proportional set sizes, in bytes."""

    checkpoints: tuple[tuple[int, int], ...]
    """So many requests in all, and the memory then."""
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
    def bytes_per_request(self) -> float:
        """By how much it has grown, per request, over the second half of the requests: the first fills what is bounded."""
        late = self.checkpoints[len(self.checkpoints) // 2 :]
        (first, least), (last, most) = late[0], late[-1]
        return (most - least) / (last - first) if last > first else 0.0

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "checkpoints": [{"requests": requests, "bytes": size} for requests, size in self.checkpoints],
            "streams": self.streams,
            "bytes_before_streams": self.before,
            "bytes_with_streams": self.open,
            "bytes_per_stream": self.bytes_per_stream,
            "bytes_per_request": self.bytes_per_request,
        }


def measure_memory(programs: Programs, cores: Cores, say: Callable[[str], None], *, requests: int, streams: int) -> Memory:
    """Serve so many requests, and then hold so many streams open. Raises JevonsError where it does not serve."""
    with running(programs, cores) as proxy:
        before, opened = _hold_open(proxy, streams)
        say(f"{streams} silent streams: {before / 1e6:.1f} -> {opened / 1e6:.1f} MB")
        checkpoints = [(0, _bytes(proxy))]
        while checkpoints[-1][0] < requests:
            done, _ = proxy.load.run(_JSON, seconds=SLICE_SECONDS, warmup_seconds=0.0, on_edge=lambda: None)
            checkpoints.append((checkpoints[-1][0] + done.ok, _bytes(proxy)))
            say(f"{checkpoints[-1][0]} requests: {checkpoints[-1][1] / 1e6:.1f} MB")
    return Memory(tuple(checkpoints), streams, before, opened)


def render(memory: Memory) -> str:
    """The two figures, and how the memory went."""
    lines = [f"{requests:>10} requests {size / 1e6:8.1f} MB" for requests, size in memory.checkpoints]
    lines.append(f"growth in the second half: {memory.bytes_per_request:.1f} bytes per request")
    lines.append(f"{memory.streams} silent streams: {memory.bytes_per_stream / 1000:.1f} kB each")
    return "\n".join(lines)


def _hold_open(proxy: Running, streams: int) -> tuple[int, int]:
    """The memory before, and with the streams open. A few come before that, so that what is made once is not counted."""
    silent = Workload("silent", "silent streams", connections=streams, events=3, pace_us=SILENCE_US)
    few = Workload("silent", "silent streams", connections=CONNECTIONS, events=3, pace_us=SILENCE_US)
    proxy.load.run(few, seconds=0.1, warmup_seconds=0.5, on_edge=lambda: None)
    before = _bytes(proxy)
    _, edges = proxy.load.run(silent, seconds=0.1, warmup_seconds=SETTLE_SECONDS, on_edge=lambda: _bytes(proxy))
    return before, edges.before


def _bytes(proxy: Running) -> int:
    return proxy.program.proportional_bytes() or 0
