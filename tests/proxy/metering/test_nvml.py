"""The NVIDIA meter: the real `nvidia-ml-py` over a simulated driver library."""

import json
import os
import subprocess
import sys
import threading
import time

import pynvml
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.errors import MeterError
from jevons.proxy.metering import nvml as module
from jevons.proxy.metering.nvml import NvmlMeter, convert_timestamp
from jevons.proxy.simulation.nvml import Fault, uuid_of

pytest_plugins = ["nvml_fixture"]

MILLIJOULE = 0.0011
"""The counter's resolution, and a little for binary fractions."""


def read_one(meter):
    (sample,) = meter.read()
    return sample


def test_boards_are_listed_by_uuid(simulate, metered):
    """Each board has its UUID, its name, its power limit and the scope that NVML measures."""
    devices = metered(simulate(gpus=3, NVSIM_LIMIT_W="350")).open()
    assert [device.id for device in devices] == [uuid_of(0), uuid_of(1), uuid_of(2)]
    assert {device.name for device in devices} == {"NVIDIA H200 (simulated)"}
    assert all(device.is_simulated and device.scope == "gpu" for device in devices)
    assert all(device.power_limit_watts == pytest.approx(350.0) for device in devices)


def test_only_the_boards_asked_for_are_metered(simulate, metered):
    """With a set of UUIDs the others are left alone, and one that is not there is said to be missing."""
    meter = metered(simulate(gpus=3), uuids={uuid_of(2), "GPU-elsewhere"})
    assert [device.id for device in meter.open()] == [uuid_of(2)]
    assert [sample.device_id for sample in meter.read()] == [uuid_of(2)]
    assert meter.problems == ["GPU-elsewhere: not found"]


def test_the_samples_follow_the_truth(simulate, metered):
    """The difference of two readings is the integral of the power between them; the power is the present one."""
    gpus = simulate(NVSIM_STEP_MS="0", NVSIM_POWER_STEP_MS="0")
    meter = metered(gpus)
    meter.open()
    first = read_one(meter)
    gpus.advance(10.0)
    gpus.set_power(0, 300.0)
    gpus.advance(2.0)
    second = read_one(meter)
    assert second.at - first.at == pytest.approx(12.0, abs=1e-5)
    assert second.joules - first.joules == pytest.approx(50.0 * 10 + 300.0 * 2, abs=MILLIJOULE)
    assert second.joules == pytest.approx(gpus.true_joules(0), abs=MILLIJOULE)
    assert (first.watts, second.watts) == (50.0, 300.0)


def test_each_board_has_its_own_energy(simulate, metered):
    """Power on one board does not show on another."""
    gpus = simulate(gpus=4, NVSIM_STEP_MS="0")
    meter = metered(gpus)
    meter.open()
    before = meter.read()
    for gpu in range(4):
        gpus.set_power(gpu, 100.0 * gpu)
    gpus.advance(5.0)
    spent = [after.joules - first.joules for first, after in zip(before, meter.read(), strict=True)]
    assert spent == pytest.approx([0.0, 500.0, 1000.0, 1500.0], abs=MILLIJOULE)


def test_on_real_clocks_a_reading_lies_between_step_and_truth(simulate):
    """With no clock moved by hand, a reading is the truth of at most one counter step ago."""
    gpus = simulate(by_hand=False, NVSIM_STEP_MS="20")
    meter = NvmlMeter()
    meter.open()
    gpus.set_power(0, 600.0)
    for _ in range(20):
        asked_at = gpus.now_ns() / 1e9
        sample = read_one(meter)
        truth_now = gpus.true_joules(0)
        assert gpus.true_joules(0, at=asked_at - 0.02) - MILLIJOULE <= sample.joules <= truth_now + MILLIJOULE
        time.sleep(0.003)
    meter.close()


def test_a_sample_is_dated_by_the_drivers_timestamp(simulate):
    """On the clock of `time.monotonic`, however far the wall clock is from it; without a timestamp, in the middle of the call."""
    gpus = simulate()

    def pass_100_ms():
        gpus.advance(0.1)
        return gpus.now_ns() - 5_000_000_000

    meter = NvmlMeter(monotonic_ns=pass_100_ms, wall_ns=gpus.now_ns)
    meter.open()
    asked_at = gpus.now_ns() / 1e9 - 5.0 + 0.3  # the clock is looked at three times before the driver is asked
    assert read_one(meter).at == pytest.approx(asked_at, abs=2e-6)
    gpus.set_fault(0, Fault.NO_TIMESTAMP)
    asked_at = gpus.now_ns() / 1e9 - 5.0 + 0.3
    assert read_one(meter).at == pytest.approx(asked_at + 0.05, abs=2e-6)
    meter.close()


