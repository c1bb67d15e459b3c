"""What an upstream's devices consumed, bin by bin, read by the meters that the proxy has; and whether they idle."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from ..errors import MeterError
from ..exchange import Upstream
from ..metering.attribution import BIN_SECONDS
from ..metering.counter import DeviceCounter
from ..metering.devices import meters_for
from ..metering.hwmon import ROOT
from ..metering.meter import Device, EnergyMeter
from ..metering.metering import Metering
from ..units import Joules, Seconds, Watts

COVER_SECONDS: Final = 5.0
"""How long a counter may take to show what was consumed until now."""
SLOWEST_UPDATE_SECONDS: Final = 1.0
STEADY: Final = 0.15
"""By how much, relative, the power of an idle device may vary,"""
STEADY_WATTS: Final = 8.0
"""or by so many watts."""
MOST_IDLE: Final = 0.5
"""Of a device's power limit: above this it does something, however steady."""
_ANY: Final = frozenset({"all", "auto"})
_DOUBTFUL: Final = frozenset({"gap", "reset", "interpolated"})


def meters_of(upstream: Upstream, root: Path = ROOT) -> list[EnergyMeter]:
    """The meters that a proxy in front of this upstream would have."""
    return meters_for([upstream], zeusd_token=os.environ.get("ZEUSD_TOKEN"), root=root)


class Readings:
    """The devices of one upstream, over a `Metering` that is open and never settles."""

    def __init__(self, metering: Metering, upstream: Upstream, *, cover_seconds: Seconds = COVER_SECONDS) -> None:
        self._cover_seconds = cover_seconds
        self.metering = metering
        self.devices = metering.devices_of(upstream)
        self._check_devices(upstream)
        self._counters = [metering.attribution.devices[device.id].counter for device in self.devices]

    def _check_devices(self, upstream: Upstream) -> None:
        found = {name for device in self.devices for name in (device.id, device.configured_as, *device.aliases)}
        missing = [name for name in upstream.devices if name not in found and name not in _ANY]
        if not self.devices or missing:
            reasons = [f"{meter}: {reason}" for meter, reason in self.metering.problems.items()]
            what = f"{', '.join(missing)} of upstream {upstream.name!r} cannot be read" if missing else "no device can be read"
            raise MeterError("; ".join([f"nothing to calibrate with: {what}", *reasons]))
        for device in self.devices:
            if (device.update_seconds or 0.0) > SLOWEST_UPDATE_SECONDS:
                raise MeterError(
                    f"{device.id} says what it consumed every {device.update_seconds:g} s only: too coarse to calibrate with"
                )

    @property
    def is_simulated(self) -> bool:
        """Whether any of the figures comes from a simulation."""
        return any(device.is_simulated for device in self.devices)

    async def wait_until_known(self, until: Seconds) -> None:
        """Wait until the counters have shown everything up to a time; raises MeterError where one does not."""
        deadline = time.monotonic() + self._cover_seconds
        while not all(counter.is_known(until) for counter in self._counters):
            if time.monotonic() > deadline:
                silent = next(counter for counter in self._counters if not counter.is_known(until))
                raise MeterError(f"{silent.device.id} gives no readings: {silent.problem or 'its counter does not move'}")
            await asyncio.sleep(0.05)

    def take(self, first: int, last: int) -> dict[int, Joules]:
        """The energy of all devices in each bin from `first` up to and without `last`, but for bins that are in doubt."""
        return take_bins(self._counters, first, last)

    async def idle(self, seconds: Seconds) -> Watts:
        """The power of all devices together while nothing of ours runs; raises MeterError where something else does."""
        begin = time.monotonic()
        await asyncio.sleep(seconds)
        end = time.monotonic()
        await self.wait_until_known(end)
        bins = self.take(int(begin // BIN_SECONDS) + 1, int(end // BIN_SECONDS))
        if not bins:
            raise MeterError(f"no clean reading of {_names(self.devices)} in {seconds:g} s")
        watts = _means([joules / BIN_SECONDS for joules in bins.values()])
        limits = [device.power_limit_watts for device in self.devices]
        check_idle(
            watts, sum(limit for limit in limits if limit is not None) if None not in limits else None, _names(self.devices)
        )
        return sum(watts) / len(watts)


def take_bins(counters: Sequence[DeviceCounter], first: int, last: int) -> dict[int, Joules]:
    """The energy by all counters in each bin from `first` up to and without `last`, but for bins that are in doubt."""
    found: dict[int, Joules] = {}
    for index in range(first, last):
        energies = [counter.take(index) for counter in counters]
        is_known = all(counter.is_known((index + 1) * BIN_SECONDS) for counter in counters)
        if is_known and not any(energy.flags & _DOUBTFUL or energy.unresolved_joules for energy in energies):
            found[index] = sum(energy.joules for energy in energies)
    return found


def check_idle(watts: Sequence[Watts], limit_watts: Watts | None, name: str) -> None:
    """Raise MeterError where the power before any load of ours says that others use the device."""
    low, high = min(watts), max(watts)
    if high - low > max(STEADY * low, STEADY_WATTS):
        raise MeterError(
            f"{name} is not idle: {low:.0f} to {high:.0f} W without any load of ours. Calibrate while nothing else uses it"
        )
    if limit_watts is not None and low > MOST_IDLE * limit_watts:
        raise MeterError(
            f"{name} is not idle: {low:.0f} W of at most {limit_watts:.0f} W without any load of ours."
            " Calibrate while nothing else uses it"
        )


def _means(watts: Sequence[Watts]) -> list[Watts]:
    """Over pairs of bins: a counter's step falls now into one and now into the other."""
    return [(one + other) / 2 for one, other in zip(watts[::2], watts[1::2], strict=False)] or list(watts)


def _names(devices: Sequence[Device]) -> str:
    return ", ".join(device.id for device in devices)
