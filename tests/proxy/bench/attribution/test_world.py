"""Tests of the simulated world: its energy adds up, and the proxy sees of it only what a proxy would."""

import itertools
import math
from dataclasses import astuple
from statistics import NormalDist

import pytest
from attribution_world import plan, trace

from jevons.proxy.bench.attribution.trace import Kind
from jevons.proxy.bench.attribution.world import UNLIKE, EnginePlan, World
from jevons.proxy.simulation.gpu import IDLE_WATTS
from jevons.proxy.simulation.physics import LLAMA_3_1_8B


@pytest.fixture(scope="module")
def mixed():
    return trace("mixed")


def test_the_truth_adds_up(mixed):
    """What all requests have cost, and the idle power in between, is what the device drew."""
    charged = math.fsum(served.truth for served in mixed.requests.values())
    [drawn] = mixed.true_joules.values()
    idle = drawn - charged
    assert 0.0 < idle < IDLE_WATTS * (mixed.end - mixed.begin)


def test_events_are_in_order(mixed):
    """A proxy learns of things one after the other, and of each request in its order."""
    times = [event.at for event in mixed.events]
    assert times == sorted(times)
    name = next(iter(mixed.requests))
    kinds = [event.kind for event in mixed.events if event.name == name]
    assert (kinds[0], kinds[-1]) == (Kind.BEGIN, Kind.END)
    assert set(kinds[1:-1]) == {Kind.CHUNKS}


def test_every_token_arrives(mixed):
    """As many as were asked for, a chunk each."""
    chunks = dict.fromkeys(mixed.requests, 0)
    for event in mixed.events:
        if event.kind is Kind.CHUNKS:
            chunks[event.name] += event.chunks
    assert chunks == {name: served.job.output_tokens for name, served in mixed.requests.items()}


def test_merged_chunks_are_fewer():
    """Five tokens in each, and what is left in the last."""
    found = trace("merged", seconds=6.0)
    served = next(iter(found.requests.values()))
    count = sum(event.chunks for event in found.events if event.kind is Kind.CHUNKS and event.name == served.name)
    assert count == math.ceil(served.job.output_tokens / 5)


def test_who_is_buffered_shows_nothing():
    """No chunk before the end."""
    assert not any(event.kind is Kind.CHUNKS for event in trace("unstreamed", seconds=6.0).events)


def test_who_leaves_is_done_early():
    """The engine stops, and the rest is never made."""
    found = trace("leaving", seconds=10.0)
    left = [served for served in found.requests.values() if served.left_early]
    assert left
    assert all(served.tokens == served.job.leaves_after for served in left)


def test_others_are_seen_by_the_engine_alone():
    """No event of theirs reaches the proxy; the engine's own counters have them."""
    found = trace("bypass", seconds=8.0)
    others = {name for name, served in found.requests.items() if served.is_bypass}
    assert others
    assert not others & {event.name for event in found.events}
    last = [event.served for event in found.events if event.kind is Kind.SCRAPE][-1]
    assert last.output == sum(served.tokens for served in found.requests.values())


def test_engines_on_one_device_take_turns():
    """Two engines at once draw no more than one card can."""
    found = trace("shared", seconds=10.0)
    assert {served.engine for served in found.requests.values()} == {"engine-0", "engine-1"}
    assert sum(found.true_joules.values()) < 700.0 * (found.end - found.begin)


def test_tensor_parallel_draws_on_every_device():
    """The same energy on each of four."""
    joules = list(trace("tensor-parallel", seconds=6.0).true_joules.values())
    assert len(joules) == 4
    assert max(joules) == pytest.approx(min(joules))


def test_the_same_seed_is_the_same_world():
    """And another seed another one, with another engine."""
    worlds = [World(plan("mixed", seconds=3.0), seed).run() for seed in (5, 5, 6)]
    assert worlds[0].requests == worlds[1].requests
    first, _, third = (world.engines[0].coefficients for world in worlds)
    assert first != third


def test_an_engine_that_is_like_the_table_is_as_the_table_says():
    """Only engines that are unlike it are drawn."""
    [engine] = trace("mixed", seconds=2.0, engines=(EnginePlan(unlike=(0.0, 0.0, 0.0, 0.0)),)).engines
    assert astuple(engine.coefficients) == pytest.approx(astuple(LLAMA_3_1_8B.energy))


@pytest.mark.parametrize("first", [11, 41, 101])
def test_the_engines_of_ten_seeds_are_spread_out(first):
    """Of each term one is in every tenth of its distribution, and no two engines of a world are drawn alike."""
    worlds = [World(plan("shared", seconds=0.1), seed).trace.engines for seed in range(first, first + 10)]
    for number, term in itertools.product(range(2), range(4)):
        own = [astuple(world[number].coefficients)[term] / astuple(LLAMA_3_1_8B.energy)[term] for world in worlds]
        tenths = {int(10 * NormalDist().cdf(math.log(factor) / UNLIKE)) for factor in own}
        assert len(tenths) == 10
    assert all(one.coefficients != other.coefficients for one, other in worlds)


def test_a_calibrated_engine_is_known_before_any_traffic():
    """What was found is near the truth; where nobody has calibrated, nothing was found."""
    first, second = World(plan("shared-calibrated", seconds=0.1), 5).trace.engines
    for engine in (first, second):
        assert engine.calibrated is not None
        found = engine.calibrated.coefficients.fixed_joules_per_step
        assert found == pytest.approx(engine.coefficients.fixed_joules_per_step, rel=0.02)
    assert first.calibrated != second.calibrated
    assert World(plan("shared", seconds=0.1), 5).trace.engines[0].calibrated is None