@given(
    before=st.integers(0, 10**18),
    call=st.integers(0, 10**12),
    offset=st.integers(-(10**18), 10**18),
    stamp=st.integers(-(10**16), 10**16),
)
def test_a_timestamp_never_leads_into_the_future(before, call, offset, stamp):
    """Whatever the driver stamps, the reading is dated within the call or at most a second before it."""
    after = before + call
    at = convert_timestamp(stamp, before_ns=before, after_ns=after, wall_ns=after + offset)
    assert before / 1e9 - 1.001 <= at <= after / 1e9


@given(age_us=st.integers(0, 900_000), offset_us=st.integers(-(10**12), 10**12))
def test_a_timestamp_keeps_its_age(age_us, offset_us):
    """A value that was so old on the wall clock is as old on the monotonic one."""
    after = 10**15
    wall = after + offset_us * 1000
    at = convert_timestamp(wall // 1000 - age_us, before_ns=after - 50_000, after_ns=after, wall_ns=wall)
    assert at == pytest.approx(after / 1e9 - age_us / 1e6, abs=1e-6)


def test_without_an_energy_counter_there_is_power_alone(simulate, metered):
    """A board without the counter gives watts and no joules, and nothing is made up; its neighbour is not touched by it."""
    gpus = simulate(gpus=2, NVSIM_NO_ENERGY="0", NVSIM_POWER_STEP_MS="0")
    meter = metered(gpus)
    meter.open()
    gpus.set_power(0, 210.0)
    without, with_counter = meter.read()
    assert (without.joules, without.watts, without.problem) == (None, 210.0, None)
    assert with_counter.joules is not None


@pytest.mark.parametrize(
    ("fault", "watts"),
    [
        (Fault.NONE, 450.0),
        (Fault.NO_INSTANT, 250.0),
        (Fault.NO_INSTANT | Fault.NO_AVERAGE, 250.0),
        (Fault.NO_FIELDS, 250.0),
        (Fault.NO_POWER, None),
    ],
)
def test_power_comes_from_the_best_source_there_is(simulate, metered, fault, watts):
    """Instant power, else the average of a second, by field or by the plain query; else None. Energy is the same throughout."""
    gpus = simulate(NVSIM_POWER_STEP_MS="0", NVSIM_STEP_MS="0")
    gpus.set_fault(0, fault)
    meter = metered(gpus)
    meter.open()
    gpus.advance(5.0)
    gpus.set_power(0, 450.0)
    gpus.advance(0.5)
    for _ in range(2):  # the second reading knows what the first has learned
        sample = read_one(meter)
        assert sample.watts == (pytest.approx(watts) if watts else None)
        assert sample.joules == pytest.approx(gpus.true_joules(0), abs=MILLIJOULE)
        assert sample.at == pytest.approx(gpus.now_ns() / 1e9, abs=2e-6)


@pytest.mark.parametrize("fields", [Fault.NONE, Fault.NO_FIELDS])
def test_a_board_that_reports_nothing_is_a_problem(simulate, metered, fields):
    """Neither energy nor power: said so, and not taken for zero."""
    gpus = simulate()
    gpus.set_fault(0, Fault.NO_ENERGY | Fault.NO_POWER | fields)
    meter = metered(gpus)
    meter.open()
    sample = read_one(meter)
    assert (sample.joules, sample.watts, sample.problem) == (None, None, "reports neither energy nor power")


def test_a_failing_counter_is_a_problem_and_not_a_missing_one(simulate, metered):
    """An error of the energy counter makes a gap: the power beside it must not be taken for the device's only measure."""
    gpus = simulate()
    meter = metered(gpus)
    meter.open()
    gpus.set_fault(0, Fault.BAD_ENERGY)
    sample = read_one(meter)
    assert (sample.joules, sample.watts, sample.problem) == (None, None, "Unknown Error")


def test_a_lost_board_is_a_gap_with_a_reason_and_comes_back(simulate, metered):
    """The others go on, the lost one says why, and after its return its counter is read again."""
    gpus = simulate(gpus=2)
    meter = metered(gpus, retry_seconds=0.5)
    meter.open()
    gpus.set_fault(1, Fault.LOST)
    well, lost = meter.read()
    assert well.problem is None
    assert (lost.device_id, lost.joules, lost.watts, lost.problem) == (uuid_of(1), None, None, "GPU is lost")
    assert lost.at == gpus.now_ns() / 1e9
    gpus.set_fault(1, Fault.NONE)
    assert meter.read()[1].problem == "GPU is lost"  # it is not asked at every reading
    gpus.advance(0.5)
    well, found = meter.read()
    assert well.problem is None
    assert found.problem is None
    assert found.joules == pytest.approx(gpus.true_joules(1), abs=50.0 * 0.02 + MILLIJOULE)


def test_a_board_that_came_back_is_probed_anew(simulate, metered):
    """What it could not do before its loss is tried again."""
    gpus = simulate(NVSIM_POWER_STEP_MS="0")
    meter = metered(gpus)
    meter.open()
    gpus.set_fault(0, Fault.NO_FIELDS | Fault.NO_INSTANT)
    read_one(meter)
    gpus.set_fault(0, Fault.UNKNOWN)
    assert read_one(meter).problem == "Unknown Error"
    gpus.set_fault(0, Fault.NONE)
    gpus.advance(1.0)
    gpus.set_power(0, 444.0)
    assert read_one(meter).watts == 444.0


def test_a_board_lost_at_the_start_does_not_hide_the_others(simulate, metered):
    """The remaining boards are metered and the reason is kept for whoever asks."""
    meter = metered(simulate(gpus=3, NVSIM_LOST="1:0"))
    assert [device.id for device in meter.open()] == [uuid_of(0), uuid_of(2)]
    assert meter.problems == ["NVIDIA GPU 1: GPU is lost"]
    assert [sample.problem for sample in meter.read()] == [None, None]


def test_a_reset_shows_as_a_counter_that_went_backward(simulate, metered):
    """The meter passes a reset on as it is read; to judge it is the attribution's part."""
    gpus = simulate()
    meter = metered(gpus)
    meter.open()
    before = read_one(meter)
    gpus.reset(0)
    gpus.advance(1.0)
    after = read_one(meter)
    assert after.problem is None
    assert after.joules < before.joules


def test_a_driver_with_nothing_left_is_started_anew(simulate, metered, monkeypatch):
    """When every board has failed for ten seconds the library is restarted; if that fails, its reason is the problem."""
    gpus = simulate(NVSIM_LOST="0:5")  # seconds after the library's start
    meter = metered(gpus, restart_seconds=10.0)
    meter.open()
    assert read_one(meter).problem is None
    gpus.advance(6.0)
    assert read_one(meter).problem == "GPU is lost"
    monkeypatch.setenv("NVSIM_INIT_ERR", "9")
    gpus.advance(10.0)
    assert read_one(meter).problem == "the NVIDIA driver is not loaded"
    monkeypatch.delenv("NVSIM_INIT_ERR")
    gpus.advance(9.0)
    assert read_one(meter).problem == "the NVIDIA driver is not loaded"
    gpus.advance(1.0)
    assert read_one(meter).problem is None


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("4", "no permission"),
        ("9", "driver is not loaded"),
        ("18", "differ in version"),
        ("999", "does not start: Unknown Error"),
    ],
)
def test_a_driver_that_does_not_start_says_why(simulate, metered, code, reason):
    """Each way to fail has a reason in plain words."""
    meter = metered(simulate(NVSIM_INIT_ERR=code))
    with pytest.raises(MeterError, match=reason):
        meter.open()


