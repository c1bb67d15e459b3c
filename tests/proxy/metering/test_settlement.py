"""The settlement of a bin: unresolved, then idle, then whoever worked, at work x price."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from metering_world import COEFFICIENTS

from jevons.proxy.metering.account import Account, Quantities
from jevons.proxy.metering.engine import Engine
from jevons.proxy.metering.ledger import DeviceLedger
from jevons.proxy.metering.meter import Device, Sample
from jevons.proxy.metering.settlement import settle_bin
from jevons.proxy.metering.work import StreamedWork

WIDTH = 0.25
BIN = 40
START, END = BIN * WIDTH, (BIN + 1) * WIDTH


def make_ledger(name="gpu", watts=400.0, *, until=END + 1.0):
    """A device that has drawn so much all the time, and was read often."""
    ledger = DeviceLedger(Device(name, "a card"), WIDTH)
    for step in range(round((until - START + WIDTH) / 0.125) + 1):
        at = START - WIDTH + 0.125 * step
        ledger.counter.add(Sample(name, at, watts * at), oldest_open=0)
    for index in range(BIN):
        ledger.counter.take(index)
    return ledger


def make_engine(name="model", devices=("gpu",)):
    engine = Engine(name, COEFFICIENTS, devices, bin_seconds=WIDTH)
    engine.oldest_open = BIN
    return engine


def in_flight(engine, ledgers, *, work=None, begin=START, end=None, sequences=1):
    """An attempt with so much work in the bin; None is one that has nothing to show."""
    attempt = StreamedWork(Account(WIDTH, begin, sequences), engine, 0.0)
    engine.waiting.clear()
    engine.works[attempt] = None
    if work is not None:
        attempt.account.bin(BIN).add(work)
    attempt.account.ended = end
    for ledger in ledgers:
        ledger.busy.begin(begin)
        if end is not None:
            ledger.busy.end(end)
    return attempt.account


def settle(engines, *ledgers, index=BIN):
    return settle_bin(index, WIDTH, engines, {ledger.counter.device.id: ledger for ledger in ledgers})


def test_nobody_in_flight_is_idle():
    """A bin without requests is idle, all of it."""
    ledger = make_ledger()
    assert settle([make_engine()], ledger) == []
    assert ledger.accounts == {"attributed": 0, "idle": pytest.approx(100.0), "bypass": 0, "unresolved": 0}


def test_everyone_pays_work_times_price():
    """Who did three times the work pays three times as much, and together they pay all of it."""
    ledger, engine = make_ledger(), make_engine()
    one = in_flight(engine, [ledger], work=Quantities(tokens=30.0))
    other = in_flight(engine, [ledger], work=Quantities(tokens=90.0))
    settle([engine], ledger)
    assert (one.charge.joules, other.charge.joules) == pytest.approx((25.0, 75.0))
    assert ledger.accounts["attributed"] == pytest.approx(100.0)
    assert (one.is_known, one.flags, one.settled.tokens) == (True, set(), 30.0)


@given(st.floats(0.001, 1000.0))
def test_the_scale_of_the_coefficients_does_not_matter(scale):
    """All of them wrong by the same factor: nothing changes but the price."""
    ledger, engine = make_ledger(), make_engine()
    engine.coefficients = type(COEFFICIENTS)(
        3.16 * scale,
        0.056 * scale,
        3.4e-5 * scale,
        0.0226 * scale,
    )
    one = in_flight(engine, [ledger], work=Quantities(steps=4.0, tokens=30.0, context=9000.0))
    other = in_flight(engine, [ledger], work=Quantities(steps=1.0, prompt=500.0))
    settle([engine], ledger)
    work = Quantities(steps=4.0, tokens=30.0, context=9000.0).joules(COEFFICIENTS)
    total = work + Quantities(steps=1.0, prompt=500.0).joules(COEFFICIENTS)
    assert one.charge.joules == pytest.approx(100.0 * work / total)
    assert one.charge.joules + other.charge.joules == pytest.approx(100.0)


def test_static_power_is_paid_by_whoever_keeps_the_card_busy():
    """A request with very little work in a busy bin pays all of it when it is alone."""
    ledger, engine = make_ledger(), make_engine()
    account = in_flight(engine, [ledger], work=Quantities(tokens=1e-6))
    settle([engine], ledger)
    assert account.charge.joules == pytest.approx(100.0)


def test_waiting_alone_has_a_price():
    """Where nobody has work to show, those in flight share by their time, sequence by sequence."""
    ledger, engine = make_ledger(), make_engine()
    one = in_flight(engine, [ledger], sequences=2)
    other = in_flight(engine, [ledger], begin=START + WIDTH / 2, sequences=4)
    settle([engine], ledger)
    assert (one.charge.joules, other.charge.joules) == pytest.approx((50.0, 50.0))
    assert not engine.price.is_known


def test_waiting_beside_somebody_who_works_costs_nothing():
    """A queue is free: whoever shows work pays."""
    ledger, engine = make_ledger(), make_engine()
    waiting = in_flight(engine, [ledger])
    working = in_flight(engine, [ledger], work=Quantities(tokens=5.0))
    settle([engine], ledger)
    assert (waiting.charge.joules, working.charge.joules) == (0.0, pytest.approx(100.0))


def test_idle_time_is_pro_rata_until_the_idle_power_is_known():
    """Half of the bin busy: half of its energy is idle, for want of better."""
    ledger, engine = make_ledger(), make_engine()
    account = in_flight(engine, [ledger], work=Quantities(tokens=5.0), end=START + WIDTH / 2)
    settle([engine], ledger)
    assert ledger.accounts["idle"] == pytest.approx(50.0)
    assert account.charge.joules == pytest.approx(50.0)


def test_idle_time_costs_the_idle_power_once_it_is_known():
    """Half of the bin at 80 W idle: 10 J are idle and the request pays the rest."""
    ledger, engine = make_ledger(), make_engine()
    ledger.idle_watts = 80.0
    account = in_flight(engine, [ledger], work=Quantities(tokens=5.0), end=START + WIDTH / 2)
    settle([engine], ledger)
    assert ledger.accounts["idle"] == pytest.approx(10.0)
    assert account.charge.joules == pytest.approx(90.0)


def test_whoever_was_served_has_taken_more_than_nothing():
    """An idle power above what the device drew is out by noise: a busy device draws no less, and time decides."""
    ledger, engine = make_ledger(watts=20.0), make_engine()
    ledger.idle_watts = 300.0
    account = in_flight(engine, [ledger], work=Quantities(tokens=5.0), end=START + WIDTH / 2)
    settle([engine], ledger)
    assert ledger.accounts["idle"] == pytest.approx(2.5)
    assert account.charge.joules == pytest.approx(2.5)


def test_the_idle_power_is_learned_after_two_idle_seconds():
    """The median of bins with nobody in flight, of which the first two seconds say nothing yet."""
    ledger, engine = make_ledger(watts=90.0, until=END + 5.0), make_engine()
    for index in range(BIN, BIN + 8):
        settle([engine], ledger, index=index)
    assert ledger.idle_watts is None
    settle([engine], ledger, index=BIN + 8)
    assert ledger.idle_watts == pytest.approx(90.0)


def test_the_idle_power_is_not_learned_from_what_is_not_sure():
    """Neither from bins with a flag, nor from bins of which there is no reading, nor soon after a request."""
    ledger, engine = make_ledger(until=END), make_engine()
    for index in range(BIN, BIN + 40):
        settle([engine], ledger, index=index)
    assert ledger.idle_watts is None
    ledger = make_ledger(watts=90.0, until=END + 10.0)
    for energy in ledger.counter._bins.values():
        energy.flags.add("interpolated")
    for index in range(BIN, BIN + 30):
        settle([engine], ledger, index=index)
    assert ledger.idle_watts is None
    ledger = make_ledger(watts=90.0, until=END + 10.0)
    in_flight(engine, [ledger], begin=START + 1.0, end=START + 1.1)
    for index in range(BIN, BIN + 4 + 9):
        settle([engine], ledger, index=index)
    assert ledger.idle_watts is None


def test_a_step_of_the_counter_is_divided_by_who_was_there():
    """Of one step that is half idle, the idle half draws the idle power and the busy half the rest, bins apart."""
    ledger = DeviceLedger(Device("gpu", "a card"), WIDTH)
    ledger.idle_watts = 80.0
    ledger.counter.add(Sample("gpu", 10.0, 0.0), oldest_open=0)
    ledger.busy.begin(10.0)
    ledger.busy.end(10.25)
    ledger.counter.add(Sample("gpu", 10.5, 120.0), oldest_open=0)
    assert (ledger.counter.peek(40), ledger.counter.peek(41)) == pytest.approx((100.0, 20.0))


def test_a_step_below_idle_power_is_divided_by_time():
    """A reading that came late makes a step look long: a short answer within it would else have cost nothing."""
    ledger = DeviceLedger(Device("gpu", "a card"), WIDTH)
    ledger.idle_watts = 80.0
    ledger.counter.add(Sample("gpu", 10.0, 0.0), oldest_open=0)
    ledger.busy.begin(10.0)
    ledger.busy.end(10.05)
    ledger.counter.add(Sample("gpu", 10.5, 35.0), oldest_open=0)
    assert (ledger.counter.peek(40), ledger.counter.peek(41)) == pytest.approx((17.5, 17.5))


@given(
    st.lists(st.tuples(st.floats(0.0, 0.3), st.floats(0.0, 0.3)), max_size=8),
    st.floats(0.001, 3.0),
    st.floats(0.0, 700.0),
    st.none() | st.floats(0.0, 200.0),
)
def test_however_it_is_divided_it_is_whole(stretches, seconds, watts, idle_watts):
    """The shares of a step are none below 0 and sum to 1, whoever was there."""
    ledger = DeviceLedger(Device("gpu", "a card"), WIDTH)
    ledger.idle_watts = idle_watts
    now = 10.0
    for pause, length in stretches:
        ledger.busy.begin(now + pause)
        now += pause + length
        ledger.busy.end(now)
    parts = list(ledger._divide(10.0, 10.0 + seconds, watts * seconds))
    assert sum(share for _, share in parts) == pytest.approx(1.0)
    assert all(share >= 0 for _, share in parts)


def test_engines_that_share_a_device_compete_in_joules():
    """Two servers on one GPU pay by their predicted joules, and it is said that they shared."""
    ledger = make_ledger()
    small, large = make_engine("small"), make_engine("large")
    large.coefficients = type(COEFFICIENTS)(0.0, 0.56, 0.0, 0.0)
    small.coefficients = type(COEFFICIENTS)(0.0, 0.14, 0.0, 0.0)
    one = in_flight(small, [ledger], work=Quantities(tokens=10.0))
    other = in_flight(large, [ledger], work=Quantities(tokens=10.0))
    settle([small, large], ledger)
    assert (one.charge.joules, other.charge.joules) == pytest.approx((20.0, 80.0))
    assert one.flags == other.flags == {"shared_device"}


def test_tensor_parallel_work_is_paid_on_every_device():
    """One engine on two devices of different power pays both; each carries half of its work."""
    first, second = make_ledger("a", 400.0), make_ledger("b", 100.0)
    engine = make_engine(devices=("a", "b"))
    account = in_flight(engine, [first, second], work=Quantities(tokens=5.0))
    settle([engine], first, second)
    assert account.charge.joules == pytest.approx(125.0)
    assert first.accounts["attributed"] == pytest.approx(100.0)
    assert engine.price.value == pytest.approx(125.0 / (5.0 * 0.056))


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_waiting_is_paid_only_where_nobody_works(order):
    """A server that waits on two devices, one of them busy with another's work, pays the other one, in any order."""
    ledgers = {"a": make_ledger("a", 400.0), "b": make_ledger("b", 100.0)}
    both, single = make_engine("both", ("a", "b")), make_engine("single", ("a",))
    waiting = in_flight(both, ledgers.values())
    working = in_flight(single, [ledgers["a"]], work=Quantities(tokens=5.0))
    settle([both, single], *(ledgers[name] for name in order))
    assert (waiting.charge.joules, working.charge.joules) == pytest.approx((25.0, 100.0))
    assert ledgers["a"].accounts["attributed"] == pytest.approx(100.0)


