"""What a proxy holds: two figures, and the run that gives them."""

import pytest
from bench_world import two_cores

from jevons.proxy.bench.memory import Memory, measure_memory, render

pytest_plugins = ["bench_fixture"]


def test_growth_is_that_of_the_second_half():
    """What fills up at first, and is bounded, is no growth."""
    memory = Memory(((0, 50), (100, 90), (200, 91), (300, 92)), 10, 1000, 21_000)
    assert memory.bytes_per_request == pytest.approx(0.01)
    assert memory.bytes_per_stream == 2000
    assert Memory(((0, 50),), 1, 1, 1).bytes_per_request == 0.0


def test_a_run(programs):
    """It serves what was asked for, and holds the streams open; the report says so."""
    said = []
    memory = measure_memory(programs, two_cores(), said.append, requests=1, streams=20)
    assert memory.checkpoints[0][0] == 0
    assert memory.checkpoints[-1][0] > 0
    assert memory.open > memory.before > 10_000_000
    assert "20 silent streams" in said[0]
    assert "20 silent streams" in render(memory)
    assert memory.as_json()["bytes_per_stream"] == memory.bytes_per_stream
