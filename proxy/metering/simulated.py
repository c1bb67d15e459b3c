"""The simulated GPU as a meter sees it: a counter that moves in steps and trails the power, as a driver's does.

The GPU is one small file that the simulated engines write and meters read, in as many processes as one likes; `flock` guards
every access, and the clock is `time.monotonic`, which on one machine is the same for all processes. The layout, little-endian:

    header    magic, uuid, created at, idle watts, limit watts, number of levels so far, number of steps so far
    levels    ring of LEVELS segments: the power that is always drawn (idle, and what tests add), each until the next
    steps     ring of STEPS segments: what engine steps draw above idle, each until its own end, none overlapping

A segment is (start, end, watts, joules of its ring before its start), so the energy at a time is one segment's arithmetic, exact
for the piecewise-constant power, and reading never replays the past. Reading goes through `pread` and not `mmap`: a file that
is truncated under a mapping kills the process, under `pread` it is a reason in a sample.
"""

from __future__ import annotations

import fcntl
import math
import os
import struct
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from ..errors import MeterError
from ..units import Joules, Seconds, Watts
from .meter import Device, Sample

MAGIC: Final = b"JEVONSG1"
HEADER: Final = struct.Struct("<8s16sdddQQ")
SEGMENT: Final = struct.Struct("<dddd")
LEVELS: Final = 256
STEPS: Final = 4096
SIZE: Final = HEADER.size + SEGMENT.size * (LEVELS + STEPS)

DEVICE_NAME: Final = "NVIDIA H100 80GB HBM3 (simulated)"


class Segment(NamedTuple):
    """A stretch of constant power: from `start` to `end`, or to the next segment where that comes first."""

    start: Seconds
    end: Seconds
    watts: Watts
    joules_before: Joules

    def joules_at(self, at: Seconds) -> Joules:
        """The energy of the ring up to a time within or after this segment and before the next."""
        return self.joules_before + self.watts * max(0.0, min(at, self.end) - self.start)

    def watts_at(self, at: Seconds) -> Watts:
        """The power of the ring at such a time."""
        return self.watts if self.start <= at < self.end else 0.0


@dataclass(frozen=True, slots=True)
class GpuState:
    """The whole file, read in one go."""

    device_id: str
    created_at: Seconds
    idle_watts: Watts
    limit_watts: Watts
    level_count: int
    step_count: int
    data: bytes

    @classmethod
    def parse(cls, data: bytes) -> GpuState:
        """The state in the bytes of a file; raises MeterError with what is wrong with them."""
        if len(data) != SIZE:
            raise MeterError(f"the simulated GPU's file has {len(data)} bytes instead of {SIZE}")
        magic, raw_id, created_at, idle_watts, limit_watts, level_count, step_count = HEADER.unpack_from(data)
        if magic != MAGIC:
            raise MeterError("the file is not a simulated GPU's")
        if not all(map(math.isfinite, (created_at, idle_watts, limit_watts))) or level_count < 1:
            raise MeterError("the simulated GPU's file is damaged: its header makes no sense")
        device_id = f"GPU-{uuid.UUID(bytes=raw_id)}"
        return cls(device_id, created_at, idle_watts, limit_watts, level_count, step_count, data)

    def level(self, number: int) -> Segment:
        """A segment of the power that is always drawn, counted from 0 at creation."""
        return Segment(*SEGMENT.unpack_from(self.data, level_offset(number)))

    def step(self, number: int) -> Segment:
        """A segment of an engine's step, counted from 0."""
        return Segment(*SEGMENT.unpack_from(self.data, step_offset(number)))

    def joules_at(self, at: Seconds) -> Joules:
        """The exact energy since creation; raises MeterError for a time that the rings no longer hold."""
        level = _segment_at(at, self.level, self.level_count, LEVELS)
        step = _segment_at(at, self.step, self.step_count, STEPS)
        return (level.joules_at(at) if level else 0.0) + (step.joules_at(at) if step else 0.0)

    def watts_at(self, at: Seconds) -> Watts:
        """The power at a time, under the same condition."""
        level = _segment_at(at, self.level, self.level_count, LEVELS)
        step = _segment_at(at, self.step, self.step_count, STEPS)
        return (level.watts_at(at) if level else 0.0) + (step.watts_at(at) if step else 0.0)


