"""What is told between processes of one bin."""

import msgspec
import pytest

from jevons.proxy.exchange import Coefficients
from jevons.proxy.metering.account import Account, Quantities
from jevons.proxy.metering.bypass import Done, Seen
from jevons.proxy.metering.engine import Engine
from jevons.proxy.metering.settlement import Bill
from jevons.proxy.metering.statements import (
    Model,
    Settled,
    Stated,
    add_done,
    settled,
    state,
    sum_seen,
    take_settled,
    take_stated,
)

MODEL = Model((1.0, 0.1, 0.0, 0.01), ((1.0, 0.0), (0.0, 1.0)), is_estimated=False)


@pytest.fixture
def bill():
    """One account's work: 2 steps, 20 tokens, and a prompt of 100 that nobody has counted."""
    engine = Engine("m", Coefficients(1.0, 0.1, 0.0, 0.01), (), bin_seconds=0.25)
    account = Account(0.25, 0.0, 1, prompt_doubt=0.5)
    bill = Bill(engine)
    bill.enter_works([(account, Quantities(steps=2.0, tokens=20.0, prompt=100.0))])
    return bill


def test_a_statement_adds_up(bill):
    """Through the wire and back, two workers' bills make the whole; of a dead one's nothing is left to correct."""
    told = msgspec.msgpack.decode(msgspec.msgpack.encode(state(bill, 7, 0.5)), type=Stated)
    assert (told.index, told.held) == (7, 0.5)
    whole = Bill(bill.engine)
    take_stated(whole, told, is_lost=False)
    take_stated(whole, told, is_lost=True)
    assert whole.total.base == 2 * bill.total.base == pytest.approx(10.0)
    assert whole.work.steps == 4.0
    assert whole.unsure.variance == bill.unsure.variance == pytest.approx(0.25)


def test_a_price_is_for_all_and_charged_to_ones_own(bill):
    """Shares are of the whole; of steps that others were in, each entry pays what is left."""
    whole = Bill(bill.engine, price=2.0, flags={"bypass"})
    whole.total.base, whole.total.fixed = 100.0, 10.0
    told = msgspec.msgpack.decode(msgspec.msgpack.encode(settled(whole, 7, 0.5, is_held=False, model=MODEL)), type=Settled)
    take_settled(bill, told)
    assert (bill.price, bill.total.base, bill.flags) == (2.0, 100.0, {"bypass"})
    (_, base, fixed, _, prompt), *_ = bill.entries
    assert (base, fixed, prompt) == (pytest.approx(4.0), 1.0, 1.0)


def test_tokens_of_several():
    """Counts and what is unseen add up, doubts as their squares."""
    seen = [Seen(1, 2, 3, 3.0, 0.0, 10.0, 20.0), Seen(1, 2, 3, 4.0, 1.0, 30.0, 40.0)]
    assert sum_seen(seen) == (2, 4, 6, 5.0, 1.0, 40.0, 60.0)
    done = Done(1.0, 2.0, 3.0, 4.0, 5.0)
    add_done(done, (1.0, 1.0, 1.0, 1.0, 1.0))
    assert done == Done(2.0, 3.0, 4.0, 5.0, 6.0)
