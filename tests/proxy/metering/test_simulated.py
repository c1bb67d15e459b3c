"""The simulated meter: a counter that moves in steps, trails the truth and loses nothing."""

import itertools
import math
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.errors import MeterError
from jevons.proxy.metering.simulated import SIZE, STEPS, GpuState, SimulatedMeter, read_state
from jevons.proxy.simulation.gpu import SimulatedGpu

DEVICE = uuid.UUID("6f1c0000-0000-4000-8000-000000000001")
MILLIJOULE = 1e-3
OPEN_FILES = Path("/proc/self/fd")


class Clock:
    """A clock moved by hand."""

    def __init__(self, now):
        self.now = now

    def read(self):
        """The time that the test has set."""
        return self.now


@pytest.fixture
def gpu(tmp_path):
    """A GPU that idles at 100 W, created at second 1000."""
    with SimulatedGpu.create(tmp_path / "gpu", idle_watts=100.0, device_uuid=DEVICE, at=1000.0) as gpu:
        yield gpu


def read_at(meter, clock, now):
    clock.now = now
    [sample] = meter.read()
    return sample


def test_the_device_says_that_it_is_simulated(gpu):
    """The id is the file's, the lag is declared, and the name ends in what every report must say."""
    [device] = SimulatedMeter(gpu.path).open()
    assert device.id == f"GPU-{DEVICE}"
    assert device.is_simulated
    assert device.power_limit_watts == 700.0
    assert device.counter_lag_seconds == 0.03
    assert device.configured_as == f"simulated:{gpu.path}"


def test_the_declared_lag_may_be_wrong(gpu):
    """A device can claim another lag than it has, as real ones do; the counter keeps its own."""
    clock = Clock(1001.0)
    meter = SimulatedMeter(gpu.path, lag_seconds=0.03, declared_lag_seconds=0.0, clock=clock.read)
    [device] = meter.open()
    assert device.counter_lag_seconds == 0.0
    assert read_at(meter, clock, 1001.05).joules == pytest.approx(97.0, abs=MILLIJOULE)


def test_the_id_stays_with_the_file(gpu):
    """Two meters on one file see one device."""
    assert SimulatedMeter(gpu.path).open() == SimulatedMeter(gpu.path).open()


def test_the_counter_moves_in_steps_and_trails(gpu):
    """Between two updates the counter stands still, and then shows what was true a lag before."""
    clock = Clock(1000.0)
    meter = SimulatedMeter(gpu.path, clock=clock.read)
    meter.open()
    assert read_at(meter, clock, 1000.05).joules == 0.0
    first = read_at(meter, clock, 1000.51)
    assert first.joules == pytest.approx(47.0, abs=MILLIJOULE)
    assert read_at(meter, clock, 1000.59).joules == first.joules
    assert read_at(meter, clock, 1000.61).joules == pytest.approx(57.0, abs=MILLIJOULE)


def test_the_power_is_the_mean_of_the_last_period(gpu):
    """A step that fills half of a period counts half."""
    clock = Clock(1000.0)
    meter = SimulatedMeter(gpu.path, clock=clock.read)
    meter.open()
    assert read_at(meter, clock, 1000.0).watts == 100.0
    gpu.reserve(1000.37, seconds=0.05, joules=25.0)
    assert read_at(meter, clock, 1000.51).watts == pytest.approx(300.0)


@given(
    steps=st.lists(
        st.tuples(st.floats(0.0, 0.3), st.floats(0.001, 0.05), st.floats(100.0, 700.0)),
        max_size=40,
    ),
    gaps=st.lists(st.floats(0.001, 0.2), min_size=1, max_size=40),
)
def test_the_counter_telescopes_to_the_integral(tmp_path_factory, steps, gaps):
    """Whatever the steps and whenever it is read, the counter's increments sum to the true energy, less its lag, to 1 mJ."""
    clock = Clock(50.0)
    with SimulatedGpu.create(tmp_path_factory.mktemp("gpu") / "gpu", idle_watts=100.0, at=50.0) as gpu:
        meter = SimulatedMeter(gpu.path, clock=clock.read)
        meter.open()
        end, expected = 50.0, 0.0
        for pause, seconds, watts in steps:
            start = gpu.reserve(end + pause, seconds=seconds, joules=watts * seconds)
            assert start == end + pause
            end = start + seconds
            expected += (watts - 100.0) * seconds
        readings = [read_at(meter, clock, now).joules for now in itertools.accumulate(gaps, initial=end)]
        assert all(earlier <= later for earlier, later in itertools.pairwise(readings))
        last = read_at(meter, clock, end + 10.001).joules
        increments = [later - earlier for earlier, later in itertools.pairwise([0.0, *readings, last])]
        update = math.floor((clock.now - 50.0) / 0.1) * 0.1
        assert math.fsum(increments) == pytest.approx(100.0 * (update - 0.03) + expected, abs=2 * MILLIJOULE)
        assert gpu.true_joules(end + 10.0) == pytest.approx(100.0 * (end - 50.0 + 10.0) + expected)


