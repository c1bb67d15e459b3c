"""What a meter is: something that can say how many joules each of its devices has consumed so far.

To add a device family, write one file with one class that keeps this protocol and name it in `devices.py`.
A reading that fails is a `Sample` with a `problem`, never a zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from ..units import Joules, Seconds, Watts


@dataclass(frozen=True, slots=True)
class Device:
    """One thing with an energy counter. `id` is stable over reboots (a UUID), never an index."""

    id: str
    name: str
    scope: str = "gpu"
    """What the counter covers: `gpu`, `cpu` (a host's packages and memory), or `module` (both in one counter)."""
    power_limit_watts: Watts | None = None
    counter_lag_seconds: Seconds = 0.0
    """How far the counter trails the power it integrates, where known."""
    configured_as: str | None = None
    """What the configuration calls it, where that is not its id."""
    aliases: tuple[str, ...] = ()
    """Other names by which a configuration may mean it: the slices of a split board."""
    update_seconds: Seconds | None = None
    """How long its counter stands still between two moves, where that is known and long: no gap before this has passed."""
    quality: frozenset[str] = frozenset()
    """Flags that every figure of this device must carry: `coarse`, `shared_device`."""

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
        """One sample per device, failures included; none where it is too early to ask again."""
        ...

    def close(self) -> None:
        """Let go of the driver."""
        ...


@runtime_checkable
class MayBeNamed(Protocol):
    """A meter that says whether only upstreams that name its devices can be on them: another node's, the processors, some boards.

    Whether it can be read then says nothing of what the servers run on that name no device.
    """

    @property
    def is_for_named(self) -> bool:
        """Whether no upstream is meant to be on its devices without naming them."""
        ...


@runtime_checkable
class HasProblems(Protocol):
    """A meter that says what it cannot read, although it can be used."""

    @property
    def problems(self) -> Sequence[str]:
        """Why devices that there are, or that were asked for, are not metered."""
        ...
