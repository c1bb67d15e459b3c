"""A simulated NVIDIA driver: `nvml_sim.c` built as libnvidia-ml.so.1, and the hand that moves its GPUs.

Whatever loads `libnvidia-ml.so.1` sees simulated GPUs: another process by `environment()`, this one once `open` has loaded
the library, since the dynamic linker then finds it by its name. Every device it shows is called `… (simulated)`.
"""

from __future__ import annotations

import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from enum import IntFlag
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ..errors import MeterError
from ..units import Joules, Seconds, Watts

LIBRARY_NAME: Final = "libnvidia-ml.so.1"
_SOURCES: Final = ("nvml_sim.c", "nvml_gpu.c", "nvml_gpu.h")
_FLAGS: Final = ("-std=gnu11", "-O2", "-shared", "-fPIC", "-fvisibility=hidden", f"-Wl,-soname,{LIBRARY_NAME}")
_MOST_PROCESSES: Final = 32


class Fault(IntFlag):
    """What can be wrong with a simulated GPU; the bits are those of `nvml_gpu.h`."""

    NONE = 0
    LOST = 1
    NO_ENERGY = 2
    NO_INSTANT = 4
    NO_PROCESSES = 8
    UNKNOWN = 16
    FROZEN = 32
    HANG = 64
    NO_AVERAGE = 128
    NO_POWER = 256
    NO_FIELDS = 512
    NO_TIMESTAMP = 1024
    BAD_ENERGY = 2048
    MIG = 4096
    MODULE = 8192


