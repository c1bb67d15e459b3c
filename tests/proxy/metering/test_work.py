"""The work of a stream: tokens become quantities in the bins they came in, and end as the server counted them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.exchange import Coefficients, Usage
from jevons.proxy.metering.account import Account, Quantities
from jevons.proxy.metering.engine import Engine
from jevons.proxy.metering.work import StreamedWork

COEFFICIENTS = Coefficients(4.0, 0.05, 1e-4, 0.02)
START = 10.0
WIDTH = 0.25


@pytest.fixture
def engine():
    """A server that takes a second over 400 J, and has told nothing else yet."""
    return Engine("model", COEFFICIENTS, ("gpu",), bin_seconds=WIDTH, starting_watts=400.0)


def begin(engine, kind, *, prompt=100.0, sequences=1, at=START):
    return kind(Account(WIDTH, at, sequences), engine, prompt)


def end(work, at):
    work.end(at)
    work.account.ended = at


def stream(work, count, *, first=START + 0.1, rate=20.0):
    """So many tokens one by one; returns when the last came."""
    for number in range(count):
        work.chunks(first + number / rate, 1)
    return first + (count - 1) / rate


def all_work(work):
    total = Quantities()
    total.add(work.account.settled)
    total.add(work.account.open_work())
    return total


def test_a_stream_is_a_prompt_and_then_tokens(engine):
    """The first token comes of the prompt's step, so that ten tokens are ten steps and nine decoded."""
    work = begin(engine, StreamedWork)
    last = stream(work, 10)
    work.finish(last, Usage(prompt=100, cached=0, completion=10))
    end(work, last)
    done = all_work(work)
    assert done.prompt == pytest.approx(100)
    assert done.tokens == pytest.approx(9)
    assert done.steps == pytest.approx(10)
    assert done.context == pytest.approx(sum(100 + position for position in range(1, 10)), rel=0.01)
    assert work.account.flags == set()


def test_tokens_are_in_the_bins_they_came_in(engine):
    """Twenty tokens a second are five in each quarter of one."""
    work = begin(engine, StreamedWork, prompt=0.0)
    stream(work, 60, first=START)
    work.accrue(START + 5.0)
    tokens = [work.account.bins[index].tokens for index in range(41, 50)]
    assert tokens == pytest.approx([5.0] * 9, abs=1.01)


def test_a_token_that_comes_across_an_edge_was_decoded_on_both_sides(engine):
    """A slow token is divided by the time on either side of the edge."""
    work = begin(engine, StreamedWork, prompt=0.0)
    work.chunks(START, 1)
    work.chunks(START + 0.4, 1)
    assert work.account.bins[40].tokens == pytest.approx(0.25 / 0.4)
    assert work.account.bins[41].tokens == pytest.approx(0.15 / 0.4)


def test_the_prompt_is_read_in_the_tail_of_the_wait(engine):
    """The engine takes 5 ms over 2 J: the second before was the queue and costs nothing."""
    work = begin(engine, StreamedWork, prompt=100.0)
    work.chunks(START + 1.2, 1)
    assert {index: bin_.prompt for index, bin_ in work.account.bins.items()} == pytest.approx({44: 100.0})


def test_no_more_can_have_been_read_than_the_wait_allows(engine):
    """An answer that comes at once came from a cached prompt; where the server does not say so, the time does."""
    work = begin(engine, StreamedWork, prompt=10000.0)
    work.chunks(START + 0.05, 1)
    assert all_work(work).prompt == pytest.approx(1000.0)
    work.finish(START + 0.05, Usage(prompt=10000, completion=1))
    assert all_work(work).prompt == pytest.approx(1000.0)


def test_the_server_knows_better_what_it_had_cached(engine):
    """Where the cached tokens are counted, the count holds against the time."""
    work = begin(engine, StreamedWork, prompt=10000.0)
    work.chunks(START + 0.05, 1)
    work.finish(START + 0.05, Usage(prompt=10000, cached=6000, completion=1))
    assert all_work(work).prompt == pytest.approx(4000.0)
    assert engine.fresh_share.value == pytest.approx(0.4)


