"""One device's cumulative readings, turned into energy per bin.

A change of the counter between two readings is divided over the time between them, shifted back by the counter's lag. Since
every change is booked once and whole, the bins always sum to what the counter moved: conservation needs no correction.
What a reading cannot vouch for is booked apart: a gap longer than `GAP_SECONDS` becomes `unresolved`, a counter that went
backward or leapt is replaced by the last power held over the gap, and flagged.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from ..units import Joules, Seconds, Watts
from .bins import spread
from .cadence import Cadence
from .lag import LagSearch
from .meter import Device, Sample

GAP_SECONDS: Final = 10.0
INTERPOLATED_SECONDS: Final = 1.0
_POWER_MARGIN: Final = 1.2
_UPDATE_SLACK_SECONDS: Final = 0.5
"""A counter that moves in steps can hand over one step's energy in a shorter interval than it took."""
_UPDATES_MISSED: Final = 1.5
"""Of a counter that is known to move so seldom, a gap is one move missed; a little late is no gap."""
_LEAST_APART_SECONDS: Final = 1e-6
"""Two moves of a counter."""
_CROSS_CHECK_SECONDS: Final = 60.0
_PLACED_BY_CADENCE: Final = 0.003
_PLACED_BY_READING: Final = 0.015
"""At the least: a counter that moves somewhere between two readings, 50 ms apart."""
_GAP_FORGETTING: Final = 0.02

Divide = Callable[[Seconds, Seconds, Joules], Iterable[tuple[int, float]]]
"""Gives (bin, share) for the energy from one time to another, the shares summing to 1."""


@dataclass(slots=True)
class BinEnergy:
    """What one device consumed in one bin."""

    joules: Joules = 0.0
    unresolved_joules: Joules = 0.0
    """Beside `joules`: what no reading can place."""
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


class PowerIntegral:
    """The energy by the power readings, each pair of them a trapezium."""

    def __init__(self) -> None:
        self.joules: Joules = 0.0
        self.whole_since: Seconds | None = None
        """From here on it has no hole; None where the last reading had no power."""
        self._last: tuple[Seconds, Watts] | None = None

    def add(self, at: Seconds, watts: Watts | None) -> None:
        """Take one reading; one that is older than the last says nothing new."""
        if watts is None:
            self._last = self.whole_since = None
        elif self._last is None:
            self._last, self.whole_since = (at, watts), at
        elif at > self._last[0]:
            self.joules += (watts + self._last[1]) / 2 * (at - self._last[0])
            self._last = (at, watts)


