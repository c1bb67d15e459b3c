"""From an account to what people see: unknown is None, bounds hold the figure, and every weakness is named."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from metering_world import COEFFICIENTS

from jevons.proxy.exchange import Energy, EnergyStatus, Method
from jevons.proxy.metering.account import Account, Charge, Quantities
from jevons.proxy.metering.bounds import GAIN_BOUND, NINE_OF_TEN, OPEN_DOUBT, UNSEEN_DOUBT, energy_of
from jevons.proxy.metering.engine import Engine
from jevons.proxy.metering.ledger import DeviceLedger
from jevons.proxy.metering.meter import Device, Sample
from jevons.proxy.metering.work import StreamedWork

WIDTH = 0.25


def make_device(**options):
    return DeviceLedger(Device(**{"id": "gpu", "name": "a card", **options}), WIDTH)


def make_engine():
    return Engine("model", COEFFICIENTS, ("gpu",), bin_seconds=WIDTH)


def make_account(joules=0.0, *, is_final=True, ended=12.0, **charge):
    return Account(WIDTH, 10.0, 1, charge=Charge(joules, **charge), is_final=is_final, ended=ended)


GAIN = GAIN_BOUND / NINE_OF_TEN
"""What the sensor's gain adds, in the unit of a standard deviation."""


def deviation(account, engine=None):
    """The standard deviation that the bounds of an account stand for."""
    energy = energy_of(account, engine or make_engine(), [make_device()])
    assert energy.joules - energy.low == pytest.approx(energy.high - energy.joules)
    return (energy.high - energy.joules) / NINE_OF_TEN


def test_a_final_energy_is_the_charge():
    """The charge of a long attempt, and bounds for the sensor's gain where nothing else is in doubt."""
    account = make_account(100.0, ended=1e6)
    assert deviation(account) == pytest.approx(100 * GAIN)
    energy = energy_of(account, make_engine(), [make_device()])
    assert energy == Energy(100.0, energy.low, energy.high, Method.MEASURED, EnergyStatus.FINAL, "gpu", ())


def test_doubts_add_up_as_squares():
    """Scatter of 4 J a bin and its neighbours, 50 J beside tokens that nobody saw, and the sensor."""
    account = make_account(100.0, scatter=16.0, beside_unseen=50.0, ended=1e6)
    assert deviation(account) == pytest.approx(math.hypot(100 * GAIN, math.sqrt(1.3 * 16.0), 50 * UNSEEN_DOUBT))


def test_what_hangs_on_the_model_is_as_sure_as_the_model():
    """20 J that F would add and tokens would lose: as far as each of the two is in doubt, and less where they err together."""
    account, engine = make_account(100.0, by_fixed=20.0, ended=1e6), make_engine()
    engine.fit.covariance = [[0.04 if i == j else 0.0 for j in range(4)] for i in range(4)]
    assert deviation(account, engine) == pytest.approx(math.hypot(100 * GAIN, 20 * 0.2, 20 * 0.2))
    engine.fit.covariance = [[0.04] * 4 for _ in range(4)]
    assert deviation(account, engine) == pytest.approx(100 * GAIN)


def test_a_prompt_that_nobody_counted_is_in_doubt():
    """Of 1,000 tokens that are known to within a fifth."""
    account, engine = make_account(100.0, ended=1e6), make_engine()
    account.prompt_doubt, account.settled = 0.2, Quantities(prompt=1000.0)
    prompt = 0.2 * 1000.0 * COEFFICIENTS.joules_per_prompt_token
    assert deviation(account, engine) == pytest.approx(math.hypot(100 * GAIN, prompt))


@pytest.mark.parametrize(("seconds", "doubt"), [(0.75, 2.0), (0.15, 10.0), (0.03, 50.0)])
def test_a_short_attempt_is_less_sure(seconds, doubt):
    """What is read every 50 ms is placed to about 15 ms."""
    assert deviation(make_account(100.0, ended=10.0 + seconds)) == pytest.approx(math.hypot(100 * GAIN, doubt))


@pytest.mark.parametrize("seconds", [0.01, 0.0])
def test_of_an_instant_nothing_is_sure(seconds):
    """Shorter than energy can be placed: all of it may be a neighbour's."""
    energy = energy_of(make_account(100.0, ended=10.0 + seconds), make_engine(), [make_device()])
    assert energy.low == 0.0
    assert energy.high == pytest.approx(100.0 + NINE_OF_TEN * math.hypot(100 * GAIN, 100.0))


def test_no_device_is_unknown():
    """Without a device there is no figure, no method and no scope; the status is told all the same."""
    energy = energy_of(make_account(), make_engine(), [])
    assert energy == Energy(status=EnergyStatus.FINAL)


def test_a_simulation_says_so():
    """One simulated device among several makes the figure simulated."""
    devices = [make_device(), make_device(id="other", name="a card (simulated)")]
    assert energy_of(make_account(1.0), make_engine(), devices).method is Method.SIMULATED


@pytest.mark.parametrize(
    ("scopes", "scope"), [(["gpu", "gpu"], "gpu"), (["module"], "module"), (["gpu", "cpu"], "gpu+cpu"), (["cpu"], "cpu")]
)
def test_the_scope_is_what_the_counters_cover(scopes, scope):
    """One scope where all are of it, both where a processor is beside a GPU."""
    devices = [make_device(id=str(number), scope=scope) for number, scope in enumerate(scopes)]
    assert energy_of(make_account(1.0), make_engine(), devices).scope == scope


