"""The simulated GPU as its engines see it: a thing that runs one step at a time and draws power while it does.

Engines that share the GPU take turns, step by step, in whatever process they live: that is what CUDA does between processes
(time slicing), and it keeps the power within the card's limit. Between steps the card draws its idle power.
"""

from __future__ import annotations

import fcntl
import math
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from ..errors import MeterError
from ..metering.simulated import HEADER, MAGIC, SEGMENT, SIZE, GpuState, Segment, level_offset, read_locked, step_offset
from ..units import Joules, Seconds, Watts

IDLE_WATTS: Final = 75.0
"""What the card draws with a model loaded and nothing to do: a round assumption, not a measurement."""
LIMIT_WATTS: Final = 700.0
"""The power limit of an H100 SXM by its data sheet."""


class SimulatedGpu:
    """The writing side of the file that `SimulatedMeter` reads; several handles, in several processes, may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise MeterError(f"no simulated GPU at {path}: {error.strerror}") from error
        try:
            state = self._read()
        except MeterError:
            self.close()
            raise
        self.device_id = state.device_id
        self.idle_watts = state.idle_watts
        self.limit_watts = state.limit_watts

    @classmethod
    def create(
        cls,
        path: Path,
        *,
        idle_watts: Watts = IDLE_WATTS,
        limit_watts: Watts = LIMIT_WATTS,
        device_uuid: uuid.UUID | None = None,
        at: Seconds | None = None,
    ) -> Self:
        """A new GPU whose counter starts at 0 now, or at `at`; a file already there is replaced as a whole."""
        at = time.monotonic() if at is None else at
        data = bytearray(SIZE)
        HEADER.pack_into(data, 0, MAGIC, (device_uuid or uuid.uuid4()).bytes, at, idle_watts, limit_watts, 1, 0)
        SEGMENT.pack_into(data, level_offset(0), *Segment(at, math.inf, idle_watts, 0.0))
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.new")
        unfinished.write_bytes(data)
        unfinished.replace(path)
        return cls(path)

    def reserve(self, not_before: Seconds, *, seconds: Seconds, joules: Joules) -> Seconds:
        """Run a step of that length and energy (idle power included) as soon as the card is free; returns its start.

        `not_before` may lie a little in the past: less than the meter's lag, nobody has seen that time yet.
        """
        watts = max(0.0, joules / seconds - self.idle_watts)
        with self._locked() as state:
            last = state.step(state.step_count - 1) if state.step_count else None
            start = max(not_before, last.end) if last else not_before
            before = last.joules_at(start) if last else 0.0
            self._append(state, step=Segment(start, start + seconds, watts, before))
        return start

    def add_watts(self, delta: Watts, *, at: Seconds | None = None) -> None:
        """Draw that much more, or less, from now or `at` on and until changed: load that no engine of ours causes."""
        at = time.monotonic() if at is None else at
        with self._locked() as state:
            last = state.level(state.level_count - 1)
            if at < last.start:
                raise ValueError(f"power was already set at {last.start}, which is after {at}")
            self._append(state, level=Segment(at, math.inf, last.watts + delta, last.joules_at(at)))

    def true_joules(self, at: Seconds | None = None) -> Joules:
        """The exact energy from creation until now, or `at`; raises MeterError for times long past."""
        return self._read().joules_at(time.monotonic() if at is None else at)

    def true_watts(self, at: Seconds | None = None) -> Watts:
        """The power now, or `at`."""
        return self._read().watts_at(time.monotonic() if at is None else at)

    def close(self) -> None:
        """Let go of the file, which stays."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> GpuState:
        try:
            return read_locked(self._descriptor)
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    @contextmanager
    def _locked(self) -> Iterator[GpuState]:
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)
        try:
            yield GpuState.parse(os.pread(self._descriptor, SIZE + 1, 0))
        finally:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def _append(self, state: GpuState, *, level: Segment | None = None, step: Segment | None = None) -> None:
        """Write the segment first and the count after it: a writer that dies in between has written nothing."""
        levels, steps = state.level_count, state.step_count
        if level:
            os.pwrite(self._descriptor, SEGMENT.pack(*level), level_offset(levels))
            levels += 1
        if step:
            os.pwrite(self._descriptor, SEGMENT.pack(*step), step_offset(steps))
            steps += 1
        device = uuid.UUID(self.device_id.removeprefix("GPU-")).bytes
        header = HEADER.pack(MAGIC, device, state.created_at, state.idle_watts, state.limit_watts, levels, steps)
        os.pwrite(self._descriptor, header, 0)
