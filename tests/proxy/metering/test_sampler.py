"""The sampler: a driver that is slow, broken or hangs costs its own device and nothing else."""

import asyncio
import threading
import time

import pytest

from jevons.proxy.errors import MeterError, NothingToRead
from jevons.proxy.metering.meter import Device, Sample
from jevons.proxy.metering.sampler import SILENT_SECONDS, Sampler

GPU = Device("gpu", "a card")
SOON = 5.0
"""Longer than anything here takes; nothing waits for it in vain."""


class ScriptedMeter:
    """A meter that does what the test says, and tells what was done with it."""

    name = "scripted"

    def __init__(self, *, opens=None, reads=None):
        self.opened = threading.Event()
        self.closed = threading.Event()
        self.release = threading.Event()
        self.reads = 0
        self._opens = opens
        self._reads = reads

    def open(self):
        if self._opens is not None:
            self._opens(self)
        self.opened.set()
        return [GPU]

    def read(self):
        self.reads += 1
        if self._reads is not None:
            self._reads(self)
        return [Sample("gpu", time.monotonic(), joules=float(self.reads))]

    def close(self):
        self.closed.set()


def hang(meter):
    """Not come back until the test is over."""
    meter.release.wait(SOON)


def fail(meter):
    """What a driver says that cannot be used."""
    raise MeterError("no driver: libnvidia-ml.so.1 not found")


def break_down(meter):
    """A bug."""
    raise ValueError("a bug in the driver's binding")


def make_sampler(meter, received=None, **options):
    return Sampler(meter, (received if received is not None else []).append, poll_seconds=0.001, **options)


async def until(condition):
    """Let the loop run until something is so."""
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.001)


async def test_samples_come_into_the_loop():
    """Each round of the thread arrives in the loop, in order, and the last one's meter is closed."""
    meter, received = ScriptedMeter(), []
    sampler = make_sampler(meter, received)
    await sampler.open()
    assert sampler.devices == [GPU]
    sampler.start()
    await until(lambda: len(received) >= 3)
    sampler.close()
    await until(meter.closed.is_set)
    assert [samples[0].joules for samples in received[:3]] == [1.0, 2.0, 3.0]


async def test_nothing_is_received_after_the_end():
    """A round that was under way when the sampler was closed is dropped."""
    meter, received = ScriptedMeter(), []
    sampler = make_sampler(meter, received)
    await sampler.open()
    sampler.start()
    sampler.close()
    count = len(received)
    await until(meter.closed.is_set)
    await asyncio.sleep(0)
    assert len(received) == count


async def test_a_driver_that_cannot_be_used_gives_its_reason():
    """Its own words; it is not silent, for nobody expects it to speak."""
    sampler = make_sampler(ScriptedMeter(opens=fail))
    with pytest.raises(MeterError, match="libnvidia-ml"):
        await sampler.open()
    assert sampler.devices == []
    assert sampler.problem == "no driver: libnvidia-ml.so.1 not found"
    assert sampler.silence(1e12) == []
    sampler.close()


async def test_a_meter_that_could_not_be_opened_is_tried_again():
    """A node that comes up later is told of, and read from when it is started."""
    tries, arrived, received = [], [], []

    def fail_twice(meter):
        tries.append(meter)
        if len(tries) < 3:
            raise MeterError(f"no answer, {len(tries)}")

    sampler = make_sampler(ScriptedMeter(opens=fail_twice), received, arrive=arrived.append, retry_seconds=0.001)
    with pytest.raises(MeterError, match="no answer, 1"):
        await sampler.open()
    await until(lambda: arrived)
    assert arrived == [sampler]
    assert (sampler.devices, sampler.problem) == ([GPU], None)
    assert received == []
    sampler.start()
    await until(lambda: received)
    sampler.close()


async def test_where_there_is_nothing_to_read_it_is_not_tried_again():
    """A machine without the driver gets none while the proxy runs: the thread ends."""

    def find_nothing(meter):
        raise NothingToRead("no driver")

    sampler = make_sampler(ScriptedMeter(opens=find_nothing), retry_seconds=0.001)
    sampler.meter.name = "nothing"
    with pytest.raises(NothingToRead):
        await sampler.open()
    await until(lambda: "meter-nothing" not in {thread.name for thread in threading.enumerate()})


async def test_only_what_was_admitted_is_read():
    """A device that another meter reads is left out."""

    class TwoBoards(ScriptedMeter):
        def open(self):
            return [GPU, Device("other", "a card")]

        def read(self):
            return [Sample("gpu", 1.0, 5.0), Sample("other", 1.0, 5.0)]

    received = []
    sampler = make_sampler(TwoBoards(), received)
    await sampler.open()
    sampler.start({"gpu"})
    await until(lambda: received)
    assert received[0] == [Sample("gpu", 1.0, 5.0)]
    assert sampler.devices == [GPU]
    sampler.close()


