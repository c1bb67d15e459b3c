"""AMD and Intel boards by the kernel's hardware monitor: `/sys/class/drm/card*/device/hwmon/hwmon*`.

    amdgpu     power1_average or power1_input, uW; energy1_input, uJ, where the driver has one. On an APU the power is that of
               the whole chip, processor included
    xe, i915   energy1_input, uJ: the card; older boards have only the package's, energy2_input. No power reading

`i915_gt0` and its like are parts of the card and not added to it. A board is known by its unique id where the driver gives one
(AMD), else by its PCI address; never by its number, which changes from boot to boot.

Files and units: https://docs.kernel.org/gpu/amdgpu/thermal.html and Documentation/ABI/testing/sysfs-driver-intel-xe-hwmon
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..errors import MeterError, NothingToRead
from ..units import Seconds, Watts
from .meter import Device, Sample
from .plausibility import CounterCheck

ROOT: Final = Path("/sys")
AMD_DRIVERS: Final = frozenset({"amdgpu"})
INTEL_DRIVERS: Final = frozenset({"i915", "xe"})

_VENDORS: Final = {"amdgpu": "amd", "i915": "intel", "xe": "intel"}
_NVIDIA: Final = "0x10de"
_DISPLAY: Final = "0x03"
"""The class of PCI devices that boards are of, 3D controllers without an output among them."""
_CARD: Final = re.compile(r"card\d+")
_POWER_FILES: Final = ("power1_average", "power1_input")
_LIMIT_FILES: Final = ("power1_cap", "power1_max", "power1_rated_max")
_COUNTER_BITS: Final = (32, 64)
"""The widths at which a counter may begin again."""
_SEEK_SECONDS: Final = 1.0
"""How often a board that failed is sought again: a driver that was loaded anew shows it under another number."""


def vendors_here(root: Path = ROOT) -> frozenset[str]:
    """Whose boards this host has: `nvidia` by the PCI bus, `amd` and `intel` where they show energy or power."""
    found = {_VENDORS[board.driver] for board in _find_boards(root / "class" / "drm", AMD_DRIVERS | INTEL_DRIVERS)}
    for device in (root / "bus" / "pci" / "devices").glob("*"):
        if _text(device / "vendor") == _NVIDIA and _text(device / "class").startswith(_DISPLAY):
            found.add("nvidia")
    return frozenset(found)


def vendor_of(pci: str, root: Path = ROOT) -> str | None:
    """Whose board is at `pci-0000:03:00.0`: `nvidia`, `amd`, `intel`; None where it is nobody's that is known."""
    vendor = _text(root / "bus" / "pci" / "devices" / pci.removeprefix("pci-") / "vendor")
    return {_NVIDIA: "nvidia", "0x1002": "amd", "0x8086": "intel"}.get(vendor)


def unwrap(last: int, now: int) -> int:
    """How far a counter went; a fall from the last eighth of its range into the first is a wrap, any other goes backward."""
    for bits in _COUNTER_BITS:
        size = 1 << bits
        if now < size // 8 and size - size // 8 <= last < size:
            return now + size - last
    return now - last


@dataclass(slots=True)
class _Board:
    """One card and what has been read of it."""

    device: Device
    driver: str
    counter: Path | None
    powers: tuple[Path, ...]
    check: CounterCheck = field(default_factory=CounterCheck)
    last_uj: int | None = None
    total_uj: int = 0

    def read(self, clock: Callable[[], Seconds]) -> Sample:
        before = clock()
        try:
            joules = None if self.counter is None else self._move(_number(self.counter)) / 1e6
            watts = self._watts()
        except MeterError as error:
            return Sample(self.device.id, clock(), problem=str(error))
        at = (before + clock()) / 2
        problem = self.check.judge(at, joules, watts) if joules is not None and watts is not None else None
        return Sample(self.device.id, at, problem=problem) if problem else Sample(self.device.id, at, joules, watts)

    def _move(self, now_uj: int) -> int:
        self.total_uj += now_uj if self.last_uj is None else unwrap(self.last_uj, now_uj)
        self.last_uj = now_uj
        return self.total_uj

    def _watts(self) -> Watts | None:
        """The first power that can be read; None where there is none, and then a counter stands alone."""
        problems = []
        for file in self.powers:
            try:
                return _number(file) / 1e6
            except MeterError as error:
                problems.append(error)
        if problems:
            raise problems[0]
        return None


