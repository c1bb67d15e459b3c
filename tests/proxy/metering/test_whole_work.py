"""Work that nobody sees arrive: expected while it lasts, and ends as the server counted it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.exchange import Coefficients, Usage
from jevons.proxy.metering.account import Account, Quantities
from jevons.proxy.metering.engine import Engine
from jevons.proxy.metering.whole_work import BufferedWork, PromptWork

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


def all_work(work):
    total = Quantities()
    total.add(work.account.settled)
    total.add(work.account.open_work())
    return total


# A reply that arrives whole


def test_a_buffered_reply_accrues_what_is_expected(engine):
    """Prompt first, then thirty tokens a second until another rate has been seen."""
    work = begin(engine, BufferedWork, prompt=1800.0)
    work.accrue(START + 0.25)
    assert all_work(work).prompt == pytest.approx(1800.0)
    work.accrue(START + 1.09)
    assert all_work(work).tokens == pytest.approx(30.0)
    assert all_work(work).steps == pytest.approx(31.0)


def test_a_buffered_reply_that_is_given_up(engine):
    """It pays for what was expected of it, and for the usual late tokens; what it was is in doubt."""
    engine.bypass.late_share = 0.2
    work = begin(engine, BufferedWork)
    work.accrue(START + 1.0)
    expected, seen = all_work(work).tokens, work.seen(START + 1.0)
    end(work, START + 1.0)
    assert all_work(work).tokens - expected == pytest.approx(0.2 * seen.output_unseen)
    assert seen.output_doubt == pytest.approx(0.5 * seen.output)


def test_a_buffered_reply_ends_as_the_server_counted(engine):
    """What was expected in open bins is replaced."""
    work = begin(engine, BufferedWork)
    work.accrue(START + 1.0)
    work.finish(START + 1.0, Usage(prompt=200, cached=50, completion=101))
    end(work, START + 1.0)
    done = all_work(work)
    assert (done.prompt, done.tokens, done.steps) == pytest.approx((150.0, 100.0, 101.0))
    assert engine.tokens_per_second.value == pytest.approx(100 / 0.995)
    assert engine.decoding == 0


def test_what_a_buffered_reply_was_charged_stays(engine):
    """Of bins that have settled nothing is taken back: the rest of the reply is what the server counted less that."""
    work = begin(engine, BufferedWork)
    work.accrue(START + 0.75)
    for index in (40, 41, 42):
        work.account.take(index)
    engine.oldest_open = 43
    settled = work.account.settled.tokens
    work.finish(START + 1.0, Usage(prompt=100, cached=0, completion=101))
    assert all_work(work).tokens == pytest.approx(100.0)
    assert set(work.account.bins) <= {43, 44}
    other = begin(engine, BufferedWork)
    other.account.settled.tokens = settled
    other.finish(START + 1.0, Usage(prompt=100, cached=0, completion=2))
    assert other.account.open_work().tokens == 0.0


def test_a_finished_reply_accrues_nothing_more(engine):
    """Between the reply and its end no more tokens are expected."""
    work = begin(engine, BufferedWork)
    work.finish(START + 1.0, Usage(prompt=100, cached=0, completion=11))
    work.accrue(START + 9.0)
    end(work, START + 9.0)
    assert all_work(work).tokens == pytest.approx(10.0)


def test_a_buffered_reply_without_usage_is_estimated(engine):
    """What was expected until its end stands, and is flagged."""
    work = begin(engine, BufferedWork)
    work.finish(START + 1.0, Usage())
    assert all_work(work).tokens == pytest.approx(30.0 * 0.995)
    assert work.account.flags == {"tokens_estimated"}


def test_a_buffered_reply_that_never_came_pays_for_its_time(engine):
    """What was expected until the connection closed, and nothing after it."""
    work = begin(engine, BufferedWork)
    end(work, START + 0.505)
    work.accrue(START + 5.0)
    work.finish(START + 6.0, Usage(prompt=100, completion=500))
    assert all_work(work).tokens == pytest.approx(15.0)
    assert engine.decoding == 0


def test_usage_of_a_buffered_reply_may_be_told_twice(engine):
    """The second word is the last one."""
    work = begin(engine, BufferedWork)
    work.finish(START + 1.0, Usage(prompt=100, cached=0, completion=11))
    work.finish(START + 1.0, Usage(prompt=100, cached=0, completion=21))
    done = all_work(work)
    assert (done.prompt, done.tokens, done.steps) == pytest.approx((100.0, 20.0, 21.0))


def test_a_buffered_reply_has_no_chunks(engine):
    """Chunks are nothing to it."""
    work = begin(engine, BufferedWork)
    work.chunks(START + 0.5, 10)
    assert all_work(work) == Quantities()


@given(
    st.lists(st.floats(0.01, 1.0), max_size=8),
    st.integers(1, 4),
    st.integers(0, 3000),
    st.integers(1, 3000),
)
def test_a_buffered_reply_is_whole_while_its_bins_are_open(pauses, sequences, completion, prompt):
    """However often it accrued, it ends with what the server counted."""
    engine = Engine("model", COEFFICIENTS, ("gpu",), bin_seconds=WIDTH, starting_watts=400.0)
    work = begin(engine, BufferedWork, sequences=sequences)
    now = START
    for pause in pauses:
        now += pause
        work.accrue(now)
    work.finish(now, Usage(prompt=prompt, cached=0, completion=completion))
    end(work, now)
    assert all_work(work).tokens == pytest.approx(max(0, completion - sequences), abs=1e-6)
    assert all_work(work).prompt == pytest.approx(prompt)
    assert all(index <= now // WIDTH for index in work.account.bins)


# A prompt without an answer


def test_an_embedding_is_its_prompt(engine):
    """All of it since its beginning where nobody was before it, and nothing is decoded."""
    work = begin(engine, PromptWork)
    work.accrue(START + 0.5)
    work.chunks(START + 0.5, 3)
    assert all_work(work) == Quantities()
    work.finish(START + 0.5, Usage(prompt=300, cached=100))
    end(work, START + 0.5)
    assert all_work(work) == Quantities(prompt=200.0, steps=1.0)
    assert [work.account.bins[index].prompt for index in (40, 41)] == pytest.approx([100.0, 100.0])
    assert engine.reading == engine.decoding == 0


def test_prompts_are_read_one_after_the_other(engine):
    """The second of two was read after the first, and while both waited a step was shared."""
    first, second = begin(engine, PromptWork), begin(engine, PromptWork)
    first.finish(START + 0.25, Usage(prompt=100, cached=0))
    end(first, START + 0.25)
    second.finish(START + 0.5, Usage(prompt=100, cached=0))
    end(second, START + 0.5)
    assert first.account.bins[40].steps == pytest.approx(0.5)
    assert second.account.bins[41].prompt == pytest.approx(100.0)
    assert 40 not in second.account.bins


def test_an_embedding_without_a_reply_pays_for_what_can_have_been_read(engine):
    """Half of the time is half of the prompt; usage that comes twice, or late, is heard once."""
    work = begin(engine, PromptWork, prompt=10000.0)
    end(work, START + 0.25)
    assert all_work(work).prompt == pytest.approx(5000.0)
    work.finish(START + 0.25, Usage(prompt=10000))
    assert all_work(work).prompt == pytest.approx(5000.0)


def test_a_prompt_the_server_did_not_count_is_estimated(engine):
    """A count of nothing is no count."""
    work = begin(engine, PromptWork, prompt=70.0)
    work.finish(START + 0.25, Usage(prompt=0))
    assert all_work(work).prompt == pytest.approx(70.0)
    assert not engine.tokens_per_estimate.is_known
