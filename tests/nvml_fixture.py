"""Fixtures for tests under a simulated NVIDIA driver: name this module in a test module's `pytest_plugins`.

The library is compiled once per session. Once loaded here, the real `nvidia-ml-py` of this process finds it as
`libnvidia-ml.so.1`, even where a real one is installed; tests on a real device need a process of their own.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pynvml
import pytest

from jevons.proxy.metering.nvml import NvmlMeter
from jevons.proxy.simulation.nvml import SimulatedNvml, build

Simulate = Callable[..., SimulatedNvml]
Meter = Callable[..., NvmlMeter]


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulated driver library, compiled."""
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def free_library(nvml_library: Path) -> Path:
    """The library with no state open: whoever looked for boards in this process before has found those of its default one."""
    ctypes.CDLL(str(nvml_library)).nvsim_detach()
    return nvml_library


@pytest.fixture
def simulate(free_library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulate]:
    """Opens the simulation once: `simulate(gpus=2, NVSIM_STEP_MS="0")`. The time is moved by hand unless `by_hand=False`."""
    with ExitStack() as stack:

        def open_simulation(*, gpus: int = 1, by_hand: bool = True, **environment: str) -> SimulatedNvml:
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            simulation = stack.enter_context(SimulatedNvml(free_library, tmp_path / "gpus", gpus=gpus))
            if by_hand:
                simulation.advance(1.0)
            assert pynvml.nvmlLib is None or hasattr(pynvml.nvmlLib, "nvsim_attach"), "another driver library is loaded"
            return simulation

        yield open_simulation


@pytest.fixture
def metered() -> Iterator[Meter]:
    """Makes a meter on a simulation's clock, closed at the end: `metered(simulation, uuids={…})`."""
    with ExitStack() as stack:

        def make_meter(simulation: SimulatedNvml, **options) -> NvmlMeter:
            meter = NvmlMeter(monotonic_ns=simulation.now_ns, wall_ns=simulation.now_ns, **options)
            stack.callback(meter.close)
            return meter

        yield make_meter
