"""The simulated driver: built with a C compiler, seen by the real `nvidia-ml-py`, moved by hand."""

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pynvml
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jevons.proxy.errors import MeterError
from jevons.proxy.simulation import nvml as module
from jevons.proxy.simulation.nvml import Fault, SimulatedNvml, build, slice_uuid_of, uuid_of

pytest_plugins = ["nvml_fixture"]


def handle_of(gpu):
    pynvml.nvmlInit()
    return pynvml.nvmlDeviceGetHandleByUUID(uuid_of(gpu))


def counter_joules(gpu):
    return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle_of(gpu)) / 1e3


def test_the_library_is_built_once(nvml_library):
    """A library that is newer than its sources is left alone."""
    built_at = nvml_library.stat().st_mtime_ns
    assert build(nvml_library.parent) == nvml_library
    assert nvml_library.stat().st_mtime_ns == built_at
    assert [path.name for path in nvml_library.parent.iterdir()] == ["libnvidia-ml.so.1"]


def test_the_sources_compile_without_a_warning(tmp_path, monkeypatch):
    """The strictest usual warnings find nothing."""
    monkeypatch.setenv("CC", "cc -Wall -Wextra -Werror")
    assert build(tmp_path).exists()


def test_a_missing_compiler_is_named(tmp_path, monkeypatch):
    """Without a compiler the error says which was sought and what to do."""
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(MeterError, match=r"no 'no-such-compiler': install one or set CC"):
        build(tmp_path / "new")


def test_a_failing_compiler_is_quoted(tmp_path, monkeypatch):
    """When the compiler fails, its command and its words are in the error, and no half library is left."""
    monkeypatch.setenv("CC", "cc -fno-such-flag")
    with pytest.raises(MeterError, match=r"(?s)cc -fno-such-flag .*no-such-flag"):
        build(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_faults_are_those_of_the_c_source():
    """The bits have the same values on both sides."""
    header = Path(module.__file__).with_name("nvml_gpu.h").read_text()
    in_c = {name: int(value) for name, value in re.findall(r"FAULT_(\w+) = (\d+)", header)}
    assert in_c == {fault.name: fault.value for fault in Fault if fault}


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.floats(0.001, 100), st.floats(0, 1000)), max_size=20))
def test_the_counter_is_the_exact_integral_of_the_power(nvml_library, steps):
    """Whatever the power did, truth and counter are its integral, the counter to the millijoule it is given in."""
    with TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as environment:
        environment.setenv("NVSIM_STEP_MS", "0")
        with SimulatedNvml(nvml_library, Path(directory) / "gpus") as gpus:
            gpus.advance(0)
            start = gpus.true_joules(0)
            expected = 0.0
            for seconds, watts in steps:
                gpus.set_power(0, watts)
                gpus.advance(seconds)
                expected += watts * seconds
            assert gpus.true_joules(0) - start == pytest.approx(expected, rel=1e-9, abs=1e-5)
            assert gpus.true_joules(0) - counter_joules(0) == pytest.approx(0.0005, abs=0.00051)


def test_power_is_added_and_never_negative(simulate):
    """Two workloads add up; taking more than there is leaves nothing."""
    gpus = simulate(NVSIM_POWER_STEP_MS="0")
    gpus.add_power(0, 100.0)
    gpus.add_power(0, 30.0)
    before = gpus.true_joules(0)
    gpus.advance(10.0)
    assert gpus.true_joules(0) - before == pytest.approx(1800.0)
    gpus.add_power(0, -500.0)
    gpus.advance(10.0)
    assert gpus.true_joules(0) - before == pytest.approx(1800.0)


def test_the_truth_can_be_asked_for_any_time(simulate):
    """The integral up to an earlier instant is what it was then."""
    gpus = simulate()
    then, joules = gpus.now_ns() / 1e9, gpus.true_joules(0)
    gpus.set_power(0, 400.0)
    gpus.advance(3.0)
    assert gpus.true_joules(0, at=then) == pytest.approx(joules, abs=1e-3)
    assert gpus.true_joules(0, at=then + 1.0) == pytest.approx(joules + 400.0, abs=1e-3)