def test_a_bin_without_a_reading_makes_its_work_unknown():
    """Who did work in it has no total; who did none is not concerned."""
    ledger, engine = make_ledger(until=START), make_engine()
    working = in_flight(engine, [ledger], work=Quantities(tokens=5.0))
    idle = in_flight(engine, [ledger])
    settle([engine], ledger)
    assert (working.is_known, working.flags) == (False, {"gap"})
    assert (idle.is_known, idle.flags) == (True, set())
    assert not engine.price.is_known


def test_unresolved_energy_is_nobodys():
    """What a reading cannot vouch for goes to its own account, beside what was measured in the same bin."""
    ledger, engine = make_ledger(), make_engine()
    ledger.counter._book(BIN, 33.0, set(), is_lost=True)
    account = in_flight(engine, [ledger], work=Quantities(tokens=5.0))
    settle([engine], ledger)
    assert ledger.accounts["unresolved"] == 33.0
    assert account.charge.joules == pytest.approx(100.0)
    assert account.is_known


def test_who_began_before_the_first_reading_is_unknown():
    """The bin of the first reading is known to those who began after it, and to no one who began before."""
    ledger = DeviceLedger(Device("gpu", "a card"), WIDTH)
    for at in (START + 0.1, START + 0.2, END + 0.1):
        ledger.counter.add(Sample("gpu", at, 400.0 * at), oldest_open=0)
    engine = make_engine()
    before = in_flight(engine, [ledger], work=Quantities(tokens=5.0))
    after = in_flight(engine, [ledger], work=Quantities(tokens=5.0), begin=START + 0.15)
    settle([engine], ledger)
    assert not before.is_known
    assert after.is_known


