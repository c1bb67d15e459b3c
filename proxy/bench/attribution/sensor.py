"""A GPU's power over time, and the energy counter that shows it with the habits of a real one."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from dataclasses import dataclass, field

from ...metering.meter import Sample
from ...units import Joules, Seconds, Watts


@dataclass(slots=True)
class PowerTrace:
    """The true power of one device, step by step; idle power in between."""

    idle_watts: Watts
    times: list[Seconds] = field(default_factory=lambda: [0.0])
    joules: list[Joules] = field(default_factory=lambda: [0.0])
    watts: list[Watts] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin idle."""
        self.watts.append(self.idle_watts)

    def at(self, now: Seconds) -> Joules:
        """The energy up to a time that is not before the beginning."""
        index = max(0, bisect_right(self.times, now) - 1)
        return self.joules[index] + self.watts[index] * (now - self.times[index])

    def draw(self, begin: Seconds, end: Seconds, watts: Watts) -> None:
        """Draw so much for a while, then idle again; stretches come in order."""
        if begin <= self.times[-1]:
            self.watts[-1] = watts
        else:
            self._turn(begin, watts)
        self._turn(end, self.idle_watts)

    def _turn(self, now: Seconds, watts: Watts) -> None:
        self.joules.append(self.at(now))
        self.times.append(now)
        self.watts.append(watts)


@dataclass(frozen=True, slots=True)
class SensorPlan:
    """The faults of a counter and of its reader."""

    period_seconds: Seconds = 0.1
    """The counter moves so often."""
    lag_seconds: Seconds = 0.03
    """And then shows the energy up to so long before."""
    knows_lag: bool = True
    """Whether the proxy has found that out."""
    duty: float = 1.0
    """The share of a period in which the sensor looks; the rest is taken to be like it (0.25 on an A100)."""
    gain: float = 1.0
    """One card's systematic error."""
    drops: float = 0.0
    """The share of readings that fail to come."""
    resets: tuple[Seconds, ...] = ()
    """The counter starts again from 0 so long after the beginning."""
    poll_seconds: Seconds = 0.05


class Sensor:
    """One device's counter, read in order of time."""

    def __init__(self, device_id: str, power: PowerTrace, plan: SensorPlan, *, start: Seconds, dice: random.Random) -> None:
        self.device_id = device_id
        self.next_poll = start
        self._power = power
        self._plan = plan
        self._start = start
        self._dice = dice
        self._phase = dice.random() * plan.period_seconds
        self._moved = 0
        """How many periods the counter has counted."""
        self._joules: Joules = 0.0
        self._watts: Watts = power.idle_watts
        self._resets = sorted(start + after for after in plan.resets)
        self._origin: Joules = -dice.random() * 1e6

    def poll(self) -> Sample | None:
        """The reading that is due; None where it fails to come."""
        at = self.next_poll
        self.next_poll += self._plan.poll_seconds * self._dice.uniform(1.0, 1.04)
        self._count(at)
        if self._resets and at >= self._resets[0]:
            self._resets.pop(0)
            self._origin = self._joules
        if self._dice.random() < self._plan.drops:
            return None
        shown = math.floor((self._joules - self._origin) * 1000) / 1000
        return Sample(self.device_id, at, joules=shown, watts=self._watts)

    def _count(self, at: Seconds) -> None:
        """Let the counter move up to its last move before `at`."""
        plan = self._plan
        period = plan.period_seconds
        until = math.floor((at - self._start - self._phase) / period)
        while self._moved < until:
            self._moved += 1
            edge = self._start + self._phase + self._moved * period - plan.lag_seconds
            looked = period * plan.duty
            seen = (self._power.at(edge) - self._power.at(max(0.0, edge - looked))) / plan.duty
            self._joules += plan.gain * seen
            self._watts = plan.gain * seen / period
