"""Booking as a whole: what is missing is added, what is too much is taken back where it still can be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.exchange import Coefficients, Usage
from jevons.proxy.metering.account import Account, Quantities
from jevons.proxy.metering.booking import PromptTokens, book_late_tokens, book_missing_prompt, book_reply, book_tokens
from jevons.proxy.metering.bypass import Seen
from jevons.proxy.metering.engine import Engine

WIDTH = 0.25


@pytest.fixture
def engine():
    """A server that takes a second over 400 J, and has told nothing else yet."""
    return Engine("model", Coefficients(4.0, 0.05, 1e-4, 0.02), ("gpu",), bin_seconds=WIDTH, starting_watts=400.0)


@pytest.fixture
def account():
    return Account(WIDTH, 10.0, 1)


def test_a_prompt_is_an_estimate_until_it_is_counted(engine):
    """The estimate, by what was learned of estimates and of the cache; then the server's count, which teaches both."""
    engine.saw_prompt(200, 50, 100)
    prompt = PromptTokens(100, engine)
    assert (prompt.tokens, prompt.fresh) == pytest.approx((200.0, 150.0))
    prompt.count(Usage(prompt=400, cached=400))
    assert (prompt.tokens, prompt.fresh) == (400, 0)
    assert engine.tokens_per_estimate.value > 2.0
    assert engine.fresh_share.value < 0.75


def test_a_server_that_is_silent_on_its_cache_is_judged_by_what_was_learned(engine):
    """A count of the prompt without one of the cached tokens keeps the share that is usual."""
    engine.saw_prompt(200, 150, 200)
    prompt = PromptTokens(100, engine)
    prompt.count(Usage(prompt=400))
    assert prompt.fresh == pytest.approx(100.0)


@pytest.mark.parametrize("usage", [Usage(), Usage(prompt=0)])
def test_no_count_is_no_news(engine, usage):
    """Nothing, or a count of 0, which no prompt has, leaves the estimate."""
    prompt = PromptTokens(100, engine)
    prompt.count(usage)
    assert (prompt.tokens, prompt.fresh) == (100, 100)
    assert not engine.tokens_per_estimate.is_known


def test_reading_takes_its_time(engine):
    """20,000 tokens a second: of 1,000 half can be read in 25 ms, and all in twice or three times that."""
    prompt = PromptTokens(1000, engine)
    assert prompt.seconds == pytest.approx(0.05)
    assert [prompt.read_share(seconds) for seconds in (0.0, 0.025, 0.05, 0.15)] == pytest.approx([0.0, 0.5, 1.0, 1.0])


@given(st.lists(st.floats(0.0, 100.0), max_size=6), st.integers(0, 6), st.floats(0.0, 1000.0))
def test_a_prompt_comes_to_its_count(booked, settled, actual):
    """Whatever was booked, it sums to the count, as far as it has not settled; no bin goes below 0."""
    engine = Engine("model", Coefficients(4.0, 0.05, 1e-4, 0.02), (), bin_seconds=WIDTH)
    account = Account(WIDTH, 10.0, 1)
    for number, tokens in enumerate(booked):
        account.bin(40 + number).add(Quantities(prompt=tokens))
    for number in range(settled):
        account.take(40 + number)
    engine.oldest_open = 40 + settled
    book_missing_prompt(account, engine, actual, (10.0, 11.0))
    open_work = account.open_work()
    total = account.settled.prompt + open_work.prompt + open_work.late
    assert total == pytest.approx(max(actual, account.settled.prompt), abs=1e-6)
    assert all(quantities.prompt >= 0 for quantities in account.bins.values())


def test_tokens_bear_the_steps_of_their_time(engine, account):
    """Half of the time alone and half of it beside another: three quarters of a step for each token."""
    engine.enter(1, 10.0)
    engine.enter(1, 10.25)
    book_tokens(account, engine, 20.0, 100.0, (10.0, 10.5))
    work = account.open_work()
    assert (work.tokens, work.steps, work.context) == pytest.approx((20.0, 15.0, 20 * 110.0))


def test_a_reply_is_read_and_then_decoded(engine, account):
    """The prompt before its first token with one step, the tokens from there on."""
    book_reply(account, engine, PromptTokens(100, engine), 30.0, (10.25, 11.0))
    assert account.bins[40].prompt == pytest.approx(100.0)
    assert account.bins[40].tokens == 0.0
    assert [account.bins[index].tokens for index in (41, 42, 43)] == pytest.approx([10.0] * 3)
    assert account.open_work().steps == pytest.approx(31.0)


