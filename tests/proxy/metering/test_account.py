"""The account of one attempt: work by bin, each counted once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.exchange import Coefficients
from jevons.proxy.metering.account import Account, Quantities

COEFFICIENTS = Coefficients(3.0, 0.5, 0.01, 0.1)


def make_account(**options):
    return Account(width=0.25, started=10.0, **{"sequences": 1, **options})


def test_work_is_predicted_by_the_four_terms():
    """F per share of a step, c_d per token, c_kv per token of context, c_p per token of prompt."""
    work = Quantities(steps=2.0, tokens=4.0, context=100.0, prompt=30.0)
    assert work.fixed_joules(COEFFICIENTS) == 6.0
    assert work.prompt_joules(COEFFICIENTS) == pytest.approx(3.0)
    assert work.joules(COEFFICIENTS) == pytest.approx(6.0 + 2.0 + 1.0 + 3.0)


def test_work_adds_up():
    """A share of other work is that share of each of its quantities."""
    work = Quantities(1.0, 2.0, 3.0, 4.0)
    work.add(Quantities(10.0, 20.0, 30.0, 40.0), 0.5)
    assert work == Quantities(6.0, 12.0, 18.0, 24.0)


def test_work_is_spread_over_its_time():
    """Half a second is three bins, each with its part; what has settled is not touched any more."""
    account = make_account()
    account.deposit(10.125, 10.625, Quantities(tokens=8.0), oldest_open=0)
    assert {index: work.tokens for index, work in account.bins.items()} == pytest.approx({40: 2.0, 41: 4.0, 42: 2.0})


def test_work_within_one_bin_adds_up():
    """Of several deposits, also where each lies within the bin, or is an instant in it."""
    account = make_account()
    account.deposit(10.0, 10.125, Quantities(steps=1.0, tokens=8.0), oldest_open=40)
    account.deposit(10.125, 10.2, Quantities(tokens=2.0, context=30.0, prompt=4.0), oldest_open=40)
    account.deposit(10.2, 10.2, Quantities(tokens=1.0), oldest_open=40)
    assert account.bins == {40: Quantities(1.0, 11.0, 30.0, 4.0)}


def test_late_work_goes_into_the_oldest_open_bin():
    """Bins that have settled take no more work: it is paid where it can still be paid."""
    account = make_account()
    account.deposit(10.125, 10.625, Quantities(tokens=8.0), oldest_open=42)
    assert {index: work.tokens for index, work in account.bins.items()} == pytest.approx({42: 8.0})


@given(st.lists(st.tuples(st.floats(10.0, 14.0), st.floats(0.0, 3.0), st.floats(0.0, 100.0)), max_size=20), st.integers(40, 60))
def test_no_work_is_lost(deposits, taken_until):
    """What is taken and what is open is together what was deposited."""
    account = make_account()
    for begin, length, tokens in deposits:
        account.deposit(begin, begin + length, Quantities(tokens=tokens), oldest_open=0)
    for index in range(40, taken_until):
        account.take(index)
    total = sum(tokens for _, _, tokens in deposits)
    assert account.settled.tokens + account.open_work().tokens == pytest.approx(total, abs=1e-9)
    assert not any(index < taken_until for index in account.bins)


def test_an_empty_bin_has_nothing_to_take():
    """A bin without work is not an entry with nothing in it."""
    account = make_account()
    assert account.take(40) is None
    assert account.open_work() == Quantities()


def test_the_time_in_flight_is_between_start_and_end():
    """Within any stretch of time, and until its end while it goes on."""
    account = make_account()
    assert account.seconds_in_flight(9.0, 9.5) == 0.0
    assert account.seconds_in_flight(9.5, 10.5) == 0.5
    account.ended = 10.25
    assert account.seconds_in_flight(9.5, 10.5) == 0.25
    assert account.seconds_in_flight(10.5, 11.0) == 0.0