def test_more_cached_than_prompted_is_nothing_to_read(engine):
    """A server that counts more cached tokens than there are has read none, and no less than none."""
    work = begin(engine, StreamedWork)
    work.chunks(START + 0.1, 1)
    work.finish(START + 0.1, Usage(prompt=100, cached=130, completion=1))
    assert all_work(work).prompt == pytest.approx(0.0)


def test_a_stream_waits_for_its_first_token(engine):
    """Until then its bins are held, and it is in no batch."""
    work = begin(engine, StreamedWork)
    assert work.account in engine.waiting
    assert engine.decoding == 0
    work.chunks(START + 0.1, 1)
    assert work.account not in engine.waiting
    assert engine.decoding == 1
    end(work, START + 0.2)
    assert engine.decoding == 0


def test_a_stream_that_is_left_early_pays_for_what_can_have_been_read(engine):
    """Half of the time that the prompt takes is half of the prompt, and then nobody waits for it."""
    work = begin(engine, StreamedWork, prompt=10000.0)
    end(work, START + 0.25)
    assert all_work(work).prompt == pytest.approx(5000.0)
    assert not engine.waiting
    assert engine.decoding == 0


def test_a_stream_that_is_left_at_once_pays_nothing(engine):
    """A connection that was refused has read nothing."""
    work = begin(engine, StreamedWork)
    end(work, START)
    assert all_work(work).joules(COEFFICIENTS) == 0.0


def test_without_any_idea_of_the_speed_the_whole_wait_is_reading():
    """Before a power is known or assumed, the prompt is spread from the beginning."""
    engine = Engine("model", COEFFICIENTS, (), bin_seconds=WIDTH)
    work = begin(engine, StreamedWork)
    work.chunks(START + 0.5, 1)
    assert [work.account.bins[index].prompt for index in (40, 41)] == pytest.approx([50.0, 50.0])


def test_an_answer_without_a_token_is_a_prompt(engine):
    """A reply of no tokens, whose usage says so, has read its prompt and decoded nothing."""
    work = begin(engine, StreamedWork, prompt=500.0)
    work.finish(START + 1.0, Usage(prompt=100, cached=20, completion=0))
    end(work, START + 1.0)
    done = all_work(work)
    assert (done.prompt, done.tokens) == (pytest.approx(80.0), 0.0)
    assert engine.decoding == 0


def test_chunks_of_several_tokens_are_learned(engine):
    """A server that sends four tokens a chunk is put right at the end, and the next stream is counted so from its start."""
    first = begin(engine, StreamedWork)
    last = stream(first, 25)
    first.finish(last, Usage(prompt=100, cached=0, completion=100))
    end(first, last)
    assert all_work(first).tokens == pytest.approx(99)
    assert first.account.flags == {"chunk_tokens"}
    second = begin(engine, StreamedWork, at=20.0)
    last = stream(second, 25, first=20.1)
    second._flush()
    assert all_work(second).tokens == pytest.approx(96)
    second.finish(last, Usage(prompt=100, cached=0, completion=100))
    assert all_work(second).tokens == pytest.approx(99)
    assert second.account.flags == set()


def test_a_block_may_bring_many_chunks(engine):
    """Chunks that arrive together are counted one by one, the first block's too."""
    work = begin(engine, StreamedWork)
    work.chunks(START + 0.1, 5)
    work.chunks(START + 0.11, 5)
    work._flush()
    assert all_work(work).tokens == pytest.approx(9)
    assert all_work(work).steps == pytest.approx(10)


def test_a_correction_cannot_reach_what_has_settled(engine):
    """Tokens that were charged already stay so: what is open is made less, at most by all of it."""
    work = begin(engine, StreamedWork)
    last = stream(work, 20)
    for index in range(40, 44):
        work.account.take(index)
    engine.oldest_open = 44
    settled = work.account.settled.tokens
    work.finish(last, Usage(prompt=100, cached=0, completion=8))
    assert work.account.open_work().tokens == 0.0
    assert work.account.settled.tokens == settled


