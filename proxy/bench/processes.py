"""A program under measurement: started on one core with everything it starts, and counted whole."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ..errors import JevonsError
from ..units import Seconds

STOP_SECONDS: Final[Seconds] = 10.0
_PROC: Final = Path("/proc")
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_CPUCLOCK_SCHED: Final = 2
"""With the inverted process id above its three bits, the clock of what the scheduler gave a process: `clock_getcpuclockid(3)`."""


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Within it this process, and whatever it starts for good, runs on that core alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class CpuTime:
    """What a process tree has used since it began, user and system; `system` of it only to 10 ms."""

    total: Seconds
    system: Seconds

    def __sub__(self, earlier: CpuTime) -> CpuTime:
        return CpuTime(self.total - earlier.total, self.system - earlier.system)


class Program:
    """A program with its children, from `with` to its end; what it prints goes to `log`."""

    def __init__(self, command: Sequence[str], *, core: int, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._command = list(command)
        self._core = core
        self._log = log
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self.started_at: Seconds = 0.0

    def __enter__(self) -> Self:
        """Start it; raises JevonsError where there is no such program."""
        try:
            with self._log.open("wb") as log, pinned(self._core):
                self.started_at = time.monotonic()
                self._process = subprocess.Popen(  # noqa: S603 - commands are made by the bench
                    self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self._environment, start_new_session=True
                )
        except OSError as error:
            raise JevonsError(f"{self._command[0]} does not start: {error.strerror}") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop the whole of it, by force where asking does not help."""
        process = self._running
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # the group is its own: it was started as a session
        process.wait()

    @property
    def has_ended(self) -> bool:
        """Whether it is gone, which nobody asked it to be."""
        return self._running.poll() is not None

    def last_words(self, lines: int = 5) -> str:
        """The end of what it printed."""
        return "\n".join(self._log.read_text(errors="replace").strip().splitlines()[-lines:])

    def cpu_time(self) -> CpuTime:
        """Of the whole tree up to now, children that have ended included."""
        return cpu_time(self._running.pid)

    def proportional_bytes(self) -> int | None:
        """The memory of the whole tree, shared pages divided among those who share them (PSS); None where that is hidden."""
        return self._bytes("Pss:")

    def resident_bytes(self) -> int | None:
        """The memory of the whole tree (RSS), which does not move with what others share; None where that is hidden."""
        return self._bytes("Rss:")

    def _bytes(self, field: str) -> int | None:
        sizes = [_bytes_of(pid, field) for pid in tree(self._running.pid)]
        known = [size for size in sizes if size is not None]
        return sum(known) if known and len(known) == len(sizes) else None

    def stray_threads(self) -> int:
        """How many of its threads may run on another core than the one they were given."""
        strays = 0
        for pid in tree(self._running.pid):
            with suppress(OSError):
                for thread in (_PROC / str(pid) / "task").iterdir():
                    strays += os.sched_getaffinity(int(thread.name)) != {self._core}
        return strays

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("the program is used outside of its `with`")
        return self._process


def tree(pid: int) -> list[int]:
    """A process and its descendants, whoever of them still runs."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            children.setdefault(_parent(int(entry.name)), []).append(int(entry.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def cpu_time(pid: int) -> CpuTime:
    """Of a process and its descendants: to the nanosecond for those that run, to 10 ms for those that have ended."""
    total = system = 0.0
    for one in tree(pid):
        ticks = _stat(one)[11:15]  # user, system, and the same of children that ended and were waited for
        if ticks:
            user_ticks, system_ticks, *ended_ticks = map(int, ticks)
            exact = _process_clock(one)
            own = (user_ticks + system_ticks) / _TICKS_PER_SECOND if exact is None else exact
            total += own + sum(ended_ticks) / _TICKS_PER_SECOND
            system += (system_ticks + ended_ticks[1]) / _TICKS_PER_SECOND
    return CpuTime(total, system)


def _process_clock(pid: int) -> Seconds | None:
    try:
        return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)
    except OSError:
        return None


def _stat(pid: int) -> list[str]:
    """The fields behind the name, which may hold blanks; none where the process is gone."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _parent(pid: int) -> int:
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def _bytes_of(pid: int, field: str) -> int | None:
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return None
    sizes = [int(line.split()[1]) * 1024 for line in lines if line.startswith(field)]
    return sizes[0] if sizes else None
