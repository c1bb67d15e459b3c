"""A worker's part of metering, on the real loop."""

import asyncio

import pytest

from jevons.proxy.exchange import Endpoint, Request, Usage
from jevons.proxy.metering.carbon import Carbon
from jevons.proxy.metering.collector import Collector
from jevons.proxy.metering.meter import Device, Sample
from jevons.proxy.metering.shared_counts import SharedCounts
from jevons.proxy.metering.statements import Model
from jevons.proxy.workers.messages import DeviceTold, Engines, EngineTold
from jevons.proxy.workers.metering import EDGES_APART_SECONDS, WorkerMetering

MODEL = Model((1.0, 0.1, 0.0, 0.01), tuple((0.1,) * 4 for _ in range(4)), is_estimated=False)
ENGINES = Engines((EngineTold("m", 0, ("GPU",), (0.3, 0.3, 0.3, 0.3), MODEL),), (DeviceTold(Device("GPU", "virtual"), 0.004),))
REQUEST = Request("r", Endpoint.CHAT, None, "m", 0.0, stream=True)  # type: ignore[arg-type]  # nobody sends its body


@pytest.fixture
def told():
    """When edges were to be told of."""
    return asyncio.Event()


@pytest.fixture
def metering(told):
    """One worker's, that knows one engine."""
    metering = WorkerMetering(SharedCounts.create(1)[0].row(0), Carbon(gco2e_per_kwh=100.0), told.set)
    metering.know(ENGINES)
    return metering


async def test_an_attempt_is_told_of_and_priced(metering, told):
    """From its beginning to its final energy, with an owner in the same process."""
    owner = Collector()
    owner.add_device(Device("GPU", "virtual"))
    owner.add_engine("m", metering.attribution.engines["m"].coefficients, ["GPU"])
    owner.join(0, metering.clock())
    attempt = metering.begin("m", REQUEST)
    await told.wait()
    owner.take_edges(0, metering.contributor.edges)
    attempt.chunks(1)
    attempt.chunks(1)
    attempt.finish(Usage(10, 0, 0, 2))
    attempt.end()
    assert metering.in_flight("m") == 0
    finals = []
    attempt.when_final(lambda: finals.append(1))
    start = metering.clock()
    for step in range(8):
        owner.sample(Sample("GPU", start - 1.0 + step * 0.5, joules=100.0 * step))
    later = start + 2.0
    owner.take(0, metering.contributor.answer(owner.dues(later), later))
    owner.settle(later)
    metering.take(owner.take_settled())
    assert finals == [1]
    assert attempt.energy.joules == pytest.approx(owner.devices["GPU"].accounts["attributed"], rel=1e-9)
    assert attempt.energy.gco2e is not None


async def test_what_a_decision_may_look_at(metering):
    """The power of the devices, by the owner's last word, and how many are in flight anywhere."""
    metering.watts = {"GPU": 70.0, "other": None}
    assert [device.watts for device in metering.state().devices] == [70.0, None]
    attempt = metering.begin("m", REQUEST)
    assert metering.in_flight("m") == 1
    assert metering.in_flight("nobody's") == 0
    attempt.end()
    await asyncio.sleep(0.05)


async def test_edges_that_come_often_are_told_together():
    """Soon after one message the next waits, and has all that came until then."""
    told: asyncio.Queue = asyncio.Queue()

    def tell():
        told.put_nowait((metering.clock(), list(metering.contributor.edges)))
        metering.contributor.edges.clear()

    metering = WorkerMetering(SharedCounts.create(1)[0].row(0), Carbon(), tell)
    metering.know(ENGINES)
    metering.begin("m", REQUEST).end()
    first, edges = await told.get()
    assert len(edges) == 2
    metering.begin("m", REQUEST).end()
    metering.begin("m", REQUEST).end()
    second, edges = await told.get()
    assert len(edges) == 4
    assert second - first >= 0.9 * EDGES_APART_SECONDS