def build(directory: Path) -> Path:
    """Compile the library into `directory`, unless it is there and newer than its sources; returns its path.

    The compiler is `$CC`, else `cc`. Raises MeterError where there is none, or where it fails.
    """
    sources = [Path(__file__).with_name(name) for name in _SOURCES]
    library = directory / LIBRARY_NAME
    if library.exists() and library.stat().st_mtime >= max(source.stat().st_mtime for source in sources):
        return library
    directory.mkdir(parents=True, exist_ok=True)
    command = _find_compiler()
    with tempfile.TemporaryDirectory(dir=directory) as scratch:  # moved when whole: another process may be loading it
        built = Path(scratch) / LIBRARY_NAME
        command += [*_FLAGS, "-o", str(built), *(str(source) for source in sources if source.suffix == ".c"), "-lpthread"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the operator's own compiler
        if done.returncode != 0:
            raise MeterError(f"the simulated NVIDIA driver does not compile: {shlex.join(command)}\n{done.stderr}")
        built.replace(library)
    return library


def _find_compiler() -> list[str]:
    command = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if shutil.which(command[0]) is None:
        raise MeterError(f"the simulated NVIDIA driver needs a C compiler and there is no {command[0]!r}: install one or set CC")
    return command


def uuid_of(index: int) -> str:
    """The UUID of the simulated GPU number `index`."""
    return f"GPU-5e5e5e5e-0000-4000-8000-{index:012x}"


def slice_uuid_of(index: int, slice_: int) -> str:
    """The UUID of a slice of the simulated GPU number `index`."""
    return f"MIG-5e5e5e5e-{slice_:04x}-5000-8000-{index:012x}"


class SimulatedNvml:
    """The GPUs of one state file, moved by hand. A process can have one open at a time: the C library is one.

    GPUs are named by their index; a wrong one raises IndexError.
    """

    def __init__(self, library: Path, state: Path, *, gpus: int = 1) -> None:
        self.library = library
        self.state = state
        self.gpus = gpus
        self._lib: ctypes.CDLL | None = None

    def open(self) -> None:
        """Load the library and map the state, made here unless another process has; raises MeterError where that fails."""
        try:
            lib = ctypes.CDLL(str(self.library))
        except OSError as error:
            raise MeterError(f"the simulated NVIDIA driver cannot be loaded: {error}") from error
        lib.nvsim_attach.argtypes = [ctypes.c_char_p, ctypes.c_uint]
        lib.nvsim_set_power.argtypes = lib.nvsim_add_power.argtypes = [ctypes.c_uint, ctypes.c_double]
        lib.nvsim_set_fault.argtypes = [ctypes.c_uint, ctypes.c_uint]
        lib.nvsim_true_uj.argtypes = [ctypes.c_uint, ctypes.c_int64]
        lib.nvsim_true_uj.restype = ctypes.c_double
        lib.nvsim_advance.argtypes = [ctypes.c_int64]
        lib.nvsim_advance.restype = lib.nvsim_now_ns.restype = ctypes.c_int64
        if lib.nvsim_attach(os.fsencode(self.state), self.gpus) != 0:
            raise MeterError(f"the simulated NVIDIA driver cannot map {self.state}, or this process has another state open")
        self._lib = lib

    def close(self) -> None:
        """Let go of the state. Whoever had called nvmlInit in this process must do so again; no query may be under way."""
        if self._lib is not None:
            self._lib.nvsim_detach()
            self._lib = None

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def environment(self) -> dict[str, str]:
        """What another process needs in its environment to find these GPUs behind its driver library."""
        path = [str(self.library.parent), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]
        return {"LD_LIBRARY_PATH": os.pathsep.join(path), "NVSIM_STATE": str(self.state)}

    def set_power(self, gpu: int, watts: Watts) -> None:
        """From now on the GPU draws `watts`."""
        _check(gpu, self._open_lib.nvsim_set_power(gpu, watts * 1e3))

    def add_power(self, gpu: int, watts: Watts) -> None:
        """From now on the GPU draws `watts` more; less, where negative."""
        _check(gpu, self._open_lib.nvsim_add_power(gpu, watts * 1e3))

    def set_fault(self, gpu: int, fault: Fault) -> None:
        """From now on this, and only this, is wrong with the GPU."""
        _check(gpu, self._open_lib.nvsim_set_fault(gpu, int(fault)))

    def reset(self, gpu: int) -> None:
        """The counter starts again from 0; the truth goes on."""
        _check(gpu, self._open_lib.nvsim_reset(gpu))

    def set_processes(self, gpu: int, memory_bytes: Mapping[int, int]) -> None:
        """The compute processes on the GPU: PID → bytes. Raises ValueError beyond 32."""
        count = len(memory_bytes)
        if count > _MOST_PROCESSES:
            raise ValueError(f"a simulated GPU has room for {_MOST_PROCESSES} processes, not {count}")
        pids = (ctypes.c_uint * count)(*memory_bytes)
        sizes = (ctypes.c_ulonglong * count)(*memory_bytes.values())
        _check(gpu, self._open_lib.nvsim_set_procs(gpu, count, pids, sizes))

    def set_slices(self, gpu: int, count: int) -> None:
        """Split the board by MIG into so many slices, at most seven; 0 makes it whole again. Raises IndexError beyond that."""
        _check(gpu, self._open_lib.nvsim_set_slices(gpu, count))

    def place_process(self, gpu: int, pid: int, slice_: int) -> None:
        """A process that `set_processes` named computes on this slice of the board."""
        _check(gpu, self._open_lib.nvsim_place_proc(gpu, pid, slice_))

    def true_joules(self, gpu: int, at: Seconds | None = None) -> Joules:
        """The exact integral of the power up to `at` (of `time.monotonic`; None is now), from the counter's first value on."""
        microjoules: float = self._open_lib.nvsim_true_uj(gpu, 0 if at is None else round(at * 1e9))
        _check(gpu, 1 if microjoules < 0 else 0)
        return microjoules / 1e6

    def advance(self, seconds: Seconds) -> None:
        """Move the time by hand: from the first call on it stands still in between, for every process on this state."""
        self._open_lib.nvsim_advance(round(seconds * 1e9))

    def now_ns(self) -> int:
        """The simulation's time: that of `time.monotonic_ns`, until moved by hand."""
        now: int = self._open_lib.nvsim_now_ns()
        return now

    def hung_queries(self) -> int:
        """How many queries hang in the driver right now."""
        hung: int = self._open_lib.nvsim_hung()
        return hung

    @property
    def _open_lib(self) -> ctypes.CDLL:
        if self._lib is None:
            raise MeterError("the simulated NVIDIA driver is not open")
        return self._lib


def _check(gpu: int, result: int) -> None:
    if result != 0:
        raise IndexError(f"there is no simulated GPU {gpu}")
