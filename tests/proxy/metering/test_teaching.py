"""Tests of what energy models learn from a bin, alone and beside others."""

import pytest

from jevons.proxy.exchange import Coefficients
from jevons.proxy.metering.account import Quantities
from jevons.proxy.metering.engine import Engine
from jevons.proxy.metering.settlement import Bill, Bin, Reading, Weights
from jevons.proxy.metering.teaching import teach

WIDTH = 0.25
COEFFICIENTS = Coefficients(3.0, 0.05, 3e-5, 0.02)


def make_engine(name="model", devices=("gpu",)):
    return Engine(name, COEFFICIENTS, devices, bin_seconds=WIDTH)


def make_bill(engine, *, steps=10.0, others=None, unseen=0.0):
    """So much work, of which a part was only expected, and perhaps that of others."""
    bill = Bill(engine)
    bill.work.absorb(Quantities(steps=steps, tokens=80.0, context=40_000.0))
    bill.total = Weights(base=bill.work.joules(COEFFICIENTS))
    bill.unseen = unseen * bill.total.base
    if others is not None:
        bill.others = others
        bill.bypass = Weights(base=others.joules(COEFFICIENTS), prompt=others.prompt_joules(COEFFICIENTS))
        bill.total.add(bill.bypass)
    return bill


def play(engines, *, seconds=4.0, is_clean=True, **options):
    """Bins in which all of them work, on devices that are read."""
    for index in range(int(seconds / WIDTH)):
        bills = [make_bill(engine, **options) for engine in engines]
        readings = {name: Reading(50.0, WIDTH, is_clean) for engine in engines for name in engine.devices}
        settling = Bin(index, index * WIDTH, (index + 1) * WIDTH, bills, readings=readings)
        for bill in bills:
            teach(bill, settling)


def test_one_engine_learns_by_itself():
    """Four seconds are seen as they come."""
    engine = make_engine()
    play([engine])
    assert engine.fit.regression.seconds == pytest.approx(4.0, rel=0.01)


def test_engines_on_one_device_learn_together():
    """They share what is seen, once per bin, though each has its turn."""
    engines = [make_engine("one"), make_engine("other")]
    play(engines)
    assert engines[0].fit.regression is engines[1].fit.regression
    assert engines[0].fit.regression.seconds == pytest.approx(4.0, rel=0.01)


def test_engines_in_a_chain_of_devices_learn_together():
    """Whoever shares a device with one who shares a device with another is among them."""
    engines = [make_engine("left", ("a",)), make_engine("both", ("a", "b")), make_engine("right", ("b",))]
    play(engines)
    assert len({id(engine.fit.regression) for engine in engines}) == 1


def test_engines_on_devices_of_their_own_do_not():
    """Two cards, two models."""
    engines = [make_engine("one", ("a",)), make_engine("other", ("b",))]
    play(engines)
    assert engines[0].fit.regression is not engines[1].fit.regression
    assert [engine.fit.regression.seconds for engine in engines] == pytest.approx([4.0, 4.0], rel=0.01)


def test_of_too_many_on_one_device_nothing_is_learned():
    """Five and more cannot be told apart."""
    engines = [make_engine(str(number)) for number in range(5)]
    play(engines)
    assert engines[0].fit.regression.seconds == 0.0


def test_the_work_of_others_counts_in_longer_windows():
    """With others past the proxy a window is four seconds; where nothing is known of their work, none."""
    engine = make_engine()
    play([engine], seconds=3.0, others=Quantities(tokens=20.0))
    assert engine.fit.regression.seconds == 0.0
    play([engine], seconds=2.0, others=Quantities(tokens=20.0))
    assert engine.fit.regression.seconds == pytest.approx(4.0, rel=0.01)


def test_prompts_of_others_teach_nothing():
    """Where much of what is done is reading prompts of others, nobody knows when: nothing is learned."""
    engine = make_engine()
    play([engine], others=Quantities(tokens=20.0, prompt=600.0))
    assert engine.fit.regression.seconds == 0.0


@pytest.mark.parametrize("options", [{"is_clean": False}, {"unseen": 0.7}], ids=["not clean", "not seen"])
def test_a_bin_that_tells_nothing_is_skipped(options):
    """Energy without explanation teaches nothing, nor does work that was only expected."""
    engine = make_engine()
    play([engine], **options)
    assert engine.fit.regression.seconds == 0.0


def test_a_device_that_is_not_read_teaches_nothing():
    """Half of an engine's energy says nothing of its work."""
    engine = make_engine(devices=("a", "b"))
    bill = make_bill(engine)
    settling = Bin(0, 0.0, WIDTH, [bill], readings={"a": Reading(50.0, WIDTH, is_clean=True)})
    for _ in range(8):
        teach(bill, settling)
    assert engine.fit.regression.seconds == 0.0


def test_who_does_not_learn_is_left_alone():
    """Fixed coefficients stay."""
    engine = make_engine()
    engine.learns = False
    play([engine])
    assert engine.fit.regression.seconds == 0.0