def test_a_flag_of_the_bin_is_a_flag_of_who_pays_it():
    """Requests with work in an interpolated bin say so."""
    ledger, engine = make_ledger(), make_engine()
    ledger.counter._book(BIN, 1.0, {"interpolated"}, is_lost=False)
    account = in_flight(engine, [ledger], work=Quantities(tokens=5.0))
    settle([engine], ledger)
    assert account.flags == {"interpolated"}


def test_the_price_and_the_power_are_remembered():
    """A busy bin of 100 J for 50 J predicted is a price of 2, and 400 W."""
    ledger, engine = make_ledger(), make_engine()
    engine.coefficients = type(COEFFICIENTS)(0.0, 1.0, 0.0, 0.0)
    in_flight(engine, [ledger], work=Quantities(tokens=50.0))
    settle([engine], ledger)
    assert engine.price.value == pytest.approx(2.0)
    assert engine.busy_watts.value == pytest.approx(400.0)
    assert engine.seconds_of(100.0) == pytest.approx(0.5)


def test_a_moment_of_work_does_not_tell_the_power():
    """A bin that was busy for a hundredth of it is too short a time to divide by."""
    ledger, engine = make_ledger(), make_engine()
    in_flight(engine, [ledger], work=Quantities(tokens=50.0), end=START + WIDTH / 100)
    settle([engine], ledger)
    assert not engine.busy_watts.is_known


