"""The host's processors and memory by RAPL, which Linux shows under `/sys/class/powercap` for Intel and AMD alike.

The zones overlap: psys holds the packages and more, a package holds its cores, `intel-rapl-mmio` shows a package once more.
So what is summed is the packages and the memory beside them, each once; psys alone where there is no package. Every zone's
counter begins again at its `max_energy_range_uj`, within minutes on a busy server, so that it has to be read all the time.

Zones and files: https://www.kernel.org/doc/html/latest/power/powercap/powercap.html
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import MeterError
from ..units import Seconds, Watts
from .meter import Device, Sample

DEVICE_ID: Final = "cpu"
ROOTS: Final = (Path("/sys/class/powercap"), Path("/host/sys/class/powercap"))
"""Docker hides the first from a container; the second is where the host's /sys is usually mounted then."""

_ZONE: Final = re.compile(r"intel-rapl:\d+")
_SUBZONE: Final = re.compile(r"intel-rapl:\d+:\d+")
_MOST_WATTS: Final[Watts] = 2000.0
"""More than any zone draws: a counter that seems to have gone faster did not wrap, it began anew."""
_GRANT: Final = (
    "readable by root only since CVE-2020-8694. Let a group read it by the udev rule "
    'SUBSYSTEM=="powercap", KERNEL=="intel-rapl:*", '
    'RUN+="/bin/chgrp jevons /sys%p/energy_uj", RUN+="/bin/chmod g+r /sys%p/energy_uj" '
    "and run jevons in that group; docs/devices.md says how under systemd and in a container"
)


@dataclass(slots=True)
class _Zone:
    """One counter, and its sum since the start over all its wraps."""

    name: str
    path: Path
    range_uj: int | None
    at: Seconds = 0.0
    last_uj: int = 0
    total_uj: int = 0

    def read(self) -> int:
        """What the counter shows; raises MeterError with the reason, and how to grant access."""
        file = self.path / "energy_uj"
        try:
            return int(file.read_text())
        except PermissionError as error:
            raise MeterError(f"{file} is {_GRANT}") from error
        except (OSError, ValueError) as error:
            raise MeterError(f"{file} cannot be read: {error}") from error

    def begin(self, at: Seconds, energy_uj: int) -> None:
        """Start from what the counter shows."""
        self.at, self.last_uj, self.total_uj = at, energy_uj, energy_uj

    def move(self, at: Seconds, energy_uj: int) -> str | None:
        """Add what has passed since the last reading; returns why it cannot be known, and then nothing is added."""
        elapsed, delta_uj = at - self.at, energy_uj - self.last_uj
        self.at, self.last_uj = at, energy_uj
        if self.range_uj is not None and elapsed > self.range_uj / 1e6 / _MOST_WATTS:
            return f"{self.name} was not read for {elapsed:.0f} s, in which its counter may have wrapped more than once"
        if delta_uj < 0 and self.range_uj is not None:
            delta_uj += self.range_uj
        if not 0 <= delta_uj / 1e6 <= _MOST_WATTS * (elapsed + 1.0):
            return f"the counter of {self.name} began anew or leapt: now {energy_uj} uJ"
        self.total_uj += delta_uj
        return None


class RaplMeter:
    """One device, `cpu`: all packages of this host and their memory, under the first root that has any."""

    name = "cpu"
    is_for_named = True

    def __init__(self, *roots: Path, clock: Callable[[], Seconds] = time.monotonic) -> None:
        self._roots = roots or ROOTS
        self._clock = clock
        self._zones: list[_Zone] = []

    def open(self) -> list[Device]:
        """Find the zones and read each once; raises MeterError where there is none, or where one cannot be read."""
        zones = next((zones for root in self._roots if (zones := _find_zones(root))), None)
        if zones is None:
            raise MeterError(
                f"no RAPL zone under {self._roots[0]}: this host has none, the module intel_rapl_common is not loaded, "
                "or a container hides it (docs/devices.md says how to mount it)"
            )
        at = self._clock()
        for zone in zones:
            zone.begin(at, zone.read())
        self._zones = zones
        return [Device(DEVICE_ID, _describe([zone.name for zone in zones]), scope="cpu")]

    def read(self) -> list[Sample]:
        """The sum over the zones: without one of them it would be another sum, so that the failure of one is a failure."""
        if not self._zones:
            return []
        before = self._clock()
        try:
            readings = [zone.read() for zone in self._zones]
        except MeterError as error:
            return [Sample(DEVICE_ID, self._clock(), problem=str(error))]
        at = (before + self._clock()) / 2
        problems = [zone.move(at, reading) for zone, reading in zip(self._zones, readings, strict=True)]
        if any(problems):
            return [Sample(DEVICE_ID, at, problem="; ".join(filter(None, problems)))]
        return [Sample(DEVICE_ID, at, joules=sum(zone.total_uj for zone in self._zones) / 1e6)]

    def close(self) -> None:
        """Forget the zones; nothing is held open between readings."""
        self._zones = []


def _find_zones(root: Path) -> list[_Zone]:
    """The zones whose sum counts everything once."""
    top = [(_name(path), path) for path in _children(root, _ZONE)]
    packages = {name: path for name, path in reversed(top) if name.startswith("package")}  # the first of a name
    memory = {name: path for name, path in reversed(top) if name == "dram"}
    for package, path in packages.items():
        memory |= {f"dram of {package}": child for child in _children(path, _SUBZONE) if _name(child) == "dram"}
    chosen = packages | memory if packages else {name: path for name, path in top if name == "psys"}
    return [_Zone(name, path, _range_uj(path)) for name, path in sorted(chosen.items(), key=lambda item: item[1].name)]


def _children(folder: Path, pattern: re.Pattern[str]) -> Iterator[Path]:
    try:
        yield from sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name))
    except FileNotFoundError:
        return
    except OSError as error:
        raise MeterError(f"{folder} cannot be listed: {error.strerror}") from error


def _name(zone: Path) -> str:
    try:
        return (zone / "name").read_text().strip()
    except OSError:  # a zone that just left, or that a container hides: not one to count
        return ""


def _range_uj(zone: Path) -> int | None:
    """Where the counter wraps; None where it does not say, and then a fall is a new beginning."""
    try:
        return int((zone / "max_energy_range_uj").read_text()) or None
    except (OSError, ValueError):
        return None


def _describe(names: list[str]) -> str:
    missing = "" if any("dram" in name for name in names) else "; without memory"
    return f"host CPU (RAPL: {', '.join(names)}{missing})"
