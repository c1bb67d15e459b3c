"""The scheduler: continuous batching in steps whose energy is shared out to the last joule."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.exchange import Coefficients
from jevons.proxy.simulation.physics import LLAMA_3_1_8B, Physics
from jevons.proxy.simulation.scheduler import Scheduler, Work

LIMIT_WATTS = 700.0
IDLE_WATTS = 75.0
ROUND = Physics(
    energy=Coefficients(8.0, 1.0, 0.01, 0.1),
    seconds_per_step=0.02,
    seconds_per_sequence=0.001,
    seconds_per_context_token=0.0,
    seconds_per_prompt_token=0.0,
)

works = st.builds(
    lambda prompt, output, cached: Work(prompt, output, int(cached * (prompt - 1))),
    st.integers(1, 3000),
    st.integers(0, 30),
    st.floats(0, 1),
)


def scheduler_of(physics=ROUND, **options):
    return Scheduler(physics, IDLE_WATTS, LIMIT_WATTS, **options)


def run(scheduler):
    """All the steps there are."""
    return list(iter(scheduler.step, None))


@given(
    arrivals=st.lists(st.tuples(st.integers(0, 20), works, st.integers(0, 3)), min_size=1, max_size=25),
    cancels=st.lists(st.tuples(st.integers(0, 40), st.integers(0, 24)), max_size=10),
    max_batch=st.integers(1, 16),
)
def test_the_truth_sums_to_the_steps(arrivals, cancels, max_batch):
    """Whoever arrives or leaves when, the requests' joules sum to the steps', all shares are positive, and power has limits."""
    scheduler = scheduler_of(LLAMA_3_1_8B, max_batch=max_batch)
    steps, number = [], 0
    while number <= 40 or scheduler.running or scheduler.waiting:
        for at, work, request in arrivals:
            if at == number:
                scheduler.submit(f"request-{request}", work)
        for at, sequence in cancels:
            if at == number:
                scheduler.cancel(sequence)
        step = scheduler.step()
        number += 1
        if step is None:
            continue
        steps.append(step)
        assert scheduler.running <= max_batch
        assert math.fsum(step.shares.values()) == pytest.approx(step.joules)
        assert all(share > 0 for share in step.shares.values())
        assert IDLE_WATTS * (1 - 1e-9) <= step.joules / step.seconds <= LIMIT_WATTS * (1 + 1e-9)
    assert math.fsum(scheduler.truth.values()) == pytest.approx(math.fsum(step.joules for step in steps))
    assert scheduler.joules == pytest.approx(math.fsum(step.joules for step in steps))


@given(st.lists(works, min_size=1, max_size=20), st.integers(1, 8))
def test_every_sequence_gets_its_tokens(all_work, max_batch):
    """Each sequence emits exactly what it asked for and finishes once, in a queue longer than the batch too."""
    scheduler = scheduler_of(max_batch=max_batch)
    ids = [scheduler.submit("r", work) for work in all_work]
    steps = run(scheduler)
    emitted = [sequence for step in steps for sequence in step.emitted]
    assert {sequence: emitted.count(sequence) for sequence in ids} == dict(
        zip(ids, (work.output_tokens for work in all_work), strict=True)
    )
    assert sorted(sequence for step in steps for sequence in step.finished) == ids
    assert scheduler.output_tokens == sum(work.output_tokens for work in all_work)
    assert scheduler.prompt_tokens == sum(work.prompt_tokens - work.cached_tokens for work in all_work)


def test_one_sequence_alone_pays_for_all():
    """A prefill step gives the first token; each decode step costs the fixed part, the token and its context."""
    scheduler = scheduler_of()
    scheduler.submit("a", Work(100, 3))
    prefill, second, third = run(scheduler)
    assert prefill.joules == pytest.approx(8.0 + 0.1 * 100)
    assert second.joules == pytest.approx(8.0 + 1.0 + 0.01 * 101)
    assert third.joules == pytest.approx(8.0 + 1.0 + 0.01 * 102)
    assert scheduler.truth == {"a": pytest.approx(18.0 + 10.01 + 10.02)}


def test_the_fixed_part_is_shared_and_the_rest_is_not():
    """In one batch a long context costs its owner more, and the fixed part is the same for both."""
    scheduler = scheduler_of()
    short, long = scheduler.submit("short", Work(10, 5)), scheduler.submit("long", Work(1000, 5))
    first, second, *_ = run(scheduler)
    assert first.shares == {short: pytest.approx(4.0 + 1.0), long: pytest.approx(4.0 + 100.0)}
    assert second.shares[long] - second.shares[short] == pytest.approx(0.01 * 990)


def test_ten_times_the_answer_costs_ten_times_the_decode():
    """In the same company, an answer ten times as long costs ten times the decode joules, but for its context."""
    scheduler = scheduler_of(LLAMA_3_1_8B)
    for number in range(14):
        scheduler.submit(f"other-{number}", Work(50, 1001))
    scheduler.submit("short", Work(50, 101))
    scheduler.submit("long", Work(50, 1001))
    prefill = scheduler.step()
    first = prefill.joules / 16
    run(scheduler)
    ratio = (scheduler.truth["long"] - first) / (scheduler.truth["short"] - first)
    assert 10 < ratio < 12


def test_power_never_exceeds_the_limit():
    """A step that would draw more takes longer instead."""
    scheduler = scheduler_of()
    scheduler.submit("a", Work(2000, 1))
    [step] = run(scheduler)
    assert step.joules == pytest.approx(208.0)
    assert step.seconds == pytest.approx(208.0 / 700.0)


def test_a_step_costs_at_least_its_idle_power():
    """Where the model asks for less than the card draws anyway, the step has what the card draws."""
    tiny = Physics(Coefficients(0.0, 0.0, 0.0, 0.0), 0.02, 0.0, 0.0, 0.0)
    scheduler = scheduler_of(tiny)
    scheduler.submit("a", Work(10, 1))
    [step] = run(scheduler)
    assert step.joules == pytest.approx(75.0 * 0.02)
    assert scheduler.truth["a"] == pytest.approx(step.joules)


def test_cached_prompt_tokens_cost_nothing():
    """Only what is not cached is read."""
    scheduler = scheduler_of()
    scheduler.submit("a", Work(100, 1, cached_tokens=96))
    [step] = run(scheduler)
    assert step.joules == pytest.approx(8.0 + 0.4)


def test_long_prompts_are_read_in_chunks_beside_decoding():
    """A prompt beyond the step's budget takes several steps, and those who decode go on meanwhile."""
    scheduler = scheduler_of(max_batch=4, max_step_tokens=100)
    decoding = scheduler.submit("decoding", Work(10, 10))
    scheduler.step()
    reading = scheduler.submit("reading", Work(250, 1))
    steps = [scheduler.step() for _ in range(3)]
    assert [step.emitted for step in steps] == [(decoding,), (decoding,), (decoding, reading)]
    assert [round(step.shares[reading] - 4.0, 6) for step in steps] == [9.9, 9.9, 5.2]


