"""One worker's accounts: what is stated of them, and when."""

import msgspec
import pytest

from jevons.proxy.exchange import Coefficients, Usage
from jevons.proxy.metering.contributor import Contributor
from jevons.proxy.metering.engine import Engine
from jevons.proxy.metering.meter import Device
from jevons.proxy.metering.settlement import Bill
from jevons.proxy.metering.shared_counts import SharedCounts
from jevons.proxy.metering.statements import Due, Model, settled

MODEL = Model((1.0, 0.1, 0.0, 0.01), tuple((0.1,) * 4 for _ in range(4)), is_estimated=False)


@pytest.fixture
def told():
    """How often an edge was told of."""
    return []


@pytest.fixture
def worker(told):
    """A worker that knows one engine on one device."""
    worker = Contributor(SharedCounts.create(1)[0].row(0), lambda: told.append(1))
    worker.mirror(Device("GPU", "virtual"), 0.004)
    worker.know("m", 0, ("GPU",), MODEL, doubt=(0.3, 0.3, 0.3, 0.3))
    return worker


def begin(worker, now, *, is_streamed=True):
    return worker.begin("m", now, prompt_tokens=10.0, sequences=1, is_streamed=is_streamed, decodes=True)


def price(index, *, is_held=False, base=1.0, engine="m"):
    """A bin's, 3 J per predicted joule."""
    told = settled(
        Bill(Engine("m", Coefficients(1.0, 0.1, 0.0, 0.01), (), bin_seconds=0.25)), index, 1.0, is_held=is_held, model=MODEL
    )
    return msgspec.structs.replace(told, engine=engine, price=3.0, base=base, busy_seconds=0.25)


def test_work_is_stated_once_and_charged_at_its_price(worker):
    """A bin that was stated takes no more; the charge is price x work, and the account is final when nothing is owed."""
    work = begin(worker, 10.0)
    work.chunks(10.1, 1)
    work.chunks(10.3, 1)
    first = worker.answer([Due(("m",), 40)], 10.4)
    assert [one.index for one in first.stated] == [40]
    assert first.reached == {"m": 41}
    assert worker.answer([Due(("m",), 40)], 10.4).stated == ()
    assert worker.take(price(40)) == []
    assert work.account.charge.joules == pytest.approx(3.0 * first.stated[0].base)
    work.finish(10.45, Usage(10, 0, 0, 2))
    worker.end("m", work, 10.45)
    second = worker.answer([Due(("m",), 42)], 11.0)
    assert {one.index for one in second.stated} == {41}
    assert worker.take(price(41)) == [work.account]
    assert work.account.is_final


def test_a_stream_that_waits_holds_its_bins(worker):
    """Nothing is stated beyond its beginning, until its first token or the horizon."""
    begin(worker, 10.1)
    assert worker.answer([Due(("m",), 44)], 11.0).reached == {"m": 40}
    assert worker.answer([Due(("m",), 44)], 19.0).reached == {"m": 45}


def test_time_in_flight_where_no_work_is_shown(worker):
    """It is stated beside, and pays where nobody has shown work."""
    work = begin(worker, 10.0)
    statement = worker.answer([Due(("m",), 40)], 19.0)
    assert (statement.stated[0].base, statement.stated[0].held) == (0.0, 0.25)
    worker.take(price(40, is_held=True))
    assert work.account.charge.joules == pytest.approx(0.75)


def test_a_bin_that_settled_without_us(worker):
    """What was stated of it is charged with another."""
    work = begin(worker, 10.0)
    work.chunks(10.1, 1)
    work.chunks(10.2, 1)
    statement = worker.answer([Due(("m",), 40)], 10.4)
    worker.move_statement("m", 40, 50)
    worker.take(price(40))
    assert work.account.charge.joules == 0.0
    worker.take(price(50))
    assert work.account.charge.joules == pytest.approx(3.0 * statement.stated[0].base)


def test_edges(worker, told):
    """Only when the first begins and the last ends."""
    one, two = begin(worker, 10.0), begin(worker, 10.1)
    worker.end("m", one, 10.2)
    worker.end("m", one, 10.2)
    worker.end("m", two, 10.3)
    assert worker.edges == [("m", 10.0, True), ("m", 10.3, False)]
    assert len(told) == 2
    assert not worker.look(10.4)


def test_an_engine_that_moves(worker):
    """It runs on other devices once nothing of ours is open there."""
    work = begin(worker, 10.0)
    worker.mirror(Device("other", "virtual"), 0.015)
    worker.know("m", 0, ("other",), MODEL, doubt=(0.3, 0.3, 0.3, 0.3))
    assert worker.engines["m"].devices == ("GPU",)
    worker.end("m", work, 10.1)
    worker.answer([Due(("m",), 44)], 11.1)
    for index in range(40, 45):
        worker.take(price(index))
    begin(worker, 12.0)
    assert worker.engines["m"].devices == ("other",)
    assert worker.devices["other"].counter.placing_seconds == 0.015


def test_the_owner_s_model_is_used(worker):
    """Coefficients, their covariance, and whether it is an estimate; of an engine that is not known nothing is taken."""
    worker.take_model("m", Model((2.0, 0.2, 0.0, 0.02), ((0.5,),), is_estimated=True))
    engine = worker.engines["m"]
    assert engine.coefficients == Coefficients(2.0, 0.2, 0.0, 0.02)
    assert engine.fit.covariance == [[0.5]]
    assert engine.is_estimated
    assert worker.take(price(1, engine="other")) == []
