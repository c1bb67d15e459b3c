"""Bypass, the pure part: what a server served and the proxy did not see becomes work, and nothing else does."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.metering.account import Quantities
from jevons.proxy.metering.bypass import (
    LONGEST_HOLD_SECONDS,
    SUSPECTED_SECONDS,
    BypassWatch,
    BypassWork,
    Seen,
)
from jevons.proxy.observed import ServedTokens

WIDTH = 0.25


class Attempts:
    """The attempts in flight at one engine."""

    def __init__(self, *seen):
        self.in_flight = list(seen)

    def seen(self, _now):
        return self.in_flight


def watching(*seen):
    """A watch over one engine, its work, and its attempts."""
    watch, work, attempts = BypassWatch(), BypassWork(WIDTH), Attempts(*seen)
    watch.add(work, attempts)
    return watch, work, attempts


def observe(watch, served, at, *, oldest_open=0):
    watch.observe(served, at, oldest_open=oldest_open, fresh_share=1.0)


def total(work):
    """All the work of others that waits in bins."""
    sum_ = Quantities()
    for quantities in work.bins.values():
        sum_.add(quantities)
    return sum_


# Work in bins


def test_work_lies_in_the_time_it_was_done():
    """Spread evenly between two readings."""
    work = BypassWork(WIDTH)
    work.deposit(1.0, 2.0, Quantities(tokens=100.0), 0)
    assert {index: quantities.tokens for index, quantities in work.bins.items()} == pytest.approx(
        {4: 25.0, 5: 25.0, 6: 25.0, 7: 25.0, 8: 0.0}
    )


def test_late_work_is_not_heaped_on_one_bin():
    """What belongs to bins that have settled is spread over as much time as it is late."""
    work = BypassWork(WIDTH)
    work.deposit(0.0, 2.0, Quantities(tokens=80.0), 6)
    assert sum(quantities.tokens for quantities in work.bins.values()) == pytest.approx(80.0)
    assert min(work.bins) == 6
    assert [work.bins[index].tokens for index in (6, 7, 8, 13)] == pytest.approx([10.0] * 4)


@given(st.floats(0, 100), st.floats(0, 20), st.floats(0, 1e5), st.integers(0, 500))
def test_no_work_is_lost(begin, seconds, tokens, oldest_open):
    """Wherever the open bins begin, all of it is in some bin that is open."""
    work = BypassWork(WIDTH)
    work.deposit(begin, begin + seconds, Quantities(tokens=tokens), oldest_open)
    assert total(work).tokens == pytest.approx(tokens, rel=1e-9, abs=1e-9)
    end = int((begin + seconds) // WIDTH)
    assert all(index >= min(oldest_open, end) for index in work.bins)


def test_steps_are_shared_by_tokens():
    """Three of ours decode with one of theirs: a quarter of every step is theirs, at the context that is usual here."""
    work = BypassWork(WIDTH)
    work.deposit(0.0, 0.25, Quantities(tokens=10.0), 0)
    ours = [Quantities(steps=10 / 3, tokens=10.0, context=8000.0) for _ in range(3)]
    others = work.take(0, ours, most_steps=10.0)
    assert sum(one.steps for one in ours) == pytest.approx(7.5)
    assert (others.steps, others.tokens, others.context) == pytest.approx((2.5, 10.0, 8000.0))


def test_steps_of_theirs_alone():
    """Where nobody of ours decodes, each step is theirs: as many as the engine makes, or as they have tokens."""
    work = BypassWork(WIDTH)
    work.deposit(0.0, 0.25, Quantities(tokens=40.0), 0)
    assert work.take(0, [], most_steps=10.0).steps == 10.0
    work.deposit(0.25, 0.5, Quantities(tokens=4.0), 0)
    assert work.take(1, [], most_steps=10.0).steps == 4.0


def test_a_bin_without_others():
    """Nothing is taken from anybody."""
    work, ours = BypassWork(WIDTH), [Quantities(steps=5.0, tokens=5.0, context=500.0)]
    assert work.take(3, ours, most_steps=10.0) is None
    assert ours == [Quantities(steps=5.0, tokens=5.0, context=500.0)]


@given(
    st.lists(st.tuples(st.floats(0, 30), st.floats(0, 300)), max_size=5),
    st.floats(0, 1000),
    st.floats(0, 5000),
    st.floats(0.1, 100),
)
def test_shares_are_shares(attempts, tokens, prompt, most_steps):
    """Nobody's steps are negative, ours never grow, and together they are as many as before, and those made without us."""
    work = BypassWork(WIDTH)
    work.deposit(0.0, 0.25, Quantities(tokens=tokens, prompt=prompt), 0)
    ours = [Quantities(steps=steps, tokens=own) for steps, own in attempts]
    before = sum(one.steps for one in ours)
    others = work.take(0, ours, most_steps)
    after = sum(one.steps for one in ours)
    assert 0.0 <= after <= before * (1 + 1e-12)
    assert others.steps >= -1e-9
    alone = max(0.0, min(tokens, most_steps) - 1.25 * before)
    assert after + others.steps == pytest.approx(before + alone, rel=1e-9, abs=1e-9)


# A watch over a server


def test_others_at_a_server():
    """Prompt and output that none of ours caused become work between the two readings, and are counted."""
    watch, work, _ = watching()
    observe(watch, ServedTokens(0.0, 0.0), 10.0)
    observe(watch, ServedTokens(1000.0, 300.0), 11.0)
    assert (total(work).prompt, total(work).tokens) == pytest.approx((1000.0, 300.0))
    assert min(work.bins) == 40
    assert max(work.bins) <= 44
    assert (work.prompt_tokens, work.output_tokens) == (1000.0, 300.0)