def test_prompt_work_alone_emits_nothing():
    """An embedding is done when its prompt is read."""
    scheduler = scheduler_of()
    sequence = scheduler.submit("embedding", Work(100, 0))
    [step] = run(scheduler)
    assert step.emitted == ()
    assert step.finished == (sequence,)
    assert scheduler.truth["embedding"] == pytest.approx(18.0)


def test_cancel_works_wherever_the_sequence_is():
    """Running, waiting or held, a cancelled sequence is gone; one that is not there is reported so."""
    scheduler = scheduler_of(max_batch=1)
    running, waiting = scheduler.submit("running", Work(1, 10)), scheduler.submit("waiting", Work(1, 10))
    held = scheduler.submit("held", Work(1, 10), is_held=True)
    scheduler.step()
    assert (scheduler.running, scheduler.waiting) == (1, 2)
    assert [scheduler.cancel(sequence) for sequence in (running, waiting, held)] == [True, True, True]
    assert scheduler.step() is None
    assert not scheduler.cancel(running)
    assert not scheduler.cancel(99)
    assert scheduler.truth["running"] > 0
    assert scheduler.truth["waiting"] == 0.0


def test_the_truth_is_bounded():
    """The oldest requests are forgotten, and what they still draw is in the steps alone."""
    scheduler = scheduler_of(max_truths=2)
    for name in "abc":
        scheduler.submit(name, Work(1, 2))
    run(scheduler)
    assert list(scheduler.truth) == ["b", "c"]
    assert sum(scheduler.truth.values()) == pytest.approx(scheduler.joules * 2 / 3)


@pytest.mark.parametrize("numbers", [(0, 1, 0), (1, -1, 0), (5, 1, 5), (5, 1, -1)])
def test_impossible_work_is_refused(numbers):
    """No prompt, negative output, or nothing left to read."""
    with pytest.raises(ValueError, match="impossible work"):
        Work(*numbers)


def test_a_batch_beyond_the_budget_is_refused():
    """A step must be able to decode the whole batch."""
    with pytest.raises(ValueError, match="whole batch"):
        scheduler_of(max_batch=11, max_step_tokens=10)


def test_a_step_says_who_did_what():
    """Its parts are the prompt tokens that each sequence read, none where it decoded, behind what was in the cache by then."""
    scheduler = scheduler_of(max_batch=2, max_step_tokens=8)
    first = scheduler.submit("a", Work(12, 3, 2))
    second = scheduler.submit("b", Work(3, 1))
    steps = [step.parts for step in run(scheduler)]
    assert steps == [((first, 8, 2),), ((first, 2, 10), (second, 3, 0)), ((first, 0, 13),), ((first, 0, 14),)]
