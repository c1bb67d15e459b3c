"""All meters of one configuration: opened side by side, every device known once, and what is wrong with any of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

import structlog

from ..errors import MeterError, NothingToRead
from ..units import Seconds
from .ledger import DeviceLedger
from .meter import Device, EnergyMeter, HasProblems, MayBeNamed, Sample
from .sampler import Sampler

FIRST_READING_SECONDS: Final[Seconds] = 1.0
"""How long the start waits for every device to be read once: a request that began before would have no figure."""

log = structlog.get_logger("jevons.metering")


class Readers:
    """The meters and their readers.

    Args:
        meters: What to read.
        receive: Takes each round of samples, of devices that were admitted.
        devices: The devices that are known, by id.
        admit: Called with each new device, before its first sample.
        arrive: Called after devices were admitted that came later than the start.
        clock: The one that samples are dated by.
    """

    def __init__(
        self,
        meters: Sequence[EnergyMeter],
        receive: Callable[[list[Sample]], None],
        *,
        devices: dict[str, DeviceLedger],
        admit: Callable[[Device], None],
        arrive: Callable[[], None],
        clock: Callable[[], Seconds] = time.monotonic,
    ) -> None:
        self.has_failed = False
        """A meter of this host's boards could not be used although there may be some: what is on them is unknown, and not to be
        estimated. A node or processors that cannot be read matter to those alone who name them."""
        self._receive = receive
        self._devices = devices
        self._admit_device = admit
        self._arrive = arrive
        self._readers: dict[str, str] = {}
        """By device: the meter that reads it."""
        self._refused: list[tuple[str, str]] = []
        """Meters, and what they were not to read."""
        self.samplers = [Sampler(meter, receive, arrive=self._late, clock=clock) for meter in meters]

    async def open(self) -> None:
        """Open all meters at the same time; one that cannot be used is in `problems`, and is tried again later."""
        await asyncio.gather(*(self._open(sampler) for sampler in self.samplers))
        for sampler in self.samplers:
            if sampler.problem is None:
                self._admit(sampler)

    async def _open(self, sampler: Sampler) -> None:
        try:
            await sampler.open()
        except MeterError as error:
            is_for_named = isinstance(sampler.meter, MayBeNamed) and sampler.meter.is_for_named
            self.has_failed |= not is_for_named and not isinstance(error, NothingToRead)
            log.warning("meter not usable", meter=sampler.meter.name, reason=str(error))

    async def wait_for_readings(self, timeout_seconds: Seconds = FIRST_READING_SECONDS) -> None:
        """Wait until every device has been read once, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                for sampler in self.samplers:
                    if sampler.problem is None:
                        await sampler.has_read.wait()

    def _late(self, sampler: Sampler) -> None:
        log.info("meter usable", meter=sampler.meter.name, devices=[device.id for device in sampler.devices])
        self._admit(sampler)
        self._arrive()

    def _admit(self, sampler: Sampler) -> None:
        """Let a meter read what no other does: the first of two keeps a device, which then answers to the names of both."""
        own = set()
        for device in sampler.devices:
            reader = self._readers.setdefault(device.id, sampler.meter.name)
            if device.id not in self._devices:
                own.add(device.id)
                self._admit_device(device)
                continue
            counter = self._devices[device.id].counter
            names = {*counter.device.aliases, *device.aliases, device.configured_as or device.id} - {device.id}
            counter.device = replace(counter.device, aliases=tuple(sorted(names)))
            problem = f"{device.id} is read by {reader} already: one counter is counted once"
            self._refused.append((sampler.meter.name, problem))
            log.warning("device read once", device=device.id, meter=sampler.meter.name, reason=problem)
        sampler.start(own)

    def silence(self, now: Seconds) -> None:
        """Take readers that have said nothing for too long for devices that are down."""
        for sampler in self.samplers:
            self._receive(sampler.silence(now))

    @property
    def unusable(self) -> dict[str, str]:
        """By meter: why it could not be opened."""
        found: dict[str, str] = {}
        for sampler in self.samplers:
            if sampler.problem is not None:
                before = found.get(sampler.meter.name)
                found[sampler.meter.name] = sampler.problem if before is None else f"{before}; {sampler.problem}"
        return found

    @property
    def complaints(self) -> list[tuple[str, str]]:
        """Meters that are used, and what they cannot read all the same."""
        said = [
            (sampler.meter.name, problem)
            for sampler in self.samplers
            if sampler.problem is None and isinstance(sampler.meter, HasProblems)
            for problem in sampler.meter.problems
        ]
        return said + self._refused

    def close(self) -> None:
        """Let go of the devices."""
        for sampler in self.samplers:
            sampler.close()