class HwmonMeter:
    """The boards of some drivers, all of them or those with the given ids. `root` and the clock are parameters for tests."""

    def __init__(
        self,
        ids: Collection[str] | None = None,
        *,
        drivers: Collection[str] = AMD_DRIVERS | INTEL_DRIVERS,
        root: Path = ROOT,
        clock: Callable[[], Seconds] = time.monotonic,
    ) -> None:
        self.name = "+".join(sorted(drivers))
        self.is_for_named = ids is not None
        self._ids = ids
        self._drivers = drivers
        self._root = root
        self._clock = clock
        self._boards: list[_Board] = []
        self._seek_at: Seconds = 0.0

    def open(self) -> list[Device]:
        """Find the boards; raises MeterError where there is none to read."""
        boards = {board.device.id: board for board in self._find()}
        wanted = {id_: board for id_, board in boards.items() if self._ids is None or _names(board.device) & set(self._ids)}
        if not wanted:
            known = f"; there are {', '.join(boards)}" if boards else ""
            reason = f"no board with the driver {' or '.join(sorted(self._drivers))} that shows energy or power{known}"
            raise MeterError(reason) if boards else NothingToRead(reason)
        self._boards = list(wanted.values())
        return [board.device for board in self._boards]

    def read(self) -> list[Sample]:
        """One sample per board: whatever is wrong with one is in its sample, and the others go on."""
        samples = [board.read(self._clock) for board in self._boards]
        if any(sample.problem for sample in samples) and self._clock() >= self._seek_at:
            self._seek_at = self._clock() + _SEEK_SECONDS
            self._seek()
        return samples

    def _seek(self) -> None:
        found = {board.device.id: board for board in self._find()}
        for board in self._boards:
            if board.device.id in found:
                board.counter, board.powers = found[board.device.id].counter, found[board.device.id].powers

    def _find(self) -> Iterator[_Board]:
        return _find_boards(self._root / "class" / "drm", self._drivers)

    def close(self) -> None:
        """Forget the boards; nothing is held open between readings."""
        self._boards = []


def _names(device: Device) -> set[str]:
    return {device.id, *device.aliases}


def _find_boards(drm: Path, drivers: Collection[str]) -> Iterator[_Board]:
    try:
        cards = sorted(path for path in drm.iterdir() if _CARD.fullmatch(path.name))
    except OSError:
        return
    for card in cards:
        for monitor in sorted((card / "device" / "hwmon").glob("hwmon*")):
            driver = _text(monitor / "name")
            if driver in drivers:
                yield from _board_at(card / "device", monitor, driver)


def _board_at(card: Path, monitor: Path, driver: str) -> Iterator[_Board]:
    counters = sorted(monitor.glob("energy*_input"))
    powers = tuple(monitor / name for name in _POWER_FILES if (monitor / name).exists())
    if not counters and not powers:
        return
    pci = f"pci-{card.resolve().name}"
    unique = _text(card / "unique_id").removeprefix("0x").lower()
    limits = [_watts_or_zero(monitor / name) for name in _LIMIT_FILES]
    model = _text(card / "product_name") or f"{_text(card / 'vendor')[2:]}:{_text(card / 'device')[2:]}"
    device = Device(
        f"GPU-{unique}" if unique else pci,
        f"{'AMD' if driver in AMD_DRIVERS else 'Intel'} GPU {model}",
        power_limit_watts=max(limits) or None,
        aliases=(pci,),
    )
    yield _Board(device, driver, counters[0] if counters else None, powers)


def _watts_or_zero(file: Path) -> Watts:
    """A limit; 0 where there is none, which is also how the drivers write that it is off."""
    try:
        return _number(file) / 1e6
    except MeterError:
        return 0.0


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _number(file: Path) -> int:
    """What a file says, in its own unit; raises MeterError with the reason."""
    try:
        number = int(file.read_text())
    except PermissionError as error:
        raise MeterError(f"{file} may not be read by this user; see docs/devices.md") from error
    except OSError as error:
        raise MeterError(f"{file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise MeterError(f"{file} holds no number") from error
    if number < 0:
        raise MeterError(f"{file} holds {number}")
    return number
