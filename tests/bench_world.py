"""What tests of the bench need besides fixtures: a bare HTTP client, and made-up results."""

from __future__ import annotations

import json
import os
import socket
from datetime import UTC, datetime

from jevons.proxy.bench.load import LoadResult, Series
from jevons.proxy.bench.machine import Cores, Machine
from jevons.proxy.bench.processes import CpuTime
from jevons.proxy.bench.rounds import Plan, Run
from jevons.proxy.bench.subjects import Subject
from jevons.proxy.bench.visits import Measurement, Visit


class Client:
    """A bare connection to a server: bytes out, replies in."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.reader = self.socket.makefile("rb")

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def post(self, path: str = "/v1/chat/completions", **body: object) -> tuple[int, bytes]:
        """Send one request and read the reply."""
        self.send(request(json.dumps(body).encode(), path=path))
        return self.reply()

    def get(self, path: str) -> dict[str, object]:
        """Send one request and read the JSON of the reply."""
        self.send(f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        found: dict[str, object] = json.loads(self.reply()[1])
        return found

    def reply(self) -> tuple[int, bytes]:
        """The status and the body, chunked or not; raises EOFError where the connection ends before a whole reply."""
        status = self.reader.readline()
        if not status:
            raise EOFError
        headers = {}
        while (line := self.reader.readline().strip()) != b"":
            name, _, value = line.partition(b":")
            headers[name.lower()] = value.strip()
        if headers.get(b"transfer-encoding") != b"chunked":
            return int(status.split()[1]), self.reader.read(int(headers.get(b"content-length", b"0")))
        parts = []
        while size := int(self.reader.readline(), 16):
            parts.append(self.reader.read(size))
            self.reader.readline()
        self.reader.readline()
        return int(status.split()[1]), b"".join(parts)

    def close(self) -> None:
        """Hang up."""
        self.reader.close()
        self.socket.close()


def request(body: bytes, *, path: str = "/v1/chat/completions", headers: str = "") -> bytes:
    """A POST with a length."""
    return f"POST {path} HTTP/1.1\r\nhost: x\r\n{headers}content-length: {len(body)}\r\n\r\n".encode() + body


def series(p50: float) -> Series:
    """Durations around a median, in microseconds."""
    return Series(count=100, mean=p50, p50=p50, p90=2 * p50, p99=3 * p50, max=4 * p50)


def measurement(
    workload: str, *, ok: int = 1000, bad: int = 0, odd: int = 0, events: int = 0, cpu: float | None = 0.1, p50: float = 1000.0
) -> Measurement:
    """One second of a workload."""
    load = LoadResult(
        seconds=1.0,
        ok=ok,
        bad=bad,
        odd=odd,
        late=0,
        reconnects=0,
        events=events,
        bytes=0,
        latency_us=series(p50),
        first_event_us=series(p50),
        gap_us=series(p50),
        cpu_seconds=0.1,
    )
    return Measurement(workload, load, None if cpu is None else CpuTime(cpu, cpu / 2), None if cpu is None else 0.01)


def visit(subject: str, number: int, *measurements: Measurement) -> Visit:
    """One subject in one round."""
    has_process = subject != "direct"
    return Visit(
        subject,
        number,
        measurements,
        0.5 if has_process else None,
        40_000_000 if has_process else None,
        50_000_000 if has_process else None,
    )


def run_of(*visits: Visit) -> Run:
    """A run with these visits on a made-up machine."""
    titles = {"direct": "no proxy", "jevons": "jevons, metering, rules", "nginx": "nginx"}
    names = dict.fromkeys(one.subject for one in visits)
    run = Run(
        Plan(rounds=max((one.round for one in visits), default=1)),
        Machine("Some CPU", 4, "Linux 6.1", "Debian 12", "3.11.7"),
        Cores(0, 1),
        datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        0.1,
    )
    run.subjects = [Subject(name, titles.get(name, name), "" if name == "direct" else "1.0", None) for name in names]
    run.visits = list(visits)
    return run


def two_cores() -> Cores:
    """Two that this process may use; the same twice where there is but one."""
    first, *others = sorted(os.sched_getaffinity(0))
    return Cores(first, (others or [first])[0])