def test_what_was_guessed_wrong_was_computed_too(engine):
    """Under speculation a reply whose guesses were good costs no more per step than others: its steps count, not its tokens."""
    for tokens in range(200, 240):
        engine.saw_chunks(tokens, 100, 1)
    assert engine.is_guessing
    each = engine.tokens_per_chunk.value
    work = begin(engine, StreamedWork)
    last = stream(work, 20)
    work.finish(last, Usage(prompt=100, cached=0, completion=70))
    assert all_work(work).tokens == pytest.approx(19 * each)
    assert "chunk_tokens" in work.account.flags


def test_tokens_that_no_open_bin_has_go_into_the_last(engine):
    """Where everything has settled and the server counted more, the missing tokens are booked now."""
    work = begin(engine, StreamedWork)
    stream(work, 3)
    work._flush()
    for index in range(40, 44):
        work.account.take(index)
    engine.oldest_open = 44
    work.finish(START + 1.1, Usage(prompt=100, cached=0, completion=30))
    assert work.account.bins[44].tokens == pytest.approx(29 - 2)


def test_counts_from_the_chunks_teach_nothing(engine):
    """A stream without usage is counted from its chunks: that is flagged, and says nothing of tokens per chunk."""
    engine.saw_chunks(400, 100, 1)
    work = begin(engine, StreamedWork)
    last = stream(work, 10)
    work.finish(last, Usage(completion=10, is_estimated=True))
    end(work, last)
    assert engine.tokens_per_chunk.value == pytest.approx(4.0)
    assert all_work(work).tokens == pytest.approx(36)
    assert work.account.flags == {"tokens_estimated"}


def test_a_stream_that_came_whole_is_a_whole_reply(engine):
    """A server that does not stream although it was asked to has decoded all the same: prompt first, tokens after it."""
    work = begin(engine, StreamedWork)
    work.finish(START + 1.0, Usage(prompt=100, cached=0, completion=41))
    end(work, START + 1.0)
    done = all_work(work)
    assert (done.prompt, done.tokens, done.steps) == pytest.approx((100.0, 40.0, 41.0))
    assert work.account.bins[40].prompt == pytest.approx(100.0)
    assert work.account.bins[43].tokens == pytest.approx(10.0, rel=0.05)
    assert not engine.waiting


def test_several_sequences_share_the_prompt_and_not_the_tokens(engine):
    """Four answers side by side: one prompt, the first token of each from its step, everything else decoded."""
    work = begin(engine, StreamedWork, sequences=4)
    work.chunks(START + 0.1, 4)
    assert engine.decoding == 4
    for number in range(1, 10):
        work.chunks(START + 0.1 + number / 100, 4)
    work.finish(START + 0.2, Usage(prompt=100, cached=0, completion=40))
    end(work, START + 0.2)
    done = all_work(work)
    assert (done.prompt, done.tokens) == (pytest.approx(100.0), pytest.approx(36.0))
    assert done.steps == pytest.approx(10.0)


def test_neighbours_share_the_step(engine):
    """While another decodes each bears half of the steps, and all of them before and after."""
    one = begin(engine, StreamedWork, prompt=0.0)
    other = begin(engine, StreamedWork, prompt=0.0)
    stream(one, 11, first=START + 0.1, rate=100.0)
    other.chunks(START + 0.2, 1)
    for number in range(1, 11):
        one.chunks(START + 0.2 + number / 100, 1)
        other.chunks(START + 0.2 + number / 100, 1)
    end(other, START + 0.3)
    for number in range(1, 4):
        one.chunks(START + 0.3 + number / 100, 1)
    one._flush()
    assert all_work(one).steps == pytest.approx(11 + 5 + 3)
    assert all_work(other).steps == pytest.approx(0.5 + 5)


