"""All meters together: opened side by side, every device once, and nothing that is wrong with one is kept from whoever asks."""

import asyncio
import threading
import time

import pytest
from structlog.testing import capture_logs

from jevons.proxy.errors import MeterError, NothingToRead
from jevons.proxy.metering.attribution import Attribution
from jevons.proxy.metering.meter import Device, Sample
from jevons.proxy.metering.preferred import FirstUsable
from jevons.proxy.metering.readers import Readers

GPU, OTHER = Device("GPU-1", "a card"), Device("GPU-2", "a card")
SOON = 5.0


class Meter:
    """A meter with some devices, that opens when the test lets it."""

    def __init__(self, *devices, name="quiet", error=None, waits=None, problems=()):
        self.name = name
        self.devices = devices
        self.error = error
        self.waits = waits
        self.problems = list(problems)
        self.is_open = threading.Event()

    def open(self):
        self.is_open.set()
        if self.waits is not None:
            self.waits.wait(SOON)
        if self.error is not None:
            raise self.error
        return list(self.devices)

    def read(self):
        return [Sample(device.id, time.monotonic(), 1.0) for device in self.devices]

    def close(self):
        """Nothing is held."""


class Bench:
    """Readers over an attribution that takes no samples."""

    def __init__(self, *meters):
        self.attribution = Attribution()
        self.samples, self.arrived = [], []
        self.readers = Readers(
            meters,
            self.samples.extend,
            devices=self.attribution.devices,
            admit=self.attribution.add_device,
            arrive=lambda: self.arrived.append(1),
        )


async def test_meters_open_side_by_side():
    """One that takes its time holds up no other's opening; devices come in the order of the meters all the same."""
    meters = [Meter(GPU, waits=threading.Event()), Meter(OTHER, waits=threading.Event())]
    bench = Bench(*meters)
    opening = asyncio.create_task(bench.readers.open())
    for meter in meters:
        await asyncio.to_thread(meter.is_open.wait, SOON)
    for meter in reversed(meters):
        meter.waits.set()
        await asyncio.sleep(0.01)
    await opening
    assert list(bench.attribution.devices) == ["GPU-1", "GPU-2"]
    await bench.readers.wait_for_readings(SOON)
    assert {sample.device_id for sample in bench.samples} == {"GPU-1", "GPU-2"}
    bench.readers.close()


async def test_the_wait_for_first_readings_has_an_end():
    """A driver that hangs in its first reading does not hold up the start."""
    meter = Meter(GPU)
    may_end = threading.Event()
    meter.read = lambda: may_end.wait(SOON) and []
    bench = Bench(meter)
    await bench.readers.open()
    await bench.readers.wait_for_readings(0.01)
    assert bench.samples == []
    may_end.set()
    bench.readers.close()


async def test_a_device_is_read_once():
    """Of two meters that have the same one the first reads it, it answers to the names of both, and that is said."""
    far = Device("GPU-1", "far", configured_as="dcgm+http://n/metrics", aliases=("dcgm+http://n/metrics/GPU-1",))
    bench = Bench(Meter(GPU, name="nvidia"), Meter(far, OTHER, name="dcgm"))
    with capture_logs() as logs:
        await bench.readers.open()
    await bench.readers.wait_for_readings(SOON)
    assert [sampler.devices for sampler in bench.readers.samplers] == [[GPU], [OTHER]]
    device = bench.attribution.devices["GPU-1"].counter.device
    assert (device.name, device.configured_as) == ("a card", None)
    assert device.aliases == ("dcgm+http://n/metrics", "dcgm+http://n/metrics/GPU-1")
    reason = "GPU-1 is read by nvidia already: one counter is counted once"
    assert bench.readers.complaints == [("dcgm", reason)]
    assert [line["event"] for line in logs] == ["device read once"]
    bench.readers.close()


async def test_what_is_wrong_is_told():
    """Why meters cannot be used, and what those that can be used do not read, also of one that stands for several."""
    broken = Meter(name="amd", error=MeterError("no permission"))
    bench = Bench(
        Meter(name="nvidia", error=NothingToRead("no driver")),
        Meter(name="nvidia", error=MeterError("no answer")),
        FirstUsable("boards", [broken, Meter(GPU, problems=["GPU-9: not found"])]),
    )
    with capture_logs():
        await bench.readers.open()
    assert bench.readers.unusable == {"nvidia": "no driver; no answer"}
    assert bench.readers.complaints == [("boards", "GPU-9: not found")]
    assert bench.readers.has_failed
    bench.readers.close()


@pytest.mark.parametrize(("is_for_named", "has_failed"), [([True, True], False), ([True, False], True)])
async def test_a_meter_of_named_devices_alone_does_not_count_as_failed(is_for_named, has_failed):
    """A node that does not answer says nothing of this host's boards; one of several ways to read those does."""
    meters = [Meter(name="zeusd", error=MeterError("no answer")) for _ in is_for_named]
    for meter, value in zip(meters, is_for_named, strict=True):
        meter.is_for_named = value
    for group in (meters, [FirstUsable("boards", meters)]):
        bench = Bench(*group)
        with capture_logs():
            await bench.readers.open()
        assert bench.readers.has_failed is has_failed
        bench.readers.close()


async def test_a_meter_that_comes_later_is_read_from_then_on():
    """Its devices are admitted, whoever is to know is told, and it is no problem any more."""
    meter = Meter(GPU, name="zeusd", error=MeterError("no answer"))
    bench = Bench(meter)
    [sampler] = bench.readers.samplers
    sampler._retry_seconds = 0.001
    with capture_logs() as logs:
        await bench.readers.open()
        assert bench.readers.unusable == {"zeusd": "no answer"}
        meter.error = None
        for _ in range(1000):
            if bench.samples:
                break
            await asyncio.sleep(0.005)
    assert bench.arrived == [1]
    assert list(bench.attribution.devices) == ["GPU-1"]
    assert bench.samples[0].device_id == "GPU-1"
    assert bench.readers.unusable == {}
    assert [line["event"] for line in logs] == ["meter not usable", "meter usable"]
    bench.readers.close()
