"""What a proxy holds: two figures, and the run that gives them."""

from datetime import UTC, datetime

import pytest
from bench_world import two_cores

from jevons.proxy.bench.machine import Machine
from jevons.proxy.bench.memory import Checkpoint, Memory, measure_memory

pytest_plugins = ["bench_fixture"]
MACHINE = Machine("Some CPU", 4, "Linux 6.1", "Debian 12", "3.11.7")


def memory_of(*sizes):
    """A look every hundred requests, a second each."""
    checkpoints = tuple(Checkpoint(100 * place, float(place), size) for place, size in enumerate(sizes))
    return Memory(datetime(2026, 1, 2, tzinfo=UTC), MACHINE, checkpoints, 80, 15, 5, 0, 10, 1000, 21_000)


def test_growth_is_that_of_the_second_half():
    """What fills up at first, and is bounded, is no growth; of one look there is none."""
    memory = memory_of(50, 60, 90, 91, 92, 93, 94)
    assert memory.bytes_per_request.slope == pytest.approx(0.01)
    assert memory.bytes_per_hour.slope == pytest.approx(3600)
    assert memory.bytes_per_stream == 2000
    assert memory_of(50).bytes_per_request is None
    assert memory_of(50).as_json()["bytes_per_hour"] is None


def test_a_run(programs):
    """It serves what was asked for, of each sort, and holds the streams open."""
    said = []
    memory = measure_memory(programs, two_cores(), said.append, requests=1, streams=20)
    assert memory.checkpoints[0].requests == 0
    assert memory.checkpoints[-1].requests == memory.whole + memory.streamed + memory.left
    assert min(memory.whole, memory.streamed, memory.left) > 0
    assert memory.bad == 0
    assert memory.open > memory.before > 10_000_000
    assert "20 silent streams" in said[0]
    assert memory.as_json()["bytes_per_stream"] == memory.bytes_per_stream
