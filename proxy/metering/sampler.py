"""Reading devices without ever making a request wait for one.

Every meter has a reader of its own: a daemon thread, so that a driver that hangs stops neither the loop nor the exit. The
thread hands its samples to the loop; a device from which nothing has come for a while is down, with that as its reason.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Final

from ..errors import MeterError
from ..units import Seconds
from .meter import Device, EnergyMeter, Sample

POLL_SECONDS: Final = 0.05
SILENT_SECONDS: Final = 2.0
OPEN_TIMEOUT_SECONDS: Final = 10.0


class Sampler:
    """One meter, polled from its own thread; `receive` is called in the loop with each round of samples.

    Args:
        meter: What to read.
        receive: Takes one sample per device.
        clock: The one that `silence` is asked by.
        poll_seconds: The pause between two readings.
        open_timeout_seconds: How long a driver may take to open.
    """

    def __init__(
        self,
        meter: EnergyMeter,
        receive: Callable[[list[Sample]], None],
        *,
        clock: Callable[[], Seconds] = time.monotonic,
        poll_seconds: Seconds = POLL_SECONDS,
        open_timeout_seconds: Seconds = OPEN_TIMEOUT_SECONDS,
    ) -> None:
        self.meter = meter
        self.devices: list[Device] = []
        """Empty until the meter is open."""
        self._receive = receive
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._open_timeout_seconds = open_timeout_seconds
        self._stop = threading.Event()
        self._last_heard: Seconds = 0.0
        self._bug: BaseException | None = None

    async def open(self) -> None:
        """Start the thread and wait for the list of devices; raises MeterError with the driver's reason, or if it hangs."""
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[list[Device]] = loop.create_future()
        thread = threading.Thread(target=self._run, args=(loop, opened), name=f"meter-{self.meter.name}", daemon=True)
        thread.start()
        try:
            async with asyncio.timeout(self._open_timeout_seconds):
                self.devices = await opened
        except TimeoutError:
            reason = f"{self.meter.name}: the driver did not answer in {self._open_timeout_seconds:g} s"
            raise MeterError(reason) from None
        finally:
            if not self.devices:
                self.close()
        self._last_heard = self._clock()

    def close(self) -> None:
        """Ask the thread to stop; it is not waited for, since its driver may hang."""
        self._stop.set()

    def silence(self, now: Seconds) -> list[Sample]:
        """A failed sample per device when the reader has said nothing for too long; a bug that ended the reader is raised."""
        if self._bug is not None:
            raise self._bug
        silent = now - self._last_heard
        if silent <= SILENT_SECONDS:
            return []
        return [Sample(device.id, now, problem=f"no reading for {silent:.0f} s: the driver hangs") for device in self.devices]

    def _run(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[list[Device]]) -> None:
        try:
            devices = self.meter.open()
        except MeterError as error:
            _post(loop, _fail, opened, error)
            return
        except BaseException as error:
            _post(loop, _fail, opened, error)
            raise
        _post(loop, _resolve, opened, devices)
        try:
            while not self._stop.wait(self._poll_seconds):
                if not _post(loop, self._deliver, self.meter.read()):
                    return
        except BaseException as error:
            _post(loop, self._note_bug, error)
            raise
        finally:
            self.meter.close()

    def _deliver(self, samples: list[Sample]) -> None:
        self._last_heard = self._clock()
        if self.devices and not self._stop.is_set():
            self._receive(samples)

    def _note_bug(self, error: BaseException) -> None:
        self._bug = error


def _post(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: object) -> bool:
    """Have the loop call; False when the loop is gone, and then the thread may go as well."""
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        return False
    return True


def _resolve(opened: asyncio.Future[list[Device]], devices: list[Device]) -> None:
    if not opened.done():
        opened.set_result(devices)


def _fail(opened: asyncio.Future[list[Device]], error: BaseException) -> None:
    if not opened.done():
        opened.set_exception(error)