def test_what_has_settled_is_not_booked_again(engine, account):
    """Only what is missing, and only where it can still be paid."""
    account.bin(40).add(Quantities(steps=11.0, tokens=10.0, prompt=100.0))
    account.take(40)
    engine.oldest_open = 43
    book_reply(account, engine, PromptTokens(100, engine), 30.0, (10.25, 11.0))
    assert account.open_work().prompt == 0.0
    assert account.bins[43].tokens == pytest.approx(20.0)
    assert account.open_work().steps == pytest.approx(20.0)


# What may have been served and has not been seen


def test_prompts_are_doubted_alike_until_one_was_counted(engine, account):
    """Estimates may all be off in the same direction; once that is learned, each may be off by itself; counted, none is."""
    first = PromptTokens(100, engine).seen(account, 0.0, 0.0)
    assert (first.prompt_doubt, first.prompt_unseen) == (0.0, 50.0)
    engine.saw_prompt(200, 0, 100)
    prompt = PromptTokens(100, engine)
    learned = prompt.seen(account, 0.0, 0.0)
    assert learned.prompt_unseen == 0.0
    assert learned.prompt_doubt >= 0.25 * learned.prompt
    prompt.count(Usage(prompt=150))
    counted = prompt.seen(account, 0.0, 0.0)
    assert (counted.prompt, counted.prompt_doubt, counted.prompt_unseen) == (150.0, 0.0, 0.0)


def test_tokens_may_be_on_their_way(engine, account):
    """A quarter of a second of them at the server's rate, and what is behind already: no more than the request allows."""
    prompt = PromptTokens(100, engine)
    assert prompt.seen(account, 10.0, 0.0).output_unseen == 0.0
    assert prompt.seen(account, 10.0, 0.0, 0.0).output_unseen == pytest.approx(7.5)
    assert prompt.seen(account, 10.0, 0.0, 40.0).output_unseen == pytest.approx(47.5)
    account.most_output = 30
    assert prompt.seen(account, 10.0, 0.0, 40.0).output_unseen == pytest.approx(20.0)
    assert prompt.seen(account, 31.0, 0.0, 40.0).output_unseen == 0.0
    account.output = 12
    counted = prompt.seen(account, 10.0, 0.1, 40.0)
    assert (counted.output, counted.output_doubt, counted.output_unseen) == (12, 0.0, 0.0)


def test_late_tokens_follow_the_end(engine, account):
    """As many as usual are booked in the time that the server takes over them; where nothing is known of it, none."""
    engine.enter(1, 10.0)
    prompt, seen = PromptTokens(100, engine), Seen(100.0, 100.0, 20.0, output_unseen=12.0)
    book_late_tokens(account, engine, prompt, seen, 11.0)
    assert not account.bins
    engine.bypass.late_share = 0.25
    book_late_tokens(account, engine, prompt, seen, 11.0)
    work = account.open_work()
    assert (work.tokens, work.steps) == pytest.approx((3.0, 3.0))
    assert work.context == pytest.approx(3.0 * 121.5)
    assert min(account.bins) == 44
    assert max(account.bins) <= 44 + 1


@given(st.floats(0.0, 0.2), st.floats(0.0, 1.0), st.integers(0, 500), st.integers(1, 4), st.integers(1, 400))
def test_a_reply_within_one_bin_is_booked_as_any_other(seconds, part, tokens, others, count):
    """To the last bit the same as where an account has other bins too, and its work is spread."""
    booked = []
    for bins in ({}, {60: Quantities()}):
        engine = Engine("model", Coefficients(4.0, 0.05, 1e-4, 0.02), ("gpu",), bin_seconds=WIDTH)
        engine.enter(1, 10.0)
        engine.enter(others, 10.01)
        account = Account(WIDTH, 10.02, 2, bins=bins)
        prompt = PromptTokens(100.0, engine)
        prompt.count(Usage(prompt=count, cached=count // 3))
        book_reply(account, engine, prompt, tokens, (10.02 + part * seconds, 10.02 + seconds))
        booked.append(account.bins[40])
    assert booked[0] == booked[1]
