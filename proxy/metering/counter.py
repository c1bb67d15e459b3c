"""One device's cumulative readings, turned into energy per bin.

A change of the counter between two readings is spread evenly over the time between them, shifted back by the counter's lag.
Since every change is booked once and whole, the bins always sum to what the counter moved: conservation needs no correction.
What a reading cannot vouch for is booked apart: a gap longer than `GAP_SECONDS` becomes `unresolved`, a counter that went
backward or leapt is replaced by the last power held over the gap, and flagged.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from ..units import Joules, Seconds, Watts
from .bins import spread
from .meter import Device, Sample

GAP_SECONDS: Final = 10.0
INTERPOLATED_SECONDS: Final = 1.0
_POWER_MARGIN: Final = 1.2
_UPDATE_SLACK_SECONDS: Final = 0.5
"""A counter that moves in steps can hand over one step's energy in a shorter interval than it took."""
_CROSS_CHECK_SECONDS: Final = 60.0


@dataclass(slots=True)
class BinEnergy:
    """What one device consumed in one bin. `joules` includes `unresolved_joules`."""

    joules: Joules = 0.0
    unresolved_joules: Joules = 0.0
    flags: set[str] = field(default_factory=set)


class CrossCheck:
    """The counter against the integral of the power readings over the last minute (METERING, "cross-check")."""

    def __init__(self) -> None:
        self._points: deque[tuple[Seconds, Joules, Joules]] = deque()
        self._counter = 0.0
        self._power = 0.0

    def add(self, at: Seconds, counter_delta: Joules, power_delta: Joules) -> None:
        """Take one interval's energy by both ways of measuring."""
        self._counter += counter_delta
        self._power += power_delta
        self._points.append((at, self._counter, self._power))
        while at - self._points[0][0] > _CROSS_CHECK_SECONDS:
            self._points.popleft()

    @property
    def ratio(self) -> float | None:
        """Counter over power; None until ten seconds have been seen."""
        if not self._points or self._points[-1][0] - self._points[0][0] < _CROSS_CHECK_SECONDS / 6:
            return None
        power = self._points[-1][2] - self._points[0][2]
        return (self._points[-1][1] - self._points[0][1]) / power if power > 0 else None


class DeviceCounter:
    """The energy of one device by bin, and its health."""

    def __init__(self, device: Device, *, bin_seconds: Seconds) -> None:
        self.device = device
        self.problem: str | None = "no reading yet"
        self.watts: Watts | None = None
        self.raw_joules: Joules | None = None
        self.covered_until: Seconds | None = None
        """Up to here, less the lag, every joule is in a bin."""
        self.cross_check = CrossCheck()
        self._width = bin_seconds
        self._bins: dict[int, BinEnergy] = {}
        self._integrated_joules = 0.0
        self._seen: tuple[Seconds, Joules] | None = None
        """The last reading that moved the counter."""
        self._power: tuple[Seconds, Watts] | None = None
        self._power_since_move: Joules = 0.0

    @property
    def is_up(self) -> bool:
        """Whether the last reading succeeded."""
        return self.problem is None

    def fail(self, reason: str) -> None:
        """No reading came: a gap with a reason."""
        self.problem = reason
        self.watts = None

    def add(self, sample: Sample, *, oldest_open: int) -> None:
        """Take one reading. Energy of bins older than `oldest_open`, which have settled, goes into that one."""
        if sample.problem is not None or (sample.joules is None and sample.watts is None):
            self.fail(sample.problem or "neither counter nor power")
            return
        self._integrate_power(sample)
        joules = sample.joules if sample.joules is not None else self._integrated_joules
        self.problem, self.watts, self.raw_joules = None, sample.watts, joules
        if self._seen is None:
            self._seen = (sample.at, joules)
            self.covered_until = sample.at - self.device.counter_lag_seconds
        elif joules != self._seen[1] and sample.at > self._seen[0]:
            self._move(sample.at, joules, oldest_open)

    def _integrate_power(self, sample: Sample) -> None:
        if sample.watts is None:
            self._power = None
            return
        if self._power is not None and sample.at > self._power[0]:
            joules = (sample.watts + self._power[1]) / 2 * (sample.at - self._power[0])
            self._integrated_joules += joules
            self._power_since_move += joules
        self._power = (sample.at, sample.watts)

    def _move(self, at: Seconds, joules: Joules, oldest_open: int) -> None:
        if self._seen is None:
            return
        since, before = self._seen
        elapsed = at - since
        delta = joules - before
        flags = {"interpolated"} if elapsed > INTERPOLATED_SECONDS else set()
        if self._is_implausible(delta, elapsed):
            delta = self._power_since_move
            flags.add("reset")
        else:
            self.cross_check.add(at, delta, self._power_since_move)
        lag = self.device.counter_lag_seconds
        if elapsed > GAP_SECONDS:
            self._book(oldest_open, delta, {"gap"}, is_unresolved=True)
        else:
            for index, share in spread(since - lag, at - lag, self._width):
                self._book(max(index, oldest_open), delta * share, flags)
        self._seen = (at, joules)
        self._power_since_move = 0.0
        self.covered_until = at - lag

    def _is_implausible(self, delta: Joules, elapsed: Seconds) -> bool:
        limit = self.device.power_limit_watts
        return delta < 0 or (limit is not None and delta > _POWER_MARGIN * limit * (elapsed + _UPDATE_SLACK_SECONDS))

    def _book(self, index: int, joules: Joules, flags: set[str], *, is_unresolved: bool = False) -> None:
        energy = self._bins.setdefault(index, BinEnergy())
        energy.joules += joules
        energy.flags |= flags
        if is_unresolved:
            energy.unresolved_joules += joules

    def covers(self, until: Seconds, now: Seconds) -> bool:
        """Whether every joule up to `until` is in a bin, or will never be: the device has been silent for too long."""
        if self._seen is None:
            return True
        return (self.covered_until or 0.0) >= until or now - self._seen[0] > GAP_SECONDS

    def is_known(self, until: Seconds) -> bool:
        """Whether readings reach up to `until`."""
        return self.covered_until is not None and self.covered_until >= until

    def open_joules(self) -> Joules:
        """What has been measured and not yet settled."""
        return sum(energy.joules for energy in self._bins.values())

    def peek(self, index: int) -> Joules:
        """What one unsettled bin holds so far."""
        energy = self._bins.get(index)
        return energy.joules if energy else 0.0

    def take(self, index: int) -> BinEnergy:
        """One bin's energy, to be settled: it is forgotten here."""
        return self._bins.pop(index, None) or BinEnergy()
