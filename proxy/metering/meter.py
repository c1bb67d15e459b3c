"""What a meter is: something that can say how many joules each of its devices has consumed so far.

To add a device family, write one file with one class that keeps this protocol and name it in `devices.py`.
A reading that fails is a `Sample` with a `problem`, never a zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..units import Joules, Seconds, Watts


@dataclass(frozen=True, slots=True)
class Device:
    """One thing with an energy counter. `id` is stable over reboots (a UUID), never an index."""

    id: str
    name: str
    scope: str = "gpu"
    """What the counter covers: `gpu`, `gpu+cpu` or `module`."""
    power_limit_watts: Watts | None = None
    counter_lag_seconds: Seconds = 0.0
    """How far the counter trails the power it integrates, where known."""
    configured_as: str | None = None
    """What the configuration calls it, where that is not its id."""

    @property
    def is_simulated(self) -> bool:
        """Whether the figures come from a simulation, which every report must then say."""
        return self.name.endswith("(simulated)")


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading of one device, or the reason why there is none.

    `at` is on the clock of `time.monotonic`. `joules` is cumulative since any origin; None where the device has no counter,
    and then its power is integrated. A sample with a `problem` has neither.
    """

    device_id: str
    at: Seconds
    joules: Joules | None = None
    watts: Watts | None = None
    problem: str | None = None


class EnergyMeter(Protocol):
    """A driver that reads one family of devices. Every method may block: the sampler calls it from a thread of its own."""

    name: str

    def open(self) -> list[Device]:
        """Take hold of the driver and list its devices; raises MeterError with the reason where it cannot be used."""
        ...

    def read(self) -> list[Sample]:
        """One sample per device, failures included."""
        ...

    def close(self) -> None:
        """Let go of the driver."""
        ...
