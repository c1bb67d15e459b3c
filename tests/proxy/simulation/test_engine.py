"""The engine in real time: its tokens come, its energy is on the GPU, and who leaves is cancelled."""

import asyncio
import math
from itertools import pairwise

import pytest

from jevons.proxy.metering.simulated import read_state
from jevons.proxy.simulation.engine import Engine
from jevons.proxy.simulation.gpu import SimulatedGpu
from jevons.proxy.simulation.physics import LLAMA_3_1_8B
from jevons.proxy.simulation.scheduler import Work

FAST = LLAMA_3_1_8B.faster(20)


@pytest.fixture
def gpu(tmp_path):
    with SimulatedGpu.create(tmp_path / "gpu") as gpu:
        yield gpu


async def take_all(ticket):
    with ticket:
        return [index async for index in ticket]


async def test_tokens_come_for_every_sequence(gpu):
    """A request of two sequences gets the tokens of both, then ends; nothing was cancelled."""
    async with Engine(FAST, gpu) as engine:
        tokens = await take_all(engine.submit("a", [Work(10, 5), Work(10, 3)]))
    assert sorted(tokens) == [0] * 5 + [1] * 3
    assert list(engine.cancelled) == []


async def test_the_gpu_draws_what_the_requests_are_charged(gpu):
    """What the device draws while a step runs is the sum of the truths, with two engines sharing the card."""
    other_gpu = SimulatedGpu(gpu.path)
    async with Engine(FAST, gpu) as first, Engine(FAST, other_gpu) as second:
        tickets = [engine.submit(f"{number}", [Work(40, 20 + number)]) for number in range(6) for engine in (first, second)]
        await asyncio.gather(*map(take_all, tickets))
    other_gpu.close()
    truths = [*first.scheduler.truth.values(), *second.scheduler.truth.values()]
    assert math.fsum(truths) == pytest.approx(first.scheduler.joules + second.scheduler.joules)
    state = read_state(gpu.path)
    segments = [state.step(number) for number in range(state.step_count)]
    drawn = math.fsum((segment.watts + gpu.idle_watts) * (segment.end - segment.start) for segment in segments)
    assert drawn == pytest.approx(math.fsum(truths))
    assert all(earlier.end <= later.start for earlier, later in pairwise(segments))


async def test_prompt_work_ends_without_a_token(gpu):
    """An embedding's ticket ends when its prompt is read."""
    async with Engine(FAST, gpu) as engine:
        assert await take_all(engine.submit("a", [Work(10, 0), Work(20, 0)])) == []
    assert engine.scheduler.truth["a"] > 0


async def test_leaving_cancels_at_once(gpu):
    """Who leaves after some tokens is out of the batch before the next step, and on the list."""
    async with Engine(FAST, gpu) as engine:
        with engine.submit("a", [Work(10, 100_000)]) as ticket:
            for _ in range(3):
                await anext(ticket)
        assert list(engine.cancelled) == ["a"]
        assert engine.scheduler.running == 0
        assert engine.scheduler.truth["a"] > 0


async def test_held_requests_wait_for_ever_and_can_be_left(gpu):
    """A held request gets nothing while others run, costs nothing, and is cancelled like any other."""
    async with Engine(FAST, gpu) as engine:
        held = engine.submit("held", [Work(10, 5)], is_held=True)
        await take_all(engine.submit("other", [Work(10, 50)]))
        assert engine.scheduler.waiting == 1
        with held:
            pass
    assert list(engine.cancelled) == ["held"]
    assert engine.scheduler.waiting == 0
    assert engine.scheduler.truth["held"] == 0.0


async def test_an_engine_that_sleeps_too_long_says_so(gpu):
    """Lateness beyond what can be caught up is a stall: the GPU idles through it instead of running into the past."""
    now = [gpu.true_joules()]  # any number will do for a clock that only ever jumps

    def jumping():
        now[0] += 1.0
        return now[0]

    async with Engine(FAST, gpu, clock=jumping) as engine:
        await take_all(engine.submit("a", [Work(10, 5)]))
    assert engine.stalled_seconds > 1.0


async def test_an_engine_that_breaks_is_loud(gpu):
    """Where the GPU is gone under it, whoever waits gets the error, and so does whoever ran the engine."""
    broken = SimulatedGpu(gpu.path)
    engine = Engine(FAST, broken)
    await engine.__aenter__()
    broken.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        await take_all(engine.submit("a", [Work(10, 5)]))
    with pytest.raises(OSError, match="Bad file descriptor"):
        await engine.__aexit__(None, None, None)


async def test_an_engine_that_was_never_entered_can_be_left(gpu):
    """Leaving without entering is harmless."""
    await Engine(FAST, gpu).__aexit__(None, None, None)
