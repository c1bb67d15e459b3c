"""Tests of the measurement of metering's own cost; none of them is about how fast it is."""

import pytest

from jevons.proxy.bench.attribution.cost import STREAMS, Bench, Cost, Memory, describe, measure_cost, measure_memory


def test_memory_does_not_grow():
    """After ten minutes of requests hardly more is held than after two; a day is the same for longer."""
    memory = measure_memory(600.0, early_seconds=120.0)
    assert memory.requests > 200
    assert memory.late_blocks <= 1.3 * memory.early_blocks
    assert memory.early_blocks > 0


def test_what_is_measured_is_metering_at_work():
    """Streams that are charged for what the device draws."""
    bench = Bench(4)
    for _ in range(200):
        bench.now += 0.05
        bench.emit()
        bench.read()
    [ledger] = bench.attribution.devices.values()
    assert ledger.accounts["attributed"] == pytest.approx(400.0 * 10.0, rel=0.1)
    bench.replace()
    assert len(bench.works) == 4


def test_costs_are_positive():
    """Each figure is of something that was done."""
    cost = measure_cost(0.5)
    assert min(cost.token, cost.lone, cost.settle) > 0.0


def test_it_is_said_beside_its_aim():
    """Four lines for people."""
    text = describe(Cost(0.25, 2.0, 37.0), Memory(7200.0, 1000, 2000, 2001))
    assert f"one of {STREAMS} streams" in text
    assert "0.25 µs" in text
    assert "2 simulated hours, 1,000 requests: 2,000 blocks early on, 2,001 at the end" in text
