"""NVIDIA GPUs, through the driver's own library (NVML) and its bindings, `nvidia-ml-py`.

One `nvmlDeviceGetFieldValues` per device and read gives energy, power and the driver's own timestamp. What a device lacks
is None (no energy counter before Volta: its power is integrated), what fails is a sample with a problem, and a device that
failed is sought again by its UUID, since a handle may not outlive the failure. NVML measures whole boards: a board split by
MIG is one device here, says so in its name, and may be asked for by the UUID of any of its slices; their shares are not known,
and nothing is summed. On a superchip (Grace Hopper) where power is to be had of the module only, the counter is the module's
too (as found in ml-energy/zeus, pull request 172), and the device's scope says so.

Fields and their units: https://docs.nvidia.com/deploy/nvml-api/group__nvmlFieldValueEnums.html
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Final

from ..errors import MeterError, NothingToRead
from ..units import Joules, Seconds, Watts
from .meter import Device, Sample
from .visible import Board, find_board

_ENERGY: Final = 83
"""NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, mJ since the driver was loaded."""
_POWER_INSTANT: Final = 186
_POWER_AVERAGE: Final = 185
"""NVML_FI_DEV_POWER_INSTANT and _AVERAGE (over 1 s on most devices), mW."""
_SCOPE_GPU: Final = 0
_SCOPE_MODULE: Final = 1
"""NVML_POWER_SCOPE_*: what a power field covers."""
_VALUE_MEMBERS: Final = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
"""By nvmlValueType_t: drivers differ in the type they give a field."""

_INVALID_ARGUMENT: Final = 2
_NOT_SUPPORTED: Final = 3
_FUNCTION_NOT_FOUND: Final = 13
_LACKING: Final = frozenset({_INVALID_ARGUMENT, _NOT_SUPPORTED, _FUNCTION_NOT_FOUND})
"""A device, or its driver, does not have what is asked."""
_NO_LIBRARY: Final = 12
_INIT_REASONS: Final = {
    4: "no permission to use the NVIDIA driver",
    9: "the NVIDIA driver is not loaded",
    _NO_LIBRARY: "no NVIDIA driver library (libnvidia-ml.so.1) here; a container gets it with the driver capability `utility`",
    18: "the NVIDIA driver and its library differ in version (an update without a reboot?)",
}
_LONGEST_STALE_NS: Final = 1_000_000_000
"""A driver may stamp a value it has cached, but not for longer than this."""
_NEVER_NS: Final = 2**63


@dataclass(slots=True)
class _Gpu:
    """One board and what has been learned of it."""

    device: Device
    handle: Any = None
    power_scope: int = _SCOPE_GPU
    has_fields: bool = True
    power_field: int = _POWER_INSTANT
    problem: str = ""
    retry_at_ns: int = 0

    def hold(self, handle: Any) -> None:
        """Start anew with a fresh handle: what was unsupported may be there again."""
        self.handle = handle
        self.has_fields = True
        self.power_field = _POWER_INSTANT


class NvmlMeter:
    """The NVIDIA boards of this host, all of them or those with the given UUIDs, which may be those of slices.

    A failed device is sought again every `retry_seconds`; once every device has been failing for `restart_seconds`, the
    library itself is started anew. The clocks are parameters for tests.
    """

    name = "nvidia"

    def __init__(
        self,
        uuids: Collection[str] | None = None,
        *,
        retry_seconds: Seconds = 0.5,
        restart_seconds: Seconds = 10.0,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.problems: list[str] = []
        """Why boards that the driver knows, or that were asked for, are not metered."""
        self.is_for_named = uuids is not None
        self._uuids = uuids
        self._retry_ns = round(retry_seconds * 1e9)
        self._restart_ns = round(restart_seconds * 1e9)
        self._monotonic_ns = monotonic_ns
        self._wall_ns = wall_ns
        self._nvml: Any = None
        self._gpus: list[_Gpu] = []
        self._boards: list[Board] = []
        self._outage: str | None = None
        """Why the library could not be started anew."""
        self._restart_at_ns = _NEVER_NS

    def open(self) -> list[Device]:
        """Start the library and list the boards; raises MeterError with the reason where there is none to read."""
        self._nvml = _load_bindings()
        reason = self._start()
        if reason is not None:
            raise NothingToRead(reason) if reason == _INIT_REASONS[_NO_LIBRARY] else MeterError(reason)
        try:
            self._gpus = self._find_gpus()
        except MeterError:
            self.close()
            raise
        return [gpu.device for gpu in self._gpus]

    def close(self) -> None:
        """Let go of the library."""
        if self._nvml is not None:
            with contextlib.suppress(self._nvml.NVMLError):
                self._nvml.nvmlShutdown()
        self._gpus = []

    def read(self) -> list[Sample]:
        """One sample per board: whatever is wrong with one is in its sample, and the others go on."""
        if self._monotonic_ns() >= self._restart_at_ns:
            self._restart()
        samples = [self._read(gpu) for gpu in self._gpus]
        if not samples or any(sample.problem is None for sample in samples):
            self._restart_at_ns = _NEVER_NS
        elif self._restart_at_ns == _NEVER_NS:
            self._restart_at_ns = self._monotonic_ns() + self._restart_ns
        return samples

    def boards(self) -> list[Board]:
        """Every board that the driver counts, in its order, metered or not; one that cannot be read keeps its place."""
        return list(self._boards)

    def processes(self) -> dict[str, frozenset[int]]:
        """The host's PIDs that compute on each board, by UUID; a board that cannot say is left out."""
        found = {}
        for gpu in self._gpus:
            with contextlib.suppress(self._nvml.NVMLError):
                handle = gpu.handle or self._nvml.nvmlDeviceGetHandleByUUID(gpu.device.id)
                found[gpu.device.id] = self._pids(handle)
        return found

    def _pids(self, handle: Any) -> frozenset[int]:
        """Those on the board and on its slices, for a split board may list the latter only."""
        slices = self._slices(handle)
        pids: set[int] = set()
        for part in [*slices, handle]:
            try:
                pids |= {process.pid for process in self._nvml.nvmlDeviceGetComputeRunningProcesses_v3(part)}
            except self._nvml.NVMLError:
                if not slices:
                    raise
        return frozenset(pids)

    def _slices(self, handle: Any) -> list[Any]:
        """The handles of a board's MIG devices, as far as they can be listed."""
        slices = []
        with contextlib.suppress(self._nvml.NVMLError):
            for index in range(self._nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
                with contextlib.suppress(self._nvml.NVMLError_NotFound):  # there is room for more than there are
                    slices.append(self._nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index))
        return slices

    def _start(self) -> str | None:
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError as error:
            return _INIT_REASONS.get(error.value, f"the NVIDIA driver does not start: {error}")
        return None

    def _restart(self) -> None:
        with contextlib.suppress(self._nvml.NVMLError):
            self._nvml.nvmlShutdown()
        self._outage = self._start()
        self._restart_at_ns = _NEVER_NS
        for gpu in self._gpus:
            gpu.handle = None
            gpu.retry_at_ns = 0

    def _find_gpus(self) -> list[_Gpu]:
        handles = self._list_boards()
        names: dict[str, set[str]] = {uuid: set() for uuid in handles} if self._uuids is None else {}
        for name in sorted(self._uuids or ()):
            found = find_board(name, self._boards)
            if found is None:
                self.problems.append(f"{name}: not found")
            else:
                names.setdefault(found[0].uuid, set()).add(name)
        wanted = [board for board in self._boards if board.uuid in names and board.uuid in handles]
        if not wanted:
            raise MeterError("; ".join(["the NVIDIA driver has no usable device", *self.problems]))
        return [self._hold(board, handles[board.uuid], names[board.uuid]) for board in wanted]

    def _list_boards(self) -> dict[str, Any]:
        """Learn what boards there are; returns the handles of those that can be read, by UUID."""
        handles: dict[str, Any] = {}
        self._boards, self.problems = [], []
        try:
            count = self._nvml.nvmlDeviceGetCount()
        except self._nvml.NVMLError as error:
            raise MeterError(f"the NVIDIA driver does not list its devices: {error}") from error
        for index in range(count):
            try:  # a lost board leaves a hole in the numbering, not its end
                handle = self._nvml.nvmlDeviceGetHandleByIndex(index)
                board = self._describe(handle)
                handles[board.uuid] = handle
            except self._nvml.NVMLError as error:
                self.problems.append(f"NVIDIA GPU {index}: {error}")
                board = Board(f"NVIDIA GPU {index}", f"unreadable ({error})")
            self._boards.append(board)
        return handles

    def _describe(self, handle: Any) -> Board:
        nvml = self._nvml
        uuid, name = _text(nvml.nvmlDeviceGetUUID(handle)), _text(nvml.nvmlDeviceGetName(handle))
        try:
            is_split = nvml.nvmlDeviceGetMigMode(handle)[0] != 0
        except nvml.NVMLError:
            is_split = False
        slices = tuple(_text(nvml.nvmlDeviceGetUUID(part)) for part in self._slices(handle)) if is_split else ()
        return Board(uuid, name, slices, is_split)

    def _hold(self, board: Board, handle: Any, names: Collection[str]) -> _Gpu:
        scope = self._find_power_scope(handle)
        try:
            limit = None if scope == _SCOPE_MODULE else self._nvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1e3
        except self._nvml.NVMLError:
            limit = None
        device = Device(
            board.uuid,
            f"MIG board: {board.name}" if board.is_split else board.name,
            scope="module" if scope == _SCOPE_MODULE else "gpu",
            power_limit_watts=limit,
            aliases=tuple(sorted({*board.slices, *names} - {board.uuid})),
            quality=frozenset({"shared_device"} if board.is_split else ()),
        )
        return _Gpu(device, handle, scope)

    def _find_power_scope(self, handle: Any) -> int:
        """The module's where the GPU's own power is not to be had and the module's is; else the GPU's."""
        asked = [(field, scope) for scope in (_SCOPE_GPU, _SCOPE_MODULE) for field in (_POWER_INSTANT, _POWER_AVERAGE)]
        try:
            results = [field.nvmlReturn for field in self._nvml.nvmlDeviceGetFieldValues(handle, asked)]
        except self._nvml.NVMLError:
            return _SCOPE_GPU
        return _SCOPE_MODULE if _LACKING.issuperset(results[:2]) and 0 in results[2:] else _SCOPE_GPU

    def _read(self, gpu: _Gpu) -> Sample:
        now_ns = self._monotonic_ns()
        if self._outage is not None:
            return _failed(gpu, now_ns, self._outage)
        if gpu.handle is None and now_ns < gpu.retry_at_ns:
            return _failed(gpu, now_ns, gpu.problem)
        try:
            if gpu.handle is None:
                gpu.hold(self._nvml.nvmlDeviceGetHandleByUUID(gpu.device.id))
            return self._sample(gpu)
        except self._nvml.NVMLError as error:
            gpu.handle = None
            gpu.problem = str(error)
            gpu.retry_at_ns = self._monotonic_ns() + self._retry_ns
            return _failed(gpu, self._monotonic_ns(), gpu.problem)

    def _sample(self, gpu: _Gpu) -> Sample:
        before_ns = self._monotonic_ns()
        fields = self._fields(gpu)
        after_ns, wall_ns = self._monotonic_ns(), self._wall_ns()
        if fields is None:
            joules = self._ask(self._nvml.nvmlDeviceGetTotalEnergyConsumption, gpu)
            watts = self._ask(self._nvml.nvmlDeviceGetPowerUsage, gpu)
            at = (before_ns + self._monotonic_ns()) / 2e9
        else:
            joules, watts = self._value(fields[0]), self._value(fields[1])
            if watts is None and gpu.power_field == _POWER_INSTANT:
                gpu.power_field = _POWER_AVERAGE
                return self._sample(gpu)
            if watts is None and gpu.power_scope == _SCOPE_GPU:
                watts = self._ask(self._nvml.nvmlDeviceGetPowerUsage, gpu)
            stamp_us = fields[1 if joules is None else 0].timestamp
            at = convert_timestamp(stamp_us, before_ns=before_ns, after_ns=after_ns, wall_ns=wall_ns)
        if joules is None and watts is None:
            return Sample(gpu.device.id, at, problem="reports neither energy nor power")
        return Sample(gpu.device.id, at, joules, watts)

    def _fields(self, gpu: _Gpu) -> Any:
        """Energy and power as nvmlFieldValue_t; None where the driver has no field values."""
        if not gpu.has_fields:
            return None
        try:
            return self._nvml.nvmlDeviceGetFieldValues(gpu.handle, [_ENERGY, (gpu.power_field, gpu.power_scope)])
        except self._nvml.NVMLError as error:
            if error.value not in {_NOT_SUPPORTED, _FUNCTION_NOT_FOUND}:
                raise
            gpu.has_fields = False
            return None

    def _value(self, field: Any) -> Joules | Watts | None:
        """A field in joules or watts, for both come in thousandths; None where the device or driver lacks it."""
        if field.nvmlReturn in _LACKING:
            return None
        if field.nvmlReturn != 0:
            raise self._nvml.NVMLError(field.nvmlReturn)
        thousandths: float = getattr(field.value, _VALUE_MEMBERS[field.valueType])
        return thousandths / 1e3

    def _ask(self, function: Callable[[Any], float], gpu: _Gpu) -> Joules | Watts | None:
        """What one plain query says, in joules or watts; None where the device or driver lacks it."""
        try:
            return function(gpu.handle) / 1e3
        except self._nvml.NVMLError as error:
            if error.value not in {_NOT_SUPPORTED, _FUNCTION_NOT_FOUND}:
                raise
            return None


def convert_timestamp(stamp_us: int, *, before_ns: int, after_ns: int, wall_ns: int) -> Seconds:
    """When a value was read, on the clock of `time.monotonic`, from the driver's timestamp (us since 1970).

    `wall_ns` and `after_ns` are both clocks just after the call, `before_ns` is just before it. A timestamp that cannot be
    (none at all, ahead of the clock, or far older than the call) is replaced by the middle of the call.
    """
    age_ns = wall_ns - stamp_us * 1000
    if 0 <= age_ns <= after_ns - before_ns + _LONGEST_STALE_NS:
        return (after_ns - age_ns) / 1e9
    return (before_ns + after_ns) / 2e9


def _failed(gpu: _Gpu, at_ns: int, problem: str) -> Sample:
    return Sample(gpu.device.id, at_ns / 1e9, problem=problem)


def _text(value: str | bytes) -> str:
    """Older bindings give bytes."""
    return value.decode() if isinstance(value, bytes) else value


def _load_bindings() -> Any:
    try:
        import pynvml  # noqa: PLC0415 - the bindings are loaded where there is something to meter, not with this module
    except ImportError as error:
        raise MeterError("the NVIDIA bindings are missing: pip install nvidia-ml-py") from error
    return pynvml
