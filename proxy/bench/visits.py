"""One subject in one round: started, loaded with every workload in turn, weighed, stopped."""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ..errors import JevonsError
from ..units import Seconds
from .load import LoadClient, LoadResult
from .machine import Cores, busy_seconds
from .processes import CpuTime, Program
from .programs import Programs
from .subjects import Place, Subject
from .workloads import PROMPT, Workload

START_SECONDS: Final[Seconds] = 180.0
CALM_SECONDS: Final[Seconds] = 8.0
_CALM_INTERVAL_SECONDS: Final[Seconds] = 0.2
_CALM_SHARE: Final = 0.1
"""Of a core, below which a program is not busy with what was asked of it."""
_ASK_AGAIN_SECONDS: Final[Seconds] = 0.005
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Measurement:
    """One workload on one subject."""

    workload: str
    load: LoadResult
    cpu: CpuTime | None
    """Of the proxy's process tree while the load was counted; None without a proxy."""
    foreign_share: float | None
    """Of the proxy's core, what others took: processes of this machine, or its hypervisor."""


@dataclass(frozen=True, slots=True)
class Visit:
    """What one subject did in one round."""

    subject: str
    round: int
    measurements: tuple[Measurement, ...]
    start_seconds: Seconds | None
    """From its spawn to its first answer; None without a proxy."""
    idle_bytes: int | None
    """Its memory after that answer."""
    loaded_bytes: int | None
    """Its memory after the last workload; None where it did not have all of them."""

    def measurement(self, workload: str) -> Measurement | None:
        """That of one workload; None where it was not run."""
        return next((one for one in self.measurements if one.workload == workload), None)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Makes visits. The caller is on the load's core, and so is whatever is started here but for the subject."""

    programs: Programs
    workloads: Sequence[Workload]
    cores: Cores
    seconds: Seconds
    warmup_seconds: Seconds
    say: Callable[[str], None]

    def visit(self, subject: Subject, number: int) -> Visit:
        """Raises JevonsError where the subject does not do its work."""
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="jevons-bench-")))
            log = folder / "mock.log"
            stack.enter_context(Program([str(self.programs.mock)], core=self.cores.load, log=log))
            place = Place(folder, announced_port(log), *free_ports(), token=f"sk-{secrets.token_hex(24)}")
            if subject.launch is None:
                measurements = [self._measure(subject, place, one, None) for one in self.workloads if not one.is_charged]
                return Visit(subject.name, number, tuple(measurements), None, None, None)
            launch = subject.launch(place)
            program = Program(launch.command, core=self.cores.proxy, log=folder / "subject.log", environment=launch.environment)
            return self._visit(subject, number, place, stack.enter_context(program))

    def _visit(self, subject: Subject, number: int, place: Place, program: Program) -> Visit:
        wait_until_served(subject, place, program)
        start_seconds = time.monotonic() - program.started_at
        idle_bytes = program.proportional_bytes()
        wanted = [one for one in self.workloads if not subject.workloads or one.name in subject.workloads]
        measurements = [self._measure(subject, place, workload, program) for workload in wanted]
        loaded_bytes = None if subject.workloads else program.proportional_bytes()
        if program.stray_threads():
            raise JevonsError(f"{subject.name} left the core that it was given")
        if subject.is_metered:
            require_energy(subject, place)
        return Visit(subject.name, number, tuple(measurements), start_seconds, idle_bytes, loaded_bytes)

    def _measure(self, subject: Subject, place: Place, workload: Workload, program: Program | None) -> Measurement:
        if program:
            wait_until_calm(program)
        port = place.port if program else place.upstream_port
        client = LoadClient(self.programs.load, port, subject.model, place.token, place.folder)

        def read_clocks() -> tuple[CpuTime | None, Seconds | None]:
            return program.cpu_time() if program else None, busy_seconds(self.cores.proxy)

        load, edges = client.run(workload, seconds=self.seconds, warmup_seconds=self.warmup_seconds, on_edge=read_clocks)
        (cpu_before, busy_before), (cpu_after, busy_after) = edges.before, edges.after
        cpu = cpu_after - cpu_before if cpu_before and cpu_after else None
        foreign = None
        if cpu is not None and busy_before is not None and busy_after is not None:
            foreign = max(0.0, busy_after - busy_before - cpu.total) / load.seconds
        self.say(f"  {subject.name} {workload.name}: {load.ok} requests, {load.events} events, {load.bad} failed")
        return Measurement(workload.name, load, cpu, foreign)


def wait_until_served(subject: Subject, place: Place, program: Program) -> None:
    """Ask until the first 200. Raises JevonsError with the program's last words where it ends before or takes too long."""
    last = "nothing answered"
    while time.monotonic() < program.started_at + START_SECONDS:
        if program.has_ended:
            raise JevonsError(f"{subject.name} ended: {program.last_words()}")
        try:
            status, body = ask(subject, place)
        except (OSError, http.client.HTTPException) as error:
            last = str(error)
        else:
            if status == _OK:
                return
            last = f"{status} {body[:200].decode(errors='replace')}"
        time.sleep(_ASK_AGAIN_SECONDS)
    raise JevonsError(f"{subject.name} did not serve in {START_SECONDS:g} s: {last}")


def wait_until_calm(program: Program) -> None:
    """Until it has dealt with the streams that the last load left unfinished, which takes some longer than others."""
    used, deadline = program.cpu_time().total, time.monotonic() + CALM_SECONDS
    while time.monotonic() < deadline:
        time.sleep(_CALM_INTERVAL_SECONDS)
        before, used = used, program.cpu_time().total
        if used - before < _CALM_SHARE * _CALM_INTERVAL_SECONDS:
            return


def require_energy(subject: Subject, place: Place) -> None:
    """Raises JevonsError unless a reply carries joules: a meter that is off makes a proxy cheap."""
    _, body = ask(subject, place, {"x-jevons-energy": "final"})
    reply: dict[str, Any] = json.loads(body)
    if not isinstance(reply.get("usage", {}).get("energy", {}).get("joules"), float):
        raise JevonsError(f"{subject.name} did not meter: {body[-300:].decode(errors='replace')}")


def ask(subject: Subject, place: Place, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """One request; raises OSError or HTTPException where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=10)
    body = json.dumps({"model": subject.model, "messages": [{"role": "user", "content": PROMPT}]})
    own = {"content-type": "application/json", "authorization": f"Bearer {place.token}"}
    try:
        connection.request("POST", "/v1/chat/completions", body, {**own, **(headers or {})})
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


def announced_port(log: Path) -> int:
    """The port that the mock says it listens on."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        words = log.read_text().split()
        if words[:1] == ["listening"] and len(words) > 1:
            return int(words[1])
        if words:
            break
        time.sleep(_ASK_AGAIN_SECONDS)
    raise JevonsError(f"the mock model server does not start: {log.read_text().strip()}")


def free_ports() -> tuple[int, int]:
    """Two that the system has to give now."""
    with socket.socket() as one, socket.socket() as other:
        for probe in (one, other):
            probe.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]
