"""Balance, the pure part: of what a server counted and nobody saw, what is others' and what is late work of those who left."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jevons.proxy.metering.balance import BAND_SHARE, BAND_TOKENS, Balance


def test_what_nobody_saw_is_found():
    """After the first reading, whatever is served beyond what is seen."""
    balance = Balance()
    assert balance.observe(1000.0, 0.0, 0.0) == 0.0
    assert balance.observe(2000.0, 300.0, 0.0) == 700.0
    assert balance.observe(2500.0, 800.0, 0.0) == 0.0


def test_a_server_that_counts_late_owes():
    """What is missing one time is carried over, and is not found again when it comes."""
    balance = Balance()
    balance.observe(0.0, 0.0, 0.0)
    assert balance.observe(0.0, 500.0, 500.0) == 0.0
    assert balance.observe(500.0, 500.0, 0.0) == 0.0
    assert balance.observe(1000.0, 500.0, 0.0) == 500.0


def test_what_will_never_be_counted_is_forgotten():
    """Tokens that the server never counts (of requests that were cancelled) hide no others for ever."""
    balance = Balance()
    balance.observe(0.0, 0.0, 0.0)
    balance.observe(0.0, 10_000.0, 0.0)
    balance.observe(0.0, 10_000.0, 0.0)
    assert balance.observe(400.0, 10_000.0, 0.0) == 400.0


def test_a_server_that_starts_anew():
    """Its counters begin at 0: that interval tells nothing, the next one does."""
    balance = Balance()
    balance.observe(1_000_000.0, 0.0, 0.0)
    assert balance.observe(50.0, 0.0, 0.0) == 0.0
    assert balance.observe(1050.0, 0.0, 0.0) == 1000.0


def test_differences_in_counting_are_not_others():
    """A server that counts one per cent more than it reports is not served past the proxy."""
    balance = Balance()
    for second in range(10_000):
        assert balance.observe(second * 505.0, second * 500.0, 0.0) == 0.0


amounts = st.floats(0.0, 10_000.0)


@given(st.lists(st.tuples(amounts, amounts, amounts), max_size=50))
def test_never_less_than_nothing_nor_more_than_was_served(history):
    """Whatever is served and seen, what is found is between nothing and all of it."""
    balance, served, seen, found = Balance(), 0.0, 0.0, 0.0
    balance.observe(served, seen, 0.0)
    for more_served, more_seen, leeway in history:
        served, seen = served + more_served, seen + more_seen
        one = balance.observe(served, seen, leeway)
        assert one >= 0.0
        found += one
    assert found <= served * (1 + 1e-9)


@given(st.lists(st.tuples(amounts, st.floats(0.0, 5.0)), min_size=1, max_size=50))
def test_what_was_all_ours_is_never_found(history):
    """As long as everything that was served is seen, or may have been, nobody else is suspected."""
    balance, ours, counted = Balance(), 0.0, 0.0
    balance.observe(0.0, 0.0, 0.0)
    for more, delay in history:
        ours += more
        counted = max(counted, ours - delay * 100.0)
        assert balance.observe(counted, ours, ours - counted) == 0.0


# Those who have left


def test_what_is_done_for_those_who_have_left_is_not_others():
    """As long as it is no more than the server may have done for them before it noticed."""
    balance = Balance()
    balance.observe(0.0, 0.0, 0.0)
    assert balance.observe(1400.0, 1000.0, 0.0, unseen=500.0) == 0.0
    assert (balance.surplus, balance.late_tokens) == (0.0, 400.0)


def test_what_is_beyond_that_is_others():
    """Far more than it may have done for those who left: of that only the usual part is theirs."""
    balance = Balance()
    balance.observe(0.0, 0.0, 0.0)
    found = balance.observe(3000.0, 1000.0, 0.0, unseen=200.0)
    assert 1900.0 <= found < 2000.0
    assert balance.late_tokens == pytest.approx(2000.0 - found)


def test_credit_for_those_who_left_does_not_last():
    """Who left two readings ago explains nothing any more."""
    balance = Balance()
    balance.observe(0.0, 0.0, 0.0)
    assert balance.observe(1000.0, 1000.0, 0.0, unseen=500.0) == 0.0
    assert balance.observe(2000.0, 2000.0, 0.0, unseen=500.0) == 0.0
    assert balance.observe(3400.0, 3000.0, 0.0, unseen=500.0) == pytest.approx(400.0)


def test_a_reading_later_it_still_counts():
    """Who leaves right before a reading is decoded for after it."""
    balance = Balance()
    balance.observe(0.0, 0.0, 0.0)
    assert balance.observe(1000.0, 1000.0, 0.0, unseen=500.0) == 0.0
    assert balance.observe(2400.0, 2000.0, 0.0, unseen=500.0) == 0.0
    assert balance.late_tokens == 400.0


def test_doubts_about_those_in_flight_hide_it_for_a_while():
    """Late work that was taken for tokens on their way shows when those in flight are done, and is late work still."""
    balance, unseen = Balance(), 0.0
    balance.observe(0.0, 0.0, 0.0)
    served = seen = 0.0
    for _ in range(8):  # 50 tokens of late work each time, of at most 100, below a doubt of 600
        served, seen, unseen = served + 1050.0, seen + 1000.0, unseen + 100.0
        assert balance.observe(served, seen + 600.0, 600.0, doubt=600.0, unseen=unseen) == 0.0
    assert balance.observe(served, seen, 0.0, unseen=unseen) == 0.0
    assert balance.late_tokens == pytest.approx(400.0)


def test_a_storm_hides_no_others():
    """Others who are there all the time are found but for the usual late work, however many leave at the same time."""
    balance, unseen, found = Balance(least=0.25), 0.0, 0.0
    balance.observe(0.0, 0.0, 0.0)
    for second in range(1, 61):
        unseen += 400.0
        found += balance.observe(second * 1640.0, second * 1000.0, 0.0, unseen=unseen, is_suspected=found > 0.0)
    assert 0.9 * 60 * 600.0 < found <= 60 * 640.0


def test_the_usual_is_learned():
    """From what has shown while nobody else was suspected, and it stays what it was while somebody is."""
    balance, unseen = Balance(), 0.0
    balance.observe(0.0, 0.0, 0.0)
    for second in range(1, 200):
        unseen += 100.0
        balance.observe(second * 1040.0, second * 1000.0, 0.0, unseen=unseen)
    assert balance.late_share == pytest.approx(0.4, rel=0.05)
    learned = balance.late_share
    balance.observe(400_000.0, 200_000.0, 0.0, unseen=unseen + 100.0, is_suspected=True)
    assert balance.late_share == learned


def test_beginning_anew_keeps_what_was_learned():
    """After a worker has died all is compared from the next reading on; how late the server notices is as before."""
    balance = Balance()
    balance.observe(0.0, 0.0, 0.0)
    balance.observe(1300.0, 1000.0, 0.0, unseen=500.0)
    learned = balance.late_share
    balance.begin_anew()
    assert balance.observe(9000.0, 0.0, 0.0) == 0.0
    assert (balance.late_share, balance.surplus) == (learned, 0.0)


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 30), st.floats(0.0, 1.0), st.booleans()), min_size=1, max_size=60))
def test_nobody_is_invented(history):
    """Whoever leaves whenever: late work up to what is possible, shown at this reading or the next, is never others'."""
    balance, served, seen, unseen, due = Balance(least=1.0), 0.0, 0.0, 0.0, 0.0
    balance.observe(0.0, 0.0, 0.0)
    for tokens, leave, share, is_delayed in history:
        late = 20.0 * leave * share
        served += tokens + due + (0.0 if is_delayed else late)
        due = late if is_delayed else 0.0
        seen, unseen = seen + tokens, unseen + 20.0 * leave
        assert balance.observe(served, seen, 0.0, unseen=unseen) == 0.0


@settings(max_examples=200)
@given(
    st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 30)), min_size=1, max_size=60),
    st.floats(0.0, 1.0),
)
def test_every_token_is_somebodys(history, least):
    """Seen, found, late, or within the band that is forgotten: never more than was served, and nothing twice."""
    balance, served, seen, unseen, found, is_suspected = Balance(least=least), 0.0, 0.0, 0.0, 0.0, False
    balance.observe(0.0, 0.0, 0.0)
    forgotten = 0.0
    for ours, others, leave in history:
        served, seen, unseen = served + ours + others, seen + ours, unseen + 20.0 * leave
        one = balance.observe(served, seen, 0.0, unseen=unseen, is_suspected=is_suspected)
        is_suspected |= one > 0.0
        found += one
        forgotten += BAND_TOKENS + BAND_SHARE * (ours + others)
        assert one >= 0.0
    explained = found + balance.late_tokens + balance.surplus
    assert explained <= served - seen + 1e-6
    assert explained >= served - seen - forgotten - 1e-6
