"""The simulated GPU: one step at a time, whoever asks, and the energy of all of them."""

import multiprocessing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.errors import MeterError
from jevons.proxy.simulation.gpu import SimulatedGpu


@pytest.fixture
def gpu(tmp_path):
    """A GPU that idles at 100 W from time 0 on."""
    with SimulatedGpu.create(tmp_path / "gpu", idle_watts=100.0, at=0.0) as gpu:
        yield gpu


def test_idle_power_is_drawn_from_the_start(gpu):
    """A GPU without work draws its idle power."""
    assert gpu.true_joules(0.0) == 0.0
    assert gpu.true_joules(2.5) == 250.0
    assert gpu.true_watts(2.5) == 100.0


def test_a_step_includes_the_idle_power_of_its_time(gpu):
    """A step of 5 J adds to the idle energy only what is above it."""
    assert gpu.reserve(1.0, seconds=0.01, joules=5.0) == 1.0
    assert gpu.true_watts(1.005) == pytest.approx(500.0)
    assert gpu.true_watts(1.01) == 100.0
    assert gpu.true_joules(1.01) == pytest.approx(105.0)
    assert gpu.true_joules(2.0) == pytest.approx(204.0)


def test_steps_take_turns(tmp_path, gpu):
    """A second engine's step begins where the first one's ends, so the power stays that of one."""
    gpu.reserve(1.0, seconds=0.01, joules=7.0)
    with SimulatedGpu(gpu.path) as other:
        start = other.reserve(1.004, seconds=0.01, joules=7.0)
    assert start == pytest.approx(1.01)
    assert gpu.true_watts(1.012) == pytest.approx(700.0)
    assert gpu.true_joules(1.02) == pytest.approx(100.0 + 14.0)


@given(st.lists(st.tuples(st.floats(0.0, 0.1), st.floats(1e-4, 0.1), st.floats(100.0, 700.0)), min_size=1, max_size=60))
def test_the_energy_of_the_steps_and_the_idle_time_make_the_whole(tmp_path_factory, steps):
    """However steps are asked for, the device's energy is theirs plus the idle power between them."""
    path = tmp_path_factory.mktemp("gpu") / "gpu"
    with SimulatedGpu.create(path, idle_watts=100.0, at=0.0) as gpu:
        asked, busy_seconds, step_joules = 0.0, 0.0, 0.0
        for pause, seconds, watts in steps:
            asked += pause
            end = gpu.reserve(asked, seconds=seconds, joules=watts * seconds) + seconds
            busy_seconds += seconds
            step_joules += watts * seconds
        assert gpu.true_joules(end) == pytest.approx(step_joules + 100.0 * (end - busy_seconds))


def test_added_watts_last_until_changed(gpu):
    """Load from elsewhere comes on top of everything, from its time on."""
    gpu.add_watts(50.0, at=1.0)
    gpu.reserve(1.5, seconds=0.1, joules=20.0)
    gpu.add_watts(-50.0, at=2.0)
    assert gpu.true_watts(1.55) == pytest.approx(250.0)
    assert gpu.true_joules(3.0) == pytest.approx(300.0 + 50.0 + 10.0)
    with pytest.raises(ValueError, match="already set"):
        gpu.add_watts(1.0, at=1.9)


def test_added_watts_count_from_now(tmp_path):
    """Without a time, power changes now, on the clock that all processes share."""
    with SimulatedGpu.create(tmp_path / "gpu", idle_watts=100.0) as gpu:
        gpu.add_watts(25.0)
        assert gpu.true_watts() == 125.0
        assert gpu.true_joules() > 0.0


def test_a_file_that_is_no_gpu_is_refused(tmp_path):
    """Missing or foreign files give a reason and leave nothing open."""
    with pytest.raises(MeterError, match="No such file"):
        SimulatedGpu(tmp_path / "nowhere")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(MeterError, match="has 5 bytes"):
        SimulatedGpu(tmp_path / "text")


def test_creating_replaces_the_file_as_a_whole(gpu):
    """A new GPU on the same path has a new id, and no half-written file is left beside it."""
    with SimulatedGpu.create(gpu.path, at=0.0) as new:
        assert new.device_id != gpu.device_id
        assert new.true_joules(1.0) == 75.0
    assert [path.name for path in gpu.path.parent.iterdir()] == ["gpu"]


def draw(path, count):
    """Reserve steps, some of them for times long taken; runs in a process of its own."""
    with SimulatedGpu(path) as gpu:
        for number in range(count):
            gpu.reserve(number * 37 % 100 / 100, seconds=0.001, joules=0.5)


def test_processes_share_the_gpu(gpu):
    """Steps from several processes at once neither overlap nor get lost."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=draw, args=(gpu.path, 300)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert gpu.true_joules(100.0) == pytest.approx(10_000.0 + 900 * 0.4)
    assert gpu.reserve(0.0, seconds=1.0, joules=100.0) >= 0.9 - 1e-9