async def test_the_first_round_can_be_waited_for():
    """It comes at once, and not after the pause between two readings."""
    sampler = Sampler(ScriptedMeter(), [].append, poll_seconds=60.0)
    await sampler.open()
    assert not sampler.has_read.is_set()
    sampler.start()
    await asyncio.wait_for(sampler.has_read.wait(), SOON)
    sampler.close()


async def test_a_driver_that_hangs_while_it_is_opened_is_left():
    """After the timeout nobody waits for it; where nobody wants to know of it any more, what it does later goes nowhere."""
    meter, received = ScriptedMeter(opens=hang), []
    sampler = make_sampler(meter, received, open_timeout_seconds=0.01)
    with pytest.raises(MeterError, match=r"scripted: the driver did not answer in 0\.01 s"):
        await sampler.open()
    assert sampler.problem == "scripted: the driver did not answer in 0.01 s"
    meter.release.set()
    await until(meter.closed.is_set)
    assert received == []


async def test_a_driver_that_wakes_up_is_used():
    """One that took too long to open is told of when it has."""
    meter, arrived = ScriptedMeter(opens=hang), []
    sampler = make_sampler(meter, arrive=arrived.append, open_timeout_seconds=0.01)
    with pytest.raises(MeterError):
        await sampler.open()
    meter.release.set()
    await until(lambda: arrived)
    assert sampler.devices == [GPU]
    sampler.close()
    await until(meter.closed.is_set)


async def test_a_driver_that_hangs_is_down_after_a_while():
    """The loop goes on; after two seconds without a word every device has a failed sample, until it speaks again."""
    clock = [100.0]
    meter, received = ScriptedMeter(reads=hang), []
    sampler = make_sampler(meter, received, clock=lambda: clock[0])
    await sampler.open()
    assert sampler.silence(1e12) == []
    sampler.start()
    await until(lambda: meter.reads)
    assert sampler.silence(100.0 + SILENT_SECONDS) == []
    [sample] = sampler.silence(103.0)
    assert sample == Sample("gpu", 103.0, problem="no reading for 3 s: the driver hangs")
    clock[0] = 104.0
    meter.release.set()
    await until(lambda: received)
    assert sampler.silence(104.0) == []
    sampler.close()


async def test_nobody_waits_for_a_driver_that_hangs():
    """Closing returns at once, and the thread is a daemon: it does not keep the process."""
    meter = ScriptedMeter(reads=hang)
    sampler = make_sampler(meter)
    await sampler.open()
    sampler.start()
    await until(lambda: meter.reads)
    sampler.close()
    assert {thread.daemon for thread in threading.enumerate() if thread.name == "meter-scripted"} == {True}
    assert not meter.closed.is_set()
    meter.release.set()
    await until(meter.closed.is_set)


async def test_whoever_gives_up_opening_leaves_no_reader():
    """A start that is cancelled while the driver opens stops its thread."""
    meter = ScriptedMeter(opens=hang)
    sampler = make_sampler(meter)
    opening = asyncio.create_task(sampler.open())
    await asyncio.sleep(0.01)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    meter.release.set()
    await until(meter.closed.is_set)
    assert meter.reads == 0


@pytest.fixture
def thread_errors(monkeypatch):
    """What threads have died of."""
    errors = []
    monkeypatch.setattr(threading, "excepthook", lambda args: errors.append(args.exc_value))
    return errors


async def test_a_bug_is_not_taken_for_a_driver_that_hangs(thread_errors):
    """An error that no meter may raise ends the reader, and comes out where silence is asked about."""
    meter = ScriptedMeter(reads=break_down)
    sampler = make_sampler(meter)
    await sampler.open()
    sampler.start()
    await until(meter.closed.is_set)
    await until(lambda: sampler._bug is not None)
    with pytest.raises(ValueError, match="a bug in the driver's binding"):
        sampler.silence(0.0)
    await until(lambda: thread_errors)
    assert isinstance(thread_errors[0], ValueError)


async def test_a_bug_while_opening_is_raised(thread_errors):
    """It is no reason of the driver's, and the start fails with it."""
    with pytest.raises(ValueError, match="a bug"):
        await make_sampler(ScriptedMeter(opens=break_down)).open()
    await until(lambda: thread_errors)


def test_a_reader_ends_with_its_loop():
    """When the loop is gone there is nobody to read for."""
    meter = ScriptedMeter()

    async def start():
        sampler = make_sampler(meter)
        await sampler.open()
        sampler.start()

    asyncio.run(start())
    assert meter.closed.wait(SOON)