@pytest.mark.parametrize(
    ("gpus", "uuids", "environment", "reason"),
    [
        (0, None, {}, "the NVIDIA driver has no usable device$"),
        (1, {"GPU-elsewhere"}, {}, "no usable device; GPU-elsewhere: not found"),
        (1, None, {"NVSIM_LOST": "0:0"}, "no usable device; NVIDIA GPU 0: GPU is lost"),
    ],
)
def test_a_driver_without_a_device_says_so(simulate, metered, gpus, uuids, environment, reason):
    """No board to meter is a reason not to open, with what is known of the boards there are; a later try may do better."""
    meter = metered(simulate(gpus=gpus, **environment), uuids=uuids)
    for _ in range(2):
        with pytest.raises(MeterError, match=reason):
            meter.open()


def test_a_missing_driver_library_is_named(tmp_path):
    """Where no driver library can be loaded the reason names it, and how a container gets it."""
    (tmp_path / "libnvidia-ml.so.1").touch()  # found before any real one, and no library
    script = (
        "from jevons.proxy.errors import MeterError\nfrom jevons.proxy.metering.nvml import NvmlMeter\n"
        "try: NvmlMeter().open()\nexcept MeterError as error: print(error)"
    )
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert "no NVIDIA driver library (libnvidia-ml.so.1)" in done.stdout
    assert "`utility`" in done.stdout