def test_no_file_gives_a_reason(tmp_path):
    """A meter on a path without a GPU cannot be opened, and says why."""
    with pytest.raises(MeterError, match=r"no simulated GPU at .*nowhere: No such file"):
        SimulatedMeter(tmp_path / "nowhere").open()


def test_a_lost_gpu_is_a_gap_and_comes_back(gpu, tmp_path):
    """While the file is away each sample has a problem and no figures; when it is back, so are they."""
    clock = Clock(1001.0)
    meter = SimulatedMeter(gpu.path, clock=clock.read)
    meter.open()
    gpu.path.rename(tmp_path / "away")
    lost = read_at(meter, clock, 1001.0)
    assert lost.device_id == gpu.device_id
    assert lost.joules is None
    assert lost.watts is None
    assert "no simulated GPU" in lost.problem
    (tmp_path / "away").rename(gpu.path)
    assert read_at(meter, clock, 1001.1).problem is None


def test_another_gpu_in_its_place_is_a_problem(gpu):
    """A counter that began anew under another id is not taken for the old one."""
    clock = Clock(1001.0)
    meter = SimulatedMeter(gpu.path, clock=clock.read)
    meter.open()
    SimulatedGpu.create(gpu.path, at=1000.0).close()
    assert "another simulated GPU" in read_at(meter, clock, 1001.0).problem


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "has 0 bytes"),
        (b"x" * (SIZE + 1), f"has {SIZE + 1} bytes"),
        (b"x" * SIZE, "not a simulated GPU's"),
        (b"JEVONSG1" + b"\xff" * (SIZE - 8), "damaged"),
    ],
)
def test_a_file_that_is_no_gpu_gives_a_reason(gpu, data, reason):
    """Truncated, foreign or damaged: the sample says which, and open refuses."""
    clock = Clock(1001.0)
    meter = SimulatedMeter(gpu.path, clock=clock.read)
    meter.open()
    gpu.path.write_bytes(data)
    assert reason in read_at(meter, clock, 1001.0).problem
    with pytest.raises(MeterError, match=reason):
        SimulatedMeter(gpu.path).open()


def test_a_directory_is_no_gpu(tmp_path):
    """What can be opened but not read has a reason too."""
    with pytest.raises(MeterError, match="cannot be read"):
        SimulatedMeter(tmp_path).open()


def test_a_time_long_past_is_refused(gpu):
    """Once the ring has gone round, an older time is an error and not a wrong figure."""
    for number in range(STEPS + 1):
        gpu.reserve(1001.0 + number, seconds=0.5, joules=250.0)
    state = read_state(gpu.path)
    assert state.joules_at(1002.0) == pytest.approx(100.0 * 2.0 + 200.0)
    with pytest.raises(MeterError, match="no longer remembers"):
        state.joules_at(1001.9)


def test_a_closed_meter_reads_nothing(gpu):
    """Before open and after close there is no device to have a sample of."""
    meter = SimulatedMeter(gpu.path)
    assert meter.read() == []
    meter.open()
    meter.close()
    assert meter.read() == []


def test_reading_holds_nothing_open(gpu):
    """A thousand readings leave as many open files as one: each lets go of the file and of its lock."""
    meter = SimulatedMeter(gpu.path)
    meter.open()
    before = len(list(OPEN_FILES.iterdir()))
    for _ in range(1000):
        meter.read()
    assert len(list(OPEN_FILES.iterdir())) == before
    gpu.reserve(1001.0, seconds=1.0, joules=100.0)


def test_the_state_before_creation_is_empty(gpu):
    """Nothing was drawn before the GPU was there."""
    state = GpuState.parse(gpu.path.read_bytes())
    assert state.joules_at(999.0) == 0.0
    assert state.watts_at(999.0) == 0.0
