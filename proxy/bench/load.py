"""Running the load client, and reading a clock at the two edges of what it counts."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from ..errors import JevonsError
from ..units import Seconds
from .workloads import Workload

T = TypeVar("T")


class Series(msgspec.Struct, frozen=True):
    """Durations in microseconds."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    max: float


class LoadResult(msgspec.Struct, frozen=True):
    """What load.c prints, where each field is explained."""

    seconds: Seconds
    ok: int
    bad: int
    odd: int
    late: int
    reconnects: int
    events: int
    bytes: int
    latency_us: Series | None
    first_event_us: Series | None
    gap_us: Series | None
    cpu_seconds: Seconds
    left: int = 0


@dataclass(frozen=True, slots=True)
class LoadClient:
    """The load client against one address."""

    program: Path
    port: int
    model: str
    token: str
    folder: Path
    """Where the request's body is put."""

    def run(
        self, workload: Workload, *, seconds: Seconds, warmup_seconds: Seconds, on_edge: Callable[[], T]
    ) -> tuple[LoadResult, Edges[T]]:
        """Run one workload, on whichever core this process is on. Raises JevonsError where the address does not take it.

        `on_edge` is called as counting begins and as it ends, with the requests under way both times.
        """
        with subprocess.Popen(  # noqa: S603 - our own program
            self._command(workload, seconds, warmup_seconds), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            try:
                begun = _line(process)
                before = on_edge()
                line = _line(process)
                after = on_edge()
                complaint = process.stderr.read().decode().strip() if process.stderr else ""
            finally:
                process.kill()
        if begun != b"begin\n" or not line:
            raise JevonsError(f"the load on port {self.port} broke off: {complaint or 'no reason given'}")
        return msgspec.json.decode(line, type=LoadResult), Edges(before, after)

    def _command(self, workload: Workload, seconds: Seconds, warmup_seconds: Seconds) -> list[str]:
        body = self.folder / f"{workload.name}.json"
        body.write_bytes(workload.body(self.model))
        options: dict[str, object] = {
            "port": self.port,
            "body": body,
            "connections": workload.connections,
            "seconds": seconds,
            "warmup": warmup_seconds,
            "rate": workload.rate,
            "events": workload.events,
            "leave": workload.leaves_after,
            "header": f"Authorization: Bearer {self.token}",
        }
        return [str(self.program), *(word for name, value in options.items() for word in (f"--{name}", str(value)))]


@dataclass(frozen=True, slots=True)
class Edges(Generic[T]):
    """A reading as counting began, and one as it ended."""

    before: T
    after: T


def _line(process: subprocess.Popen[bytes]) -> bytes:
    return process.stdout.readline() if process.stdout else b""
