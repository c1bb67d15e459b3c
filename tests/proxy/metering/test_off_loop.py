"""Work that may hang: its result comes back, and nobody waits for what never ends."""

import asyncio
import threading

import pytest

from jevons.proxy.metering.off_loop import off_loop


async def test_the_result_comes_back():
    """From another thread than the loop's."""
    assert await off_loop(threading.get_ident, name="work") != threading.get_ident()
    assert await off_loop(lambda: None, name="work") is None


async def test_what_it_raises_comes_back():
    """A disk that is full is the caller's to deal with."""

    def fail():
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        await off_loop(fail, name="work")


async def test_who_waits_can_stop_waiting():
    """A thread that hangs is left behind: it is a daemon, and its late result goes nowhere."""
    may_end, has_ended = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def hang():
        may_end.wait()
        loop.call_soon_threadsafe(has_ended.set)

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await off_loop(hang, name="hanging-disk")
    assert [thread.daemon for thread in threading.enumerate() if thread.name == "hanging-disk"] == [True]
    may_end.set()
    await has_ended.wait()