def test_the_counter_moves_in_steps(simulate):
    """Between two updates the counter stands still; over ten periods it moves ten times."""
    gpus = simulate(NVSIM_STEP_MS="100")
    readings = []
    for _ in range(100):
        gpus.advance(0.01)
        readings.append(counter_joules(0))
    moves = [b - a for a, b in pairwise(readings) if b != a]
    assert len(moves) in {9, 10}
    assert moves == pytest.approx([5.0] * len(moves), abs=0.002)


def test_the_counter_trails_by_its_lag(simulate):
    """With a lag the counter shows the energy of a little while ago."""
    gpus = simulate(NVSIM_STEP_MS="0", NVSIM_LAG_MS="300")
    gpus.advance(1.0)
    gpus.set_power(0, 500.0)
    gpus.advance(0.4)
    assert counter_joules(0) == pytest.approx(gpus.true_joules(0, at=gpus.now_ns() / 1e9 - 0.3), abs=0.002)
    assert gpus.true_joules(0) - counter_joules(0) == pytest.approx(150.0, abs=0.002)


def test_a_reset_restarts_the_counter_and_not_the_truth(simulate):
    """After a reset the counter counts from 0."""
    gpus = simulate(NVSIM_STEP_MS="0")
    truth = gpus.true_joules(0)
    gpus.reset(0)
    gpus.advance(2.0)
    assert counter_joules(0) == pytest.approx(100.0, abs=0.002)
    assert gpus.true_joules(0) == pytest.approx(truth + 100.0)


def test_a_frozen_gpu_shows_what_it_showed(simulate):
    """A frozen counter holds its last value and catches up when it thaws."""
    gpus = simulate(NVSIM_STEP_MS="0")
    gpus.advance(1.0)
    shown = counter_joules(0)
    gpus.set_fault(0, Fault.FROZEN)
    gpus.advance(5.0)
    assert counter_joules(0) == shown
    gpus.set_fault(0, Fault.NONE)
    assert counter_joules(0) == pytest.approx(shown + 250.0, abs=0.002)


def test_faults_can_come_from_the_environment(simulate):
    """Lists of indices name the GPUs that lack something, or lose it after a while."""
    gpus = simulate(gpus=3, NVSIM_NO_ENERGY="1,2", NVSIM_LOST="2:5", NVSIM_RESET="0:5")
    before = counter_joules(0)
    for gpu in (1, 2):
        with pytest.raises(pynvml.NVMLError, match="Not Supported"):
            counter_joules(gpu)
    gpus.advance(6.0)
    assert counter_joules(0) < before
    with pytest.raises(pynvml.NVMLError, match="GPU is lost"):
        handle_of(2)


def test_every_name_says_simulated(simulate):
    """Whatever name is asked for, the device says that it is simulated."""
    simulate(NVSIM_NAME="NVIDIA B200")
    assert pynvml.nvmlDeviceGetName(handle_of(0)) == "NVIDIA B200 (simulated)"


def test_another_process_sees_the_same_gpus(simulate, monkeypatch):
    """A process started in the environment finds the GPUs behind its own driver library, and their power is shared."""
    monkeypatch.setenv("LD_LIBRARY_PATH", "/kept")
    gpus = simulate(gpus=2, NVSIM_POWER_STEP_MS="0")
    gpus.set_power(1, 321.0)
    script = (
        "import pynvml as n; n.nvmlInit(); h = n.nvmlDeviceGetHandleByIndex(1)\n"
        "print(n.nvmlDeviceGetCount(), n.nvmlDeviceGetUUID(h), n.nvmlDeviceGetFieldValues(h, [186])[0].value.uiVal)"
    )
    environment = gpus.environment()
    assert environment["LD_LIBRARY_PATH"].split(os.pathsep) == [str(gpus.library.parent), "/kept"]
    done = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["2", uuid_of(1), "321000"]


