"""Reading devices without ever making a request wait for one.

Every meter has a reader of its own: a daemon thread, so that a driver that hangs stops neither the loop nor the exit. The
thread hands its samples to the loop; a device from which nothing has come for a while is down, with that as its reason. A
meter that cannot be opened is tried again and again, for a node may come up later than the proxy does.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection
from typing import Final

from ..errors import MeterError, NothingToRead
from ..units import Seconds
from .meter import Device, EnergyMeter, Sample

POLL_SECONDS: Final = 0.05
SILENT_SECONDS: Final = 2.0
OPEN_TIMEOUT_SECONDS: Final = 10.0
RETRY_SECONDS: Final = 30.0


class Sampler:
    """One meter, polled from its own thread; `receive` is called in the loop with each round of samples.

    Args:
        meter: What to read.
        receive: Takes one sample per device.
        arrive: Told in the loop when a meter is open after all, that `open` had given up. It may then `start`.
        clock: The one that `silence` is asked by.
        poll_seconds: The pause between two readings.
        open_timeout_seconds: How long a driver may take to open.
        retry_seconds: The pause before a meter that could not be opened is tried again.
    """

    def __init__(
        self,
        meter: EnergyMeter,
        receive: Callable[[list[Sample]], None],
        *,
        arrive: Callable[[Sampler], None] | None = None,
        clock: Callable[[], Seconds] = time.monotonic,
        poll_seconds: Seconds = POLL_SECONDS,
        open_timeout_seconds: Seconds = OPEN_TIMEOUT_SECONDS,
        retry_seconds: Seconds = RETRY_SECONDS,
    ) -> None:
        self.meter = meter
        self.devices: list[Device] = []
        """Empty until the meter is open."""
        self.problem: str | None = None
        """Why it is not."""
        self.has_read = asyncio.Event()
        """Set by the first round of samples, or by none to come."""
        self._receive = receive
        self._arrive = arrive
        self._clock = clock
        self._poll_seconds = poll_seconds
        self._open_timeout_seconds = open_timeout_seconds
        self._retry_seconds = retry_seconds
        self._stop = threading.Event()
        self._go = threading.Event()
        self._ids: frozenset[str] = frozenset()
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
            self.problem = f"{self.meter.name}: the driver did not answer in {self._open_timeout_seconds:g} s"
            raise MeterError(self.problem) from None
        except MeterError:
            raise
        except BaseException:
            self.close()
            raise

    def start(self, ids: Collection[str] | None = None) -> None:
        """Begin to read: all devices, or those with these ids."""
        self._ids = frozenset(device.id for device in self.devices if ids is None or device.id in ids)
        self.devices = [device for device in self.devices if device.id in self._ids]
        self._last_heard = self._clock()
        self._go.set()

    def close(self) -> None:
        """Ask the thread to stop; it is not waited for, since its driver may hang."""
        self._stop.set()
        self._go.set()

    def silence(self, now: Seconds) -> list[Sample]:
        """A failed sample per device when the reader has said nothing for too long; a bug that ended the reader is raised."""
        if self._bug is not None:
            raise self._bug
        silent = now - self._last_heard
        if silent <= SILENT_SECONDS or not self._go.is_set():
            return []
        return [Sample(device.id, now, problem=f"no reading for {silent:.0f} s: the driver hangs") for device in self.devices]

    def _run(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[list[Device]]) -> None:
        try:
            devices = self._open_in_the_end(loop, opened)
        except BaseException as error:
            _post(loop, self._fail, opened, error)
            raise
        if devices is None:
            return
        _post(loop, self._resolve, opened, devices)
        try:
            self._go.wait()
            while not self._stop.is_set() and _post(loop, self._deliver, self.meter.read()):
                self._stop.wait(self._poll_seconds)
        except BaseException as error:
            _post(loop, self._note_bug, error)
            raise
        finally:
            self.meter.close()

    def _open_in_the_end(self, loop: asyncio.AbstractEventLoop, opened: asyncio.Future[list[Device]]) -> list[Device] | None:
        """The devices, at the first try or a later one; None where there is nothing to be opened, or nobody wants it any more."""
        while True:
            try:
                return self.meter.open()
            except MeterError as error:
                is_there = _post(loop, self._fail, opened, error)
                if not is_there or isinstance(error, NothingToRead) or self._stop.wait(self._retry_seconds):
                    return None

    def _resolve(self, opened: asyncio.Future[list[Device]], devices: list[Device]) -> None:
        if not opened.done():
            opened.set_result(devices)
        elif not self._stop.is_set() and self._arrive is not None:
            self.devices, self.problem = devices, None
            self._arrive(self)
        else:
            self.close()

    def _fail(self, opened: asyncio.Future[list[Device]], error: BaseException) -> None:
        if isinstance(error, MeterError):
            self.problem = str(error)
        if not opened.done():
            opened.set_exception(error)
        elif not isinstance(error, MeterError):
            self._bug = error

    def _deliver(self, samples: list[Sample]) -> None:
        self._last_heard = self._clock()
        if not self._stop.is_set():
            self._receive([sample for sample in samples if sample.device_id in self._ids])
        self.has_read.set()

    def _note_bug(self, error: BaseException) -> None:
        self._bug = error


def _post(loop: asyncio.AbstractEventLoop, call: Callable[..., None], *args: object) -> bool:
    """Have the loop call; False when the loop is gone, and then the thread may go as well."""
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        return False
    return True