def level_offset(number: int) -> int:
    """Where a level lies in the file."""
    return HEADER.size + SEGMENT.size * (number % LEVELS)


def step_offset(number: int) -> int:
    """Where a step lies in the file."""
    return HEADER.size + SEGMENT.size * (LEVELS + number % STEPS)


def _segment_at(at: Seconds, segment: Callable[[int], Segment], count: int, capacity: int) -> Segment | None:
    """The last segment that starts by then; None before the first."""
    oldest = max(0, count - capacity)
    for number in range(count - 1, oldest - 1, -1):
        found = segment(number)
        if found.start <= at:
            return found
    if oldest:
        raise MeterError("the simulated GPU no longer remembers that far back")
    return None


def read_state(path: Path) -> GpuState:
    """The state at this instant; raises MeterError with the reason where the file cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise MeterError(f"no simulated GPU at {path}: {error.strerror}") from error
    try:
        return read_locked(descriptor)
    finally:
        os.close(descriptor)  # and with it the lock


def read_locked(descriptor: int) -> GpuState:
    """The state behind an open file; the shared lock is held until someone lets go of it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        return GpuState.parse(os.pread(descriptor, SIZE + 1, 0))
    except OSError as error:
        raise MeterError(f"the simulated GPU cannot be read: {error.strerror}") from error


DEVICE_PREFIX: Final = "simulated:"
"""In front of the state file's path, this is what a configuration calls a simulated device."""


class SimulatedMeter:
    """Reads one simulated GPU through a counter with the faults of a real one.

    The counter moves every `period_seconds` and then shows, in whole millijoules, the energy of `lag_seconds` before: the
    habits of NVML's counter. `declared_lag_seconds` is what the device claims of its lag, the truth where not given.
    The power is the mean over the counter's last period.
    """

    name = "simulated"
    is_for_named = True

    def __init__(
        self,
        path: Path,
        *,
        period_seconds: Seconds = 0.1,
        lag_seconds: Seconds = 0.03,
        declared_lag_seconds: Seconds | None = None,
        clock: Callable[[], Seconds] = time.monotonic,
    ) -> None:
        self._path = path
        self._period_seconds = period_seconds
        self._lag_seconds = lag_seconds
        self._declared_lag_seconds = lag_seconds if declared_lag_seconds is None else declared_lag_seconds
        self._clock = clock
        self._device_id: str | None = None

    def open(self) -> list[Device]:
        """The one device of the file; raises MeterError where there is none."""
        state = read_state(self._path)
        self._device_id = state.device_id
        return [
            Device(
                state.device_id,
                DEVICE_NAME,
                power_limit_watts=state.limit_watts,
                counter_lag_seconds=self._declared_lag_seconds,
                configured_as=f"{DEVICE_PREFIX}{self._path}",
            )
        ]

    def read(self) -> list[Sample]:
        """One sample, or its problem: the file is opened afresh each time, so that a GPU that comes back is read again."""
        if self._device_id is None:
            return []
        at = self._clock()
        try:
            state = read_state(self._path)
            sample = self._sample(state, at)
        except MeterError as error:
            return [Sample(self._device_id, at, problem=str(error))]
        if state.device_id != self._device_id:
            return [Sample(self._device_id, at, problem=f"another simulated GPU, {state.device_id}, is in its place")]
        return [sample]

    def close(self) -> None:
        """Forget the device; nothing is held open between readings."""
        self._device_id = None

    def _sample(self, state: GpuState, at: Seconds) -> Sample:
        elapsed = max(0.0, at - state.created_at)
        seen = state.created_at + math.floor(elapsed / self._period_seconds) * self._period_seconds - self._lag_seconds
        joules = state.joules_at(seen)
        earlier = max(seen - self._period_seconds, state.created_at)
        watts = (joules - state.joules_at(earlier)) / (seen - earlier) if seen > earlier else state.idle_watts
        return Sample(state.device_id, at, joules=math.floor(joules * 1000) / 1000, watts=watts)