def test_wrong_hands_are_refused(simulate, nvml_library, tmp_path):
    """An index out of range, too many processes, a closed or second simulation and a broken library each say what is wrong."""
    gpus = simulate(gpus=2)
    with pytest.raises(IndexError, match="no simulated GPU 2"):
        gpus.set_power(2, 1.0)
    with pytest.raises(IndexError, match="no simulated GPU 7"):
        gpus.true_joules(7)
    with pytest.raises(ValueError, match="room for 32 processes, not 33"):
        gpus.set_processes(0, dict.fromkeys(range(33), 1))
    with pytest.raises(MeterError, match="another state open"):
        SimulatedNvml(nvml_library, tmp_path / "second").open()
    with pytest.raises(MeterError, match="is not open"):
        SimulatedNvml(nvml_library, tmp_path / "second").set_power(0, 1.0)
    with pytest.raises(MeterError, match="cannot be loaded"):
        SimulatedNvml(tmp_path / "nothing.so", tmp_path / "second").open()


def test_a_board_is_split_and_made_whole(simulate):
    """Its slices are MIG devices with UUIDs of their own, lead back to the board, and have neither energy nor power."""
    gpus = simulate(gpus=2)
    gpus.set_slices(1, 2)
    board = handle_of(1)
    assert pynvml.nvmlDeviceGetMigMode(board)[0] == 1
    assert pynvml.nvmlDeviceGetMaxMigDeviceCount(board) == 7
    for number in range(2):
        part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(board, number)
        assert pynvml.nvmlDeviceGetUUID(part) == slice_uuid_of(1, number)
        assert pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByUUID(slice_uuid_of(1, number))) == slice_uuid_of(1, number)
        assert pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(part)) == uuid_of(1)
        with pytest.raises(pynvml.NVMLError_InvalidArgument):
            pynvml.nvmlDeviceGetTotalEnergyConsumption(part)
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetMigDeviceHandleByIndex(board, 2)
    gpus.set_slices(1, 0)
    assert pynvml.nvmlDeviceGetMigMode(board)[0] == 0
    assert pynvml.nvmlDeviceGetMaxMigDeviceCount(board) == 0
    with pytest.raises(pynvml.NVMLError_NotFound):
        pynvml.nvmlDeviceGetHandleByUUID(slice_uuid_of(1, 0))


def test_a_board_has_at_most_seven_slices(simulate):
    """And a process is placed only on one that is there."""
    gpus = simulate()
    with pytest.raises(IndexError):
        gpus.set_slices(0, 8)
    with pytest.raises(IndexError):
        gpus.place_process(0, 1, 0)


def test_each_slice_lists_its_own_processes(simulate):
    """The board lists all, with the slice each is on."""
    gpus = simulate()
    gpus.set_slices(0, 2)
    gpus.set_processes(0, {5: 10, 6: 20, 7: 30})
    gpus.place_process(0, 6, 1)
    part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle_of(0), 1)
    assert [process.pid for process in pynvml.nvmlDeviceGetComputeRunningProcesses(part)] == [6]
    listed = pynvml.nvmlDeviceGetComputeRunningProcesses(handle_of(0))
    assert [(process.pid, process.gpuInstanceId) for process in listed] == [(5, 2**32 - 1), (6, 1), (7, 2**32 - 1)]


def test_a_superchip_has_the_modules_power_only(simulate):
    """By field 186 with scope 1, and an ordinary board by scope 0."""
    gpus = simulate(gpus=2, NVSIM_POWER_STEP_MS="0")
    gpus.set_fault(0, Fault.MODULE)
    asked = [(186, 0), (186, 1), (186, 2)]
    superchip, ordinary = (pynvml.nvmlDeviceGetFieldValues(handle_of(gpu), asked) for gpu in range(2))
    assert [field.nvmlReturn for field in superchip] == [3, 0, 3]
    assert [field.nvmlReturn for field in ordinary] == [0, 3, 3]
    with pytest.raises(pynvml.NVMLError_NotSupported):
        pynvml.nvmlDeviceGetPowerUsage(handle_of(0))