def test_missing_bindings_are_named(monkeypatch):
    """Where `nvidia-ml-py` cannot be imported the reason says what to install."""
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(MeterError, match="pip install nvidia-ml-py"):
        NvmlMeter().open()


def test_another_process_meters_what_this_one_draws(simulate):
    """The proxy's process reads the energy that the model server's process has put on the board."""
    gpus = simulate(NVSIM_STEP_MS="0", NVSIM_POWER_STEP_MS="0")
    gpus.set_power(0, 275.0)
    gpus.advance(4.0)
    script = (
        "import json\nfrom jevons.proxy.metering.nvml import NvmlMeter\n"
        "meter = NvmlMeter(); (device,) = meter.open(); (sample,) = meter.read(); meter.close()\n"
        "print(json.dumps([device.name, sample.joules, sample.watts, sample.problem]))"
    )
    environment = {**os.environ, **gpus.environment()}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [
        "NVIDIA H200 (simulated)",
        pytest.approx(gpus.true_joules(0), abs=MILLIJOULE),
        275.0,
        None,
    ]


def test_importing_the_meter_does_not_import_the_bindings():
    """`pynvml` is loaded when a meter is opened and not before."""
    script = "import sys, jevons.proxy.metering.nvml; print('pynvml' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_hung_driver_blocks_only_its_reader(simulate, metered):
    """A query that does not return holds its own thread, without the interpreter; it ends when the driver wakes."""
    gpus = simulate()
    meter = metered(gpus)
    meter.open()
    gpus.set_fault(0, Fault.HANG)
    samples = []
    reader = threading.Thread(target=lambda: samples.extend(meter.read()), daemon=True)
    reader.start()
    try:
        while gpus.hung_queries() == 0:
            time.sleep(0.001)
        assert samples == []
    finally:
        gpus.set_fault(0, Fault.NONE)
        reader.join()
    assert [sample.problem for sample in samples] == [None]


def test_a_split_board_says_that_it_is_one(simulate, metered):
    """NVML measures the whole board: under MIG the name says so, and still that it is simulated."""
    gpus = simulate()
    gpus.set_fault(0, Fault.MIG)
    (device,) = metered(gpus).open()
    assert device.name == "MIG board: NVIDIA H200 (simulated)"
    assert device.is_simulated


def test_processes_are_listed_by_board(simulate, metered):
    """Each board names the host's PIDs that compute on it; one that cannot say is left out, for empty would be a claim."""
    gpus = simulate(gpus=3, NVSIM_NO_PROCS="2")
    gpus.set_processes(0, {4242: 1 << 30, 4343: 1 << 20})
    meter = metered(gpus)
    meter.open()
    assert meter.processes() == {uuid_of(0): frozenset({4242, 4343}), uuid_of(1): frozenset()}


def test_a_closed_meter_reads_nothing_and_can_be_opened_again(simulate, metered):
    """Closing is final for the readings, not for the meter."""
    gpus = simulate()
    meter = metered(gpus)
    meter.open()
    meter.close()
    assert meter.read() == []
    gpus.advance(60.0)
    assert meter.read() == []
    with pytest.raises(pynvml.NVMLError, match="Uninitialized"):
        pynvml.nvmlDeviceGetCount()
    meter.open()
    assert read_one(meter).problem is None


def test_names_may_be_bytes():
    """Older bindings give bytes where newer ones give text."""
    assert module._text(b"NVIDIA A100") == module._text("NVIDIA A100") == "NVIDIA A100"