class DeviceCounter:
    """The energy of one device by bin, and its health.

    Args:
        device: What is read.
        bin_seconds: The width of a bin.
        divide: How the energy of a stretch of time is divided over it; evenly where not given.
        lag: Finds out how far the counter trails; what the device declares where not given.
    """

    def __init__(
        self, device: Device, *, bin_seconds: Seconds, divide: Divide | None = None, lag: LagSearch | None = None
    ) -> None:
        self.device = device
        self._lag = lag
        self.problem: str | None = "no reading yet"
        self.watts: Watts | None = None
        self.raw_joules: Joules | None = None
        self.known_since: Seconds | None = None
        """The first reading, less the lag: of the time before nothing is known."""
        self.covered_until: Seconds | None = None
        """Up to here, less the lag, every joule is in a bin."""
        self.booked_joules: Joules = 0.0
        """All that was put into bins since the first reading, settled or open; it does not fall when the counter does."""
        self.cross_check = CrossCheck()
        slowest = _UPDATES_MISSED * (device.update_seconds or 0.0)
        self.gap_seconds = max(GAP_SECONDS, slowest)
        self._interpolated_seconds = max(INTERPOLATED_SECONDS, slowest)
        self._divide: Divide = divide or (lambda begin, end, _: spread(begin, end, bin_seconds))
        self._bins: dict[int, BinEnergy] = {}
        self._power = PowerIntegral()
        self._has_counter = False
        self._seen: tuple[Seconds, Joules] | None = None
        """When the counter last moved, and to what."""
        self._unmoved: Seconds | None = None
        """The last reading since then that found it where it was."""
        self._power_seen: Joules = 0.0
        """The power's integral at that reading."""
        self._cadence = Cadence()
        self._read_at: Seconds = 0.0
        """The last reading, whatever it found."""
        self._gap_square = 0.0
        """Of the time between a reading that found a move and the one before, of late."""
        self._mean_watts: Watts | None = None
        """By the counter's last move."""

    @property
    def lag_seconds(self) -> Seconds:
        """How far the counter trails the power, as far as is known."""
        return self.device.counter_lag_seconds if self._lag is None else self._lag.seconds

    @property
    def placing_seconds(self) -> Seconds:
        """How well energy is placed in time, a standard deviation: by the counter's cadence, or by its readings alone."""
        return _PLACED_BY_CADENCE if self._cadence.period_seconds is not None else self._placed_by_reading

    @property
    def edge_seconds(self) -> Seconds:
        """How far off, a standard deviation, the energy of a bin is cut at its edges: not at all where the cadence is known."""
        return 0.0 if self._cadence.period_seconds is not None else self._placed_by_reading

    @property
    def _placed_by_reading(self) -> Seconds:
        """A move may have been at any time between two readings: the standard deviation of that."""
        return max(_PLACED_BY_READING, math.sqrt(self._gap_square / 12.0))

    @property
    def is_up(self) -> bool:
        """Whether the last reading succeeded."""
        return self.problem is None

    def fail(self, reason: str) -> None:
        """No reading came: a gap with a reason."""
        self.problem = reason
        self.watts = None

    def add(self, sample: Sample, *, oldest_open: int) -> None:
        """Take one reading. Bins older than `oldest_open` have settled: what still belongs there goes into that one."""
        problem = sample.problem or self._find_problem(sample)
        if problem is not None:
            self.fail(problem)
            return
        self._power.add(sample.at, sample.watts)
        has_counter = sample.joules is not None
        joules = sample.joules if sample.joules is not None else self._power.joules
        self.problem, self.watts, self.raw_joules = None, sample.watts, joules
        if self._seen is None:
            at = sample.at
            self.known_since = at - self.lag_seconds
        elif sample.at <= self._seen[0]:
            return
        elif has_counter and self._has_counter and joules == self._seen[1]:
            self._unmoved = self._read_at = sample.at
            if sample.at - self._seen[0] > self.gap_seconds:
                self.problem = f"the energy counter has stood still for {sample.at - self._seen[0]:.0f} s"
            return
        else:
            at = self._moved_at(sample.at, self._seen[0])
            # A device that had no counter so far: its first reading is an origin, and until then power is what there is.
            self._move(at, joules if has_counter == self._has_counter else self._power.joules, oldest_open)
        self._has_counter = has_counter
        self._seen, self._unmoved, self._read_at = (at, joules), None, sample.at
        self._power_seen = self._power.joules
        self.covered_until = self._until(at)

    def _until(self, at: Seconds) -> Seconds:
        """Up to when the counter tells at a time; not before what it has told, whatever its lag is found to be."""
        until = at - self.lag_seconds
        return until if self.covered_until is None else max(until, self.covered_until + _LEAST_APART_SECONDS)

    def _moved_at(self, at: Seconds, since: Seconds) -> Seconds:
        """When the counter moved: after the reading before this one, by its cadence where that is known."""
        after = max(since, self._read_at if self._unmoved is None else self._unmoved)
        self._gap_square += _GAP_FORGETTING * (min(at - after, INTERPOLATED_SECONDS) ** 2 - self._gap_square)
        return max(self._cadence.move(after, at, was_still=self._unmoved is not None), since + _LEAST_APART_SECONDS)

    def _find_problem(self, sample: Sample) -> str | None:
        if sample.joules is None and (self._has_counter or sample.watts is None):
            return "the energy counter gave no reading" if self._has_counter else "neither counter nor power"
        if not all(value is None or math.isfinite(value) for value in (sample.joules, sample.watts)):
            return f"no number: {sample.joules} J, {sample.watts} W"
        return None

    def _move(self, at: Seconds, joules: Joules, oldest_open: int) -> None:
        if self._seen is None:
            return
        since, before = self._seen
        elapsed = at - since
        delta: Joules | None = joules - before
        flags: set[str] = set()
        if self._is_implausible(joules - before, elapsed):
            delta = self._held_joules(since, elapsed)
            flags.add("reset")
        else:
            self._mean_watts = (joules - before) / elapsed
            if self._lag is not None and self._has_counter:
                self._lag.see(since, at, joules - before)
            if self._has_counter and self._has_power_since(since):
                self.cross_check.add(at, joules - before, self._power.joules - self._power_seen)
        is_gap = elapsed > self.gap_seconds or delta is None
        if is_gap:
            flags.add("gap")
        elif elapsed > self._interpolated_seconds:
            flags.add("interpolated")
        begin, amount = since - self.lag_seconds if self.covered_until is None else self.covered_until, delta or 0.0
        for index, share in self._divide(begin, self._until(at), amount):
            if index >= oldest_open:
                self._book(index, amount * share, flags, is_lost=is_gap)
            else:
                # That bin was given up: it settled before its energy was known, and nobody can pay for it any more.
                self._book(oldest_open, amount * share, set(), is_lost=True)

    def _has_power_since(self, since: Seconds) -> bool:
        return self._power.whole_since is not None and self._power.whole_since <= since

    def _held_joules(self, since: Seconds, elapsed: Seconds) -> Joules | None:
        """What power readings say of the time since, or the power of the counter's last move; None: nothing is known."""
        if self._has_power_since(since):
            return self._power.joules - self._power_seen
        return None if self._mean_watts is None else self._mean_watts * elapsed

    def _is_implausible(self, delta: Joules, elapsed: Seconds) -> bool:
        limit = self.device.power_limit_watts
        return delta < 0 or (limit is not None and delta > _POWER_MARGIN * limit * (elapsed + _UPDATE_SLACK_SECONDS))

    def _book(self, index: int, joules: Joules, flags: set[str], *, is_lost: bool) -> None:
        self.booked_joules += joules
        energy = self._bins.setdefault(index, BinEnergy())
        energy.flags |= flags
        if is_lost:
            energy.unresolved_joules += joules
        else:
            energy.joules += joules

    def covers(self, until: Seconds, now: Seconds) -> bool:
        """Whether every joule up to `until` is in a bin, or will never be: the device has been silent for too long."""
        if self._seen is None or self.covered_until is None:
            return True
        return self.covered_until >= until or now - self._seen[0] > self.gap_seconds

    def is_known(self, until: Seconds) -> bool:
        """Whether readings reach up to `until`."""
        return self.covered_until is not None and self.covered_until >= until

    def open_joules(self) -> Joules:
        """What has been measured and not yet settled."""
        return sum(energy.joules + energy.unresolved_joules for energy in self._bins.values())

    def peek(self, index: int) -> Joules:
        """What one unsettled bin holds so far."""
        energy = self._bins.get(index)
        return energy.joules if energy else 0.0

    def take(self, index: int) -> BinEnergy:
        """One bin's energy, to be settled: it is forgotten here."""
        return self._bins.pop(index, None) or BinEnergy()