def test_a_server_that_falls_silent_is_not_watched():
    """Who reads the figures can tell a server without others from one that says nothing."""
    watch, work, _ = watching()
    observe(watch, ServedTokens(0.0, 0.0), 10.0)
    for now, is_watched in ((10.0, True), (20.0, True), (20.1, False)):
        watch.mark(now)
        assert work.state.is_watched is is_watched


def test_ours_are_not_others():
    """Those that are over and those in flight, as far as they have got."""
    watch, work, attempts = watching(Seen(500.0, 500.0, 0.0))
    observe(watch, ServedTokens(0.0, 0.0), 10.0)
    attempts.in_flight = [Seen(500.0, 500.0, 120.0)]
    observe(watch, ServedTokens(500.0, 120.0), 11.0)
    attempts.in_flight = []
    work.done.add(Seen(500.0, 500.0, 200.0))
    observe(watch, ServedTokens(500.0, 200.0), 12.0)
    assert not work.bins
    assert not watch.is_suspected(12.0)


def test_what_may_be_ours_is_taken_to_be():
    """The prompt of a stream in flight is an estimate: a server that counts somewhat more is no reason for suspicion."""
    watch, work, attempts = watching()
    observe(watch, ServedTokens(0.0, 0.0), 10.0)
    attempts.in_flight = [Seen(1000.0, 1000.0, 10.0, prompt_doubt=250.0)]
    observe(watch, ServedTokens(1200.0, 10.0), 11.0)
    assert not work.bins


def test_two_upstreams_at_one_server():
    """A server's counts are held against what passed through all of its upstreams."""
    watch, one, _ = watching()
    other = BypassWork(WIDTH)
    watch.add(other, Attempts())
    observe(watch, ServedTokens(0.0, 0.0), 10.0)
    one.done.add(Seen(0.0, 0.0, 400.0))
    other.done.add(Seen(0.0, 0.0, 600.0))
    observe(watch, ServedTokens(0.0, 1000.0), 11.0)
    assert not one.bins
    assert not other.bins


def test_cached_prompts_cost_nothing():
    """Of the prompts of others, what the server says it had cached is no work; where it counts without, nothing is taken off."""
    watch, work, _ = watching()
    observe(watch, ServedTokens(0.0, 0.0, 0.0), 10.0)
    observe(watch, ServedTokens(1000.0, 0.0, 750.0), 11.0)
    assert total(work).prompt == pytest.approx(250.0)
    watch, work, _ = watching()
    observe(watch, ServedTokens(0.0, 0.0, is_prompt_fresh=True), 10.0)
    work.done.add(Seen(1000.0, 100.0, 0.0))
    observe(watch, ServedTokens(700.0, 0.0, is_prompt_fresh=True), 11.0)
    assert total(work).prompt == pytest.approx(600.0)


def test_a_server_that_counts_at_the_end():
    """A long answer that is counted all at once was made before: it is given to the time after, little by little."""
    watch, work, _ = watching()
    at_end = {"prompt_at_end": True, "output_at_end": True}
    observe(watch, ServedTokens(0.0, 0.0, **at_end), 10.0)
    observe(watch, ServedTokens(100.0, 1000.0, **at_end), 11.0)
    for second in range(12, 60):
        observe(watch, ServedTokens(100.0, 1000.0, **at_end), float(second))
        assert work.bins.get(second * 4, Quantities()).tokens <= 1000.0 / 10 / 4 + 1e-9
    assert total(work).tokens == pytest.approx(1000.0, rel=0.01)
    assert (work.prompt_tokens, work.output_tokens) == (100.0, 1000.0)


def test_the_end_of_ours_may_be_known_there_first():
    """A server that has counted an answer whose last chunk is on its way is not suspected."""
    watch, work, attempts = watching(Seen(100.0, 100.0, 400.0))
    at_end = {"prompt_at_end": True, "output_at_end": True}
    observe(watch, ServedTokens(0.0, 0.0, **at_end), 10.0)
    observe(watch, ServedTokens(100.0, 400.0, **at_end), 11.0)
    attempts.in_flight = []
    work.done.add(Seen(100.0, 100.0, 400.0))
    for second in range(12, 20):
        observe(watch, ServedTokens(100.0, 400.0, **at_end), float(second))
    assert (work.prompt_tokens, work.output_tokens) == (0.0, 0.0)


def test_after_a_long_silence_only_the_latest_counts():
    """Those who could have shared an hour's work of others have paid: what is left is the part of the last ten seconds."""
    watch, work, _ = watching()
    observe(watch, ServedTokens(0.0, 0.0), 0.0)
    observe(watch, ServedTokens(0.0, 3_600_000.0), 3600.0, oldest_open=14_398)
    assert total(work).tokens == pytest.approx(10_000.0)
    assert work.output_tokens == 3_600_000.0


def test_bins_wait_where_others_may_be():
    """While others are about, or nobody is waiting, bins settle as far as the counters tell; a silent server holds nothing."""
    watch, _, _ = watching()
    observe(watch, ServedTokens(0.0, 0.0), 10.0)
    assert watch.holds_at(10.5, is_quiet=False) == math.inf
    assert watch.holds_at(10.5, is_quiet=True) == 10.0
    observe(watch, ServedTokens(0.0, 500.0), 11.0)
    assert watch.holds_at(11.5, is_quiet=False) == 11.0
    assert watch.holds_at(11.0 + LONGEST_HOLD_SECONDS + 0.1, is_quiet=False) == math.inf
    observe(watch, ServedTokens(0.0, 500.0), 11.5 + SUSPECTED_SECONDS)
    assert watch.holds_at(11.5 + SUSPECTED_SECONDS, is_quiet=False) == math.inf