def test_what_comes_after_the_end_is_ignored(engine):
    """Chunks, counts and another end change nothing once the attempt is over."""
    work = begin(engine, StreamedWork)
    last = stream(work, 10)
    end(work, last)
    before = all_work(work)
    work.chunks(last + 1.0, 5)
    work.accrue(last + 2.0)
    work.finish(last + 3.0, Usage(prompt=1000, completion=1000))
    assert all_work(work) == before
    assert engine.decoding == 0
    assert work.account.flags == set()


def test_usage_may_be_told_twice(engine):
    """The second word is the last one, and not added to the first."""
    work = begin(engine, StreamedWork)
    last = stream(work, 10)
    work.finish(last, Usage(prompt=100, cached=0, completion=10))
    work.finish(last, Usage(prompt=120, cached=0, completion=12))
    done = all_work(work)
    assert (done.prompt, done.tokens) == (pytest.approx(120.0), pytest.approx(11.0))


def test_streams_teach_how_fast_a_sequence_decodes(engine):
    """Buffered replies in the same batch come along at the rate that the streams show."""
    work = begin(engine, StreamedWork)
    stream(work, 200, rate=80.0)
    assert engine.tokens_per_second.value == pytest.approx(80.0, rel=0.1)


@given(
    st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(1, 9)), min_size=1, max_size=30),
    st.integers(0, 3000),
    st.integers(0, 3000),
    st.none() | st.integers(0, 3000),
)
def test_a_stream_ends_with_what_the_server_counted(chunks, completion, prompt, cached):
    """While all bins are open the server's counts hold to the token, however the chunks came."""
    engine = Engine("model", COEFFICIENTS, ("gpu",), bin_seconds=WIDTH, starting_watts=400.0)
    work = begin(engine, StreamedWork)
    now = START
    for pause, count in chunks:
        now += pause
        work.chunks(now, count)
    work.finish(now, Usage(prompt=prompt, cached=cached, completion=completion))
    end(work, now)
    done = all_work(work)
    if completion and sum(count for _, count in chunks) > 1:
        assert done.tokens == pytest.approx(completion - 1, abs=1e-6)
    if prompt and cached is not None:
        assert done.prompt == pytest.approx(max(0, prompt - cached), abs=1e-6)
    assert min(done.prompt, done.tokens, done.steps, done.context) >= 0
    assert engine.decoding == 0


# Who leaves


def test_a_stream_that_is_given_up_was_decoded_for_a_little_longer(engine):
    """The usual late tokens are its own; one that the server has counted has none."""
    engine.bypass.late_share = 0.2
    given_up, done = begin(engine, StreamedWork), begin(engine, StreamedWork)
    last = [stream(work, 20) for work in (given_up, done)][-1]
    given_up.finish(last, Usage(completion=20, is_estimated=True))
    done.finish(last, Usage(prompt=100, completion=20))
    before = [all_work(work).tokens for work in (given_up, done)]
    unseen = given_up.seen(last).output_unseen
    end(given_up, last)
    end(done, last)
    assert unseen > 0.0
    assert all_work(given_up).tokens - before[0] == pytest.approx(0.2 * unseen)
    assert all_work(done).tokens == before[1]
    assert given_up.account.output is None


def test_a_stream_that_is_given_up_before_its_first_token(engine):
    """Nothing was decoded for it that anybody knows of."""
    engine.bypass.late_share = 0.2
    work = begin(engine, StreamedWork)
    end(work, START + 1.0)
    assert all_work(work).tokens == 0.0


def test_a_stream_that_stands_still_may_be_behind(engine):
    """Its client does not read, or the proxy is busy: the server goes on at its rate, as far as the request allows."""
    work = begin(engine, StreamedWork)
    last = stream(work, 20, rate=30.0)
    near, far = work.seen(last).output_unseen, work.seen(last + 2.0).output_unseen
    assert far == pytest.approx(near + 60.0, abs=2.0)
    work.account.most_output = 32
    assert work.seen(last + 2.0).output_unseen == pytest.approx(32 - work.seen(last).output)