def test_open_work_is_priced_at_the_recent_price():
    """Charged 10 J, and 20 J predicted at a price of 2: 50 J, of which 40 J have not settled."""
    engine = make_engine()
    engine.price.see(2.0, 1.0)
    account = make_account(10.0, is_final=False, ended=None)
    account.bin(44).add(Quantities(tokens=20.0 / COEFFICIENTS.joules_per_token))
    energy = energy_of(account, engine, [make_device()])
    assert energy.status is EnergyStatus.PROVISIONAL
    assert energy.joules == pytest.approx(50.0)
    assert energy.high - 50.0 == pytest.approx(NINE_OF_TEN * math.hypot(50 * GAIN, 40 * OPEN_DOUBT))


def test_before_anything_is_seen_nothing_is_known():
    """An attempt that has nothing to show yet has consumed something, but nobody knows what."""
    energy = energy_of(make_account(is_final=False, ended=None), make_engine(), [make_device()])
    assert energy == Energy(status=EnergyStatus.PROVISIONAL)


def test_work_without_any_price_is_unknown():
    """Before the first bin is measured there is nothing to price with."""
    account = make_account(is_final=False)
    account.bin(44).add(Quantities(tokens=20.0))
    assert energy_of(account, make_engine(), [make_device()]).joules is None


def test_the_first_price_comes_from_the_bins_that_are_open():
    """The very first request is priced by what was measured since it began, bins that are whole before those that are not."""
    engine, device = make_engine(), make_device()
    work = StreamedWork(Account(WIDTH, 10.0, 1), engine, 0.0)
    engine.works[work] = None
    for index in (40, 41):
        work.account.bin(index).add(Quantities(tokens=100.0))
    device.counter.add(Sample("gpu", 10.0, 0.0), oldest_open=0)
    assert energy_of(work.account, engine, [device]).joules is None
    device.counter.add(Sample("gpu", 10.125, 30.0), oldest_open=0)
    assert energy_of(work.account, engine, [device]).joules == pytest.approx(30.0)
    device.counter.add(Sample("gpu", 10.375, 150.0), oldest_open=0)
    assert energy_of(work.account, engine, [device]).joules == pytest.approx(2 * 90.0)


def test_a_device_that_was_lost_gives_no_first_price():
    """What it had counted of the bin before it was lost is no price of the whole of it."""
    engine, device = make_engine(), make_device()
    work = StreamedWork(Account(WIDTH, 10.0, 1), engine, 0.0)
    engine.works[work] = None
    work.account.bin(40).add(Quantities(tokens=100.0))
    device.counter.add(Sample("gpu", 10.0, 0.0), oldest_open=0)
    device.counter.add(Sample("gpu", 10.05, 3.0), oldest_open=0)
    assert energy_of(work.account, engine, [device]).joules == pytest.approx(3.0)
    device.counter.add(Sample("gpu", 10.15, problem="GPU is lost"), oldest_open=0)
    assert energy_of(work.account, engine, [device]).joules is None


def test_what_fell_into_a_gap_leaves_a_floor():
    """The whole is unknown, what was measured of it is its least."""
    account = make_account(40.0)
    account.is_known = False
    account.flags.add("gap")
    energy = energy_of(account, make_engine(), [make_device()])
    assert (energy.joules, energy.low, energy.high, energy.quality) == (None, 40.0, None, ("gap",))


def test_a_floor_of_nothing_is_no_floor():
    """Where nothing at all was measured, not even the least is known."""
    account = make_account(0.0)
    account.is_known = False
    energy = energy_of(account, make_engine(), [make_device()])
    assert (energy.joules, energy.low, energy.method) == (None, None, None)


def test_weaknesses_are_named_in_order():
    """The account's flags, those of its devices, and that it was shorter than the counter's step."""
    account = make_account(1.0, ended=10.05)
    account.flags |= {"shared_device", "interpolated"}
    energy = energy_of(account, make_engine(), [make_device(quality=frozenset({"coarse"}))])
    assert energy.quality == ("coarse", "interpolated", "resolution", "shared_device")


joules = st.floats(0.0, 1e9)


@given(joules, joules, joules, st.floats(0.0, 1e6), st.floats(0.0, 1e4))
def test_the_bounds_hold_the_figure(charged, by_fixed, by_prompt, tokens, price):
    """Whatever the doubts, low is not below 0, nor above the figure, nor the figure above high."""
    engine = make_engine()
    engine.price.see(price, 1.0)
    account = make_account(charged, by_fixed=by_fixed, by_prompt=by_prompt, is_final=False)
    account.bin(44).add(Quantities(tokens=tokens))
    energy = energy_of(account, engine, [make_device()])
    if energy.joules is not None:
        assert 0 <= energy.low <= energy.joules <= energy.high < math.inf


def test_what_engines_bear_of_each_other_is_in_doubt():
    """By 16 J a charge may be off since another engine is on the same card: that adds to the sensor's gain."""
    account, engine = make_account(100.0, beside_rivals=16.0, ended=1e6), make_engine()
    assert deviation(account, engine) == pytest.approx(math.hypot(100 * GAIN, 16.0))
