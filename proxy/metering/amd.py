"""AMD boards by AMD's own library, `amdsmi`, where it is installed (`pip install 'jevons[amd]'`, or the package of ROCm).

Energy is the accumulator times its resolution, in uJ; power is in W, current on MI300 and later, average on others. The counter
is believed as far as the power bears it out (`plausibility`). A card of two dies shows up as two boards, the second of which
reports nothing: that is said, and not taken for 0. Handles, names and units:
https://rocm.docs.amd.com/projects/amdsmi/en/latest/reference/amdsmi-py-api.html
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any, Final

from ..errors import MeterError
from ..units import Joules, Seconds, Watts
from .meter import Device, Sample
from .plausibility import CounterCheck

_NOT_SUPPORTED: Final = 2
"""AMDSMI_STATUS_NOT_SUPPORTED."""
_POWER_KEYS: Final = ("current_socket_power", "average_socket_power", "socket_power")
_MOST_WATTS: Final[Watts] = 10_000.0
"""Beyond it a figure is a filler (0xFFFF, 0xFFFFFFFF) or, of a limit, in uW: versions differ."""

_NO_POWER: Final = "reports no power to vouch for its energy; another die of the same card may carry the figures of both"


@dataclass(slots=True)
class _Board:
    """One board and what has been learned of it."""

    device: Device
    handle: Any
    has_counter: bool = True
    check: CounterCheck = field(default_factory=CounterCheck)


class AmdMeter:
    """The AMD boards of this host, all of them or those with the given ids. The clock is a parameter for tests."""

    name = "amdsmi"

    def __init__(self, ids: Collection[str] | None = None, *, clock: Callable[[], Seconds] = time.monotonic) -> None:
        self.problems: list[str] = []
        """Why boards that the library knows are not metered."""
        self.is_for_named = ids is not None
        self._ids = ids
        self._clock = clock
        self._amdsmi: Any = None
        self._boards: list[_Board] = []

    def open(self) -> list[Device]:
        """Start the library and list the boards; raises MeterError with the reason where there is none to read."""
        self._amdsmi = _load_bindings()
        try:
            self._amdsmi.amdsmi_init()
        except self._amdsmi.AmdSmiException as error:
            raise MeterError(f"amdsmi does not start: {_words(error)}") from error
        try:
            self._boards = self._find_boards()
        except MeterError:
            self.close()
            raise
        return [board.device for board in self._boards]

    def close(self) -> None:
        """Let go of the library."""
        if self._amdsmi is not None:
            with contextlib.suppress(self._amdsmi.AmdSmiException):
                self._amdsmi.amdsmi_shut_down()
        self._boards = []

    def read(self) -> list[Sample]:
        """One sample per board: whatever is wrong with one is in its sample, and the others go on."""
        return [self._read(board) for board in self._boards]

    def _find_boards(self) -> list[_Board]:
        boards: dict[str, _Board] = {}
        self.problems = []
        try:
            handles = self._amdsmi.amdsmi_get_processor_handles()
        except self._amdsmi.AmdSmiException as error:
            raise MeterError(f"amdsmi does not list its boards: {_words(error)}") from error
        for number, handle in enumerate(handles):
            try:
                device = self._describe(handle)
            except self._amdsmi.AmdSmiException as error:
                self.problems.append(f"AMD GPU {number}: {_words(error)}")
                continue
            if self._ids is None or {device.id, *device.aliases} & set(self._ids):
                boards.setdefault(device.id, _Board(device, handle))  # partitions of one board are one board
        if not boards:
            raise MeterError("; ".join(["amdsmi has no usable board", *self.problems]))
        return list(boards.values())

    def _describe(self, handle: Any) -> Device:
        asic = self._amdsmi.amdsmi_get_gpu_asic_info(handle)
        pci = f"pci-{self._amdsmi.amdsmi_get_gpu_device_bdf(handle)}".lower()
        serial = str(asic.get("asic_serial", "")).lower().removeprefix("0x")
        try:
            limit = _watts(self._amdsmi.amdsmi_get_power_cap_info(handle).get("power_cap"), is_limit=True)
        except self._amdsmi.AmdSmiException:
            limit = None
        is_known = serial.strip("0") not in {"", "n/a"}
        id_ = f"GPU-{serial.zfill(16)}" if is_known else pci
        return Device(id_, f"AMD GPU {asic.get('market_name', 'of unknown name')}", power_limit_watts=limit, aliases=(pci,))

    def _read(self, board: _Board) -> Sample:
        before = self._clock()
        try:
            joules = self._joules(board)
            watts = self._power(board)
        except (self._amdsmi.AmdSmiException, MeterError) as error:
            return Sample(board.device.id, self._clock(), problem=_words(error))
        at = (before + self._clock()) / 2
        problem = None
        if joules is not None and watts is not None:
            problem = board.check.judge(at, joules, watts)
        elif watts is None:
            problem = (
                "reports no power, so that nothing vouches for its energy: another die of the same card may carry its figures"
            )
        return Sample(board.device.id, at, problem=problem) if problem else Sample(board.device.id, at, joules, watts)

    def _joules(self, board: _Board) -> Joules | None:
        """The accumulator in joules; None where the board has none."""
        if not board.has_counter:
            return None
        try:
            count = self._amdsmi.amdsmi_get_energy_count(board.handle)
        except self._amdsmi.AmdSmiException as error:
            if _status(error) != _NOT_SUPPORTED:
                raise
            board.has_counter = False
            return None
        accumulator = count.get("energy_accumulator", count.get("power"))  # before ROCm 6.4
        try:
            return float(accumulator) * float(count["counter_resolution"]) / 1e6
        except (KeyError, TypeError, ValueError) as error:
            raise MeterError(f"the energy counter holds no number: {count}") from error

    def _power(self, board: _Board) -> Watts | None:
        try:
            info = self._amdsmi.amdsmi_get_power_info(board.handle)
        except self._amdsmi.AmdSmiException as error:
            if _status(error) != _NOT_SUPPORTED:
                raise
            return None
        return next((watts for key in _POWER_KEYS if (watts := _watts(info.get(key))) is not None), None)


def _watts(value: object, *, is_limit: bool = False) -> Watts | None:
    """A figure of the library in watts; None for `N/A`, fillers, and a limit of 0."""
    if not isinstance(value, int | float) or value < 0 or (is_limit and value == 0):
        return None
    watts = value / 1e6 if is_limit and value > _MOST_WATTS else float(value)
    return watts if watts <= _MOST_WATTS else None


def _status(error: Exception) -> int | None:
    return getattr(error, "err_code", None)


def _words(error: Exception) -> str:
    """The library's own words, on one line."""
    info = getattr(error, "get_error_info", None)
    return " ".join(str(info() if callable(info) else error).split())


def _load_bindings() -> Any:
    try:  # the package prints to standard output where it finds no library, and then fails in one of several ways
        with contextlib.redirect_stdout(sys.stderr):
            import amdsmi  # noqa: PLC0415 - loaded where there is something to meter, not with this module
    except ImportError as error:
        raise MeterError("amdsmi is not installed: pip install 'jevons[amd]', or ROCm's own package") from error
    except (OSError, KeyError, AttributeError) as error:
        raise MeterError(f"amdsmi finds no library libamd_smi.so of its version: {error!r}") from error
    return amdsmi
