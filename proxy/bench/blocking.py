"""How long one client's large body, or a model's endless line, keeps all others waiting: the latency of small requests beside it.

The event loop is one. What is done in one go on it is time in which no token passes, and a small request that comes then waits
as long. So its 99th percentile and its maximum, with and without the large one beside it, are the blocking that people notice.
The same straight to the model server says how much of it the load and that server are.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Final

from ..units import Seconds
from .load import LoadClient, LoadResult
from .machine import Cores
from .programs import Programs
from .running import running
from .workloads import PROMPT, Workload

PROBE_RATE: Final = 200.0
BODY_BYTES: Final = 2_000_000
LINE_BYTES: Final = 10_000_000
WARMUP_SECONDS: Final[Seconds] = 0.5
_BESIDE_SECONDS: Final[Seconds] = 1.0
"""How much longer the large ones go on than the probes are counted."""
_PROBE: Final = Workload("probe", "small JSON requests", connections=8, rate=PROBE_RATE, is_charged=False)


@dataclass(frozen=True, slots=True)
class Large(Workload):
    """One large request after the other, on one connection."""

    prompt_bytes: int = 0

    def body(self, model: str) -> bytes:
        """The usual request, its prompt repeated to that length; `max_tokens` is the length of the line that is asked for."""
        small = Workload.body(self, model)
        longer = (PROMPT + " ") * (self.prompt_bytes // len(PROMPT))
        return small.replace(PROMPT.encode(), longer.encode()) if self.prompt_bytes else small


BESIDES: Final = (
    None,
    Large("body", f"a body of {BODY_BYTES // 1_000_000} MB", connections=1, prompt_bytes=BODY_BYTES),
    Large("line", f"a line of {LINE_BYTES // 1_000_000} MB", connections=1, events=LINE_BYTES),
)


@dataclass(frozen=True, slots=True)
class Wait:
    """What small requests met beside one kind of large one: medians of the rounds, in milliseconds."""

    beside: str
    is_direct: bool
    """Straight to the model server, without jevons."""
    p50: float
    p99: float
    longest: float
    large: int
    """Large requests that were served meanwhile."""

    def as_json(self) -> dict[str, object]:
        """For programs."""
        return {
            "beside": self.beside,
            "direct": self.is_direct,
            "p50_ms": self.p50,
            "p99_ms": self.p99,
            "max_ms": self.longest,
            "large_requests": self.large,
        }


def measure_blocking(
    programs: Programs, cores: Cores, say: Callable[[str], None], *, rounds: int, seconds: Seconds
) -> list[Wait]:
    """Probe alone, beside large bodies, beside long lines, each with and without it.

    Raises JevonsError where it does not serve.
    """
    found: dict[tuple[str, bool], list[tuple[LoadResult, int]]] = {}
    with running(programs, cores, [sys.executable, "-m", "jevons.proxy.bench.long_lines"]) as proxy:
        for number in range(1, rounds + 1):
            for beside in BESIDES:
                title = beside.title if beside else "nothing"
                for client, is_direct in ((proxy.load, False), (proxy.direct, True)):
                    found.setdefault((title, is_direct), []).append(_probe(client, beside, seconds))
                say(f"round {number} of {rounds}: beside {title}")
    return [_summed_up(results, title, is_direct=is_direct) for (title, is_direct), results in found.items()]


def render(waits: list[Wait]) -> str:
    """A table."""
    head = f"{'small requests beside':24}{'':10}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}{'large served':>14}"
    rows = [
        f"{wait.beside:24}{'direct' if wait.is_direct else 'jevons':10}"
        f"{wait.p50:9.2f}{wait.p99:9.2f}{wait.longest:9.2f}{wait.large:14}"
        for wait in waits
    ]
    return "\n".join([head, *rows])


def _probe(client: LoadClient, beside: Large | None, seconds: Seconds) -> tuple[LoadResult, int]:
    def load(workload: Workload, more: Seconds) -> LoadResult:
        return client.run(workload, seconds=seconds + more, warmup_seconds=WARMUP_SECONDS, on_edge=lambda: None)[0]

    if beside is None:
        return load(_PROBE, 0.0), 0
    with ThreadPoolExecutor(1) as other:
        large = other.submit(load, beside, _BESIDE_SECONDS)
        return load(_PROBE, 0.0), large.result().ok


def _summed_up(results: list[tuple[LoadResult, int]], title: str, *, is_direct: bool) -> Wait:
    series = [result.latency_us for result, _ in results if result.latency_us is not None]
    p50, p99, longest = (median(values) / 1000 for values in zip(*((one.p50, one.p99, one.max) for one in series), strict=True))
    return Wait(title, is_direct, p50, p99, longest, sum(large for _, large in results))
