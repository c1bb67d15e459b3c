"""What is known of a model server: the batch, and the rates that its traffic has shown."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.exchange import Coefficients
from jevons.proxy.metering.engine import Engine, Learned

COEFFICIENTS = Coefficients(3.16, 0.056, 3.4e-5, 0.0226)


def make_engine(**options):
    return Engine("model", COEFFICIENTS, ("gpu",), bin_seconds=0.25, **options)


def test_something_learned_begins_as_it_is_told():
    """Until something has been seen it is the starting value; the first thing seen replaces it."""
    learned = Learned(30.0)
    assert (learned.value, learned.is_known) == (30.0, False)
    learned.see(110.0)
    assert (learned.value, learned.is_known) == (pytest.approx(110.0), True)


def test_what_somebody_else_has_learned_counts_until_something_is_seen():
    """The start may be told anew; what has been seen is not touched by it."""
    learned = Learned(30.0)
    learned.start = 40.0
    assert (learned.start, learned.value, learned.is_known) == (40.0, 40.0, False)
    learned.see(110.0)
    learned.start = 50.0
    assert learned.value == pytest.approx(110.0)


@given(st.lists(st.tuples(st.floats(0.1, 10.0), st.floats(0.1, 100.0)), min_size=1, max_size=50))
def test_something_learned_is_within_what_was_seen(seen):
    """A ratio that forgets never leaves the range of its observations."""
    learned = Learned(1.0)
    for ratio, weight in seen:
        learned.see(ratio * weight, weight)
    ratios = [ratio for ratio, _ in seen]
    assert min(ratios) * (1 - 1e-9) <= learned.value <= max(ratios) * (1 + 1e-9)


def test_something_learned_forgets():
    """After two hundred observations hardly anything of the time before is left, and what weighs little moves it little."""
    learned = Learned(1.0)
    learned.see(1000.0, 1.0)
    for _ in range(200):
        learned.see(2.0)
    assert learned.value == pytest.approx(2.0, rel=0.4)
    learned.see(100.0 * 1e-6, 1e-6)
    assert learned.value == pytest.approx(2.0, rel=0.4)


def test_a_step_is_shared_by_the_sequences_in_the_batch():
    """1/N, and 1 where nobody decodes: whoever comes next is alone."""
    engine = make_engine()
    assert engine.step_share == 1.0
    engine.enter(4, 10.0)
    assert engine.step_share == 0.25
    engine.enter(1, 10.5)
    engine.leave(4, 11.0)
    assert (engine.decoding, engine.step_share) == (1, 1.0)
    assert engine.step_shares.mean(10.0, 10.5) == pytest.approx(0.25)
    assert engine.step_shares.mean(10.5, 11.0) == pytest.approx(0.2)


def test_work_takes_as_long_as_the_power_says():
    """Predicted joules become seconds by the price of recent work and the power it was done at."""
    engine = make_engine()
    assert engine.seconds_of(100.0) is None
    engine.busy_watts.see(400.0)
    assert engine.seconds_of(100.0) == pytest.approx(0.25)
    engine.price.see(60.0, 30.0)
    assert engine.seconds_of(100.0) == pytest.approx(0.5)


def test_the_power_to_begin_with_is_an_assumption():
    """Where the devices' limits are known there is something to reckon with before the first bin; the first bin replaces it."""
    engine = make_engine(starting_watts=350.0)
    assert engine.seconds_of(35.0) == pytest.approx(0.1)
    engine.busy_watts.see(700.0)
    assert engine.seconds_of(35.0) == pytest.approx(0.05)


def test_tokens_per_chunk_are_learned():
    """A server that merges tokens into chunks shows it at the end of a stream; long streams say more than short ones."""
    engine = make_engine()
    engine.saw_chunks(400, 100, 1)
    assert engine.tokens_per_chunk.value == pytest.approx(4.0)
    engine.saw_chunks(2, 2, 1)
    assert engine.tokens_per_chunk.value == pytest.approx(4.0, rel=0.05)


def test_merged_steps_are_not_one_step():
    """Who cuts every stream by four counts four steps a chunk, and what was learned of steps until then is given up."""
    engine = make_engine()
    engine.fit.regression.seconds = 100.0
    for tokens in (400, 398, 203, 350):
        engine.saw_chunks(tokens, -(-tokens // 4), 1)
    assert engine.steps_per_chunk == 4
    assert engine.fit.regression.seconds == 0.0
    assert engine.coefficients == COEFFICIENTS


def test_a_prompt_may_be_read_faster_than_expected():
    """Half the time shows at once; a queue, which makes it longer, is hardly taken for the pace of reading."""
    engine = make_engine()
    for _ in range(10):
        engine.saw_reading(0.5)
    assert engine.reading_pace == pytest.approx(0.5, rel=0.01)
    engine.saw_reading(7.0)
    assert engine.reading_pace == pytest.approx(0.5, rel=0.02)
    for _ in range(2000):
        engine.saw_reading(7.0)
    assert engine.reading_pace == pytest.approx(1.0, rel=0.01)


def test_the_estimate_of_a_prompt_is_put_right():
    """Our count against the server's; a prompt of nothing but an image does not spoil the next one's."""
    engine = make_engine()
    engine.saw_prompt(1200, None, 1000)
    assert engine.tokens_per_estimate.value == pytest.approx(1.2)
    engine.saw_prompt(1500, None, 0.0)
    engine.saw_prompt(1500, None, 2)
    assert engine.tokens_per_estimate.value < 3.0
    assert not engine.fresh_share.is_known


def test_the_cached_share_of_prompts_is_learned():
    """Only from servers that tell it, and never below nothing."""
    engine = make_engine()
    engine.saw_prompt(1000, 900, 1000)
    assert engine.fresh_share.value == pytest.approx(0.1)
    engine.saw_prompt(1000, 5000, 1000)
    assert 0 <= engine.fresh_share.value < 0.1
    engine.saw_prompt(0, 0, 1000)
    assert 0 <= engine.fresh_share.value < 0.1


def test_prompts_that_are_done_together_were_in_one_step():
    """Each is told when the step before the one that did it had ended."""
    engine = make_engine()
    assert engine.read_prompt(10.0) == 0.0
    assert engine.read_prompt(10.001) == 0.0
    assert engine.read_prompt(10.1) == pytest.approx(10.0)
    assert engine.read_prompt(10.1) == pytest.approx(10.0)


@pytest.mark.parametrize(("each", "is_guessing"), [((1, 2, 3, 4), True), ((3,), False), ((1,) * 19 + (2,), False)])
def test_speculation_is_told_from_other_servers(each, is_guessing):
    """Chunks of several tokens, now more and now less; not those of one size, nor a character held back now and then."""
    dice, engine = random.Random(3), make_engine()
    for _ in range(20):
        engine.saw_chunks(sum(dice.choice(each) for _ in range(100)), 100, 1)
    assert engine.is_guessing is is_guessing