def test_an_account_is_final_with_its_last_bin():
    """Once it has ended before the edge and has no work left: neither earlier, nor while it goes on."""
    ledger, engine = make_ledger(), make_engine()
    done = in_flight(engine, [ledger], work=Quantities(tokens=1.0), end=START + 0.1)
    late = in_flight(engine, [ledger], work=Quantities(tokens=1.0), end=END)
    ongoing = in_flight(engine, [ledger], work=Quantities(tokens=1.0))
    assert settle([engine], ledger) == [done]
    assert settle([engine], ledger, index=BIN + 1) == [late]
    assert [account.is_final for account in (done, late, ongoing)] == [True, True, False]
    assert len(engine.works) == 1


def test_doubts_of_the_model_are_carried_along():
    """By how much a charge hangs on F, c_kv and c_p: what one would pay more the others would pay less."""
    ledger, engine = make_ledger(), make_engine()
    fixed = in_flight(engine, [ledger], work=Quantities(steps=10.0))
    prompt = in_flight(engine, [ledger], work=Quantities(prompt=1000.0))
    settle([engine], ledger)
    assert fixed.charge.by_fixed > 0.0 > fixed.charge.by_prompt
    for term in ("by_fixed", "by_context", "by_prompt"):
        assert getattr(fixed.charge, term) + getattr(prompt.charge, term) == pytest.approx(0.0)


def settled_alike(*, watts=400.0, busy_engines=1, payers=2):
    """So many attempts with the same work on each engine."""
    ledger = make_ledger(watts=watts)
    engines = [make_engine(f"model-{number}") for number in range(busy_engines)]
    accounts = [in_flight(engine, [ledger], work=Quantities(tokens=10.0)) for engine in engines for _ in range(payers)]
    settle(engines, ledger)
    return ledger, accounts


def test_who_pays_alone_is_not_in_doubt_about_the_price():
    """Of a bin that is divided, what goes to others may be wrong; the only payer bears what it was."""
    _, [alone] = settled_alike(payers=1)
    ledger, accounts = settled_alike(payers=4)
    assert alone.charge.joules == pytest.approx(100.0)
    assert alone.charge.scatter == 0.0
    expected = settlement_spread(ledger) * 25.0**2 * 0.75
    assert [account.charge.scatter for account in accounts] == pytest.approx([expected] * 4)


def test_beside_another_engine_nobody_pays_alone():
    """The only payer of its engine divides the device with the other's."""
    _, accounts = settled_alike(busy_engines=2, payers=1)
    assert all(account.charge.scatter > 0.0 for account in accounts)


def settlement_spread(ledger):
    """What a clean bin's price may be off by, the mean square, where readings alone say when energy was consumed."""
    spread = ledger.expected.spread
    return max(0.25 * spread, spread - 2.0 * (ledger.counter.edge_seconds / WIDTH) ** 2)
