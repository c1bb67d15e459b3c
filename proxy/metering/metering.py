"""Metering as the request path sees it: begin an attempt, tell it what passes by, ask what it has cost.

Nothing here waits for a device: readings come from the samplers' threads, and bins settle on a timer of the loop.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import structlog

from ..errors import MeterError
from ..exchange import Energy, MeteringState, Request, Upstream, Usage
from ..units import Seconds
from .attribution import Attribution
from .carbon import Carbon
from .coefficients import prior
from .meter import Device, EnergyMeter, Sample
from .sampler import Sampler
from .work import Work

SETTLE_SECONDS: Final = 0.1

log = structlog.get_logger("jevons.metering")


@dataclass(slots=True)
class MeteredAttempt:
    """One attempt, from its beginning at the upstream to its settled energy."""

    _metering: Metering
    _upstream: str
    _work: Work

    def chunks(self, count: int) -> None:
        """So many chunks of output have just arrived."""
        self._work.chunks(self._metering.clock(), count)

    def finish(self, usage: Usage) -> None:
        """The token counts are known."""
        self._work.finish(self._metering.clock(), usage)

    def end(self) -> None:
        """The upstream does no more for it. Asking twice is asking once."""
        self._metering.attribution.end(self._upstream, self._work, self._metering.clock())

    @property
    def is_final(self) -> bool:
        """Whether its last bin has settled."""
        return self._work.account.is_final

    @property
    def energy(self) -> Energy:
        """What it has consumed, as far as it is known now."""
        return self._metering.carbon.of(self._metering.attribution.energy(self._upstream, self._work.account))

    def when_final(self, call: Callable[[], None]) -> None:
        """Have `call` called once the energy is final."""
        if self.is_final:
            call()
        else:
            self._work.account.when_final.append(call)

    async def settled(self, timeout_seconds: Seconds) -> None:
        """Wait until the energy is final, at most so long."""
        final = asyncio.Event()
        self.when_final(final.set)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await final.wait()


class Metering:
    """The devices, the model servers that run on them, and everyone's share. Use as `async with`."""

    def __init__(
        self,
        meters: Sequence[EnergyMeter],
        upstreams: Sequence[Upstream],
        *,
        carbon: Carbon,
        clock: Callable[[], Seconds] = time.monotonic,
    ) -> None:
        self.attribution = Attribution()
        self.carbon = carbon
        self.clock = clock
        self.problems: dict[str, str] = {}
        """By meter: why it is not used."""
        self._upstreams = upstreams
        self._samplers = [Sampler(meter, self._receive) for meter in meters]

    async def __aenter__(self) -> Self:
        """Open the meters; one that cannot be used is a reason in `problems`, not an error."""
        for sampler in self._samplers:
            try:
                await sampler.open()
            except MeterError as error:
                self.problems[sampler.meter.name] = str(error)
                log.warning("meter not usable", meter=sampler.meter.name, reason=str(error))
                continue
            for device in sampler.devices:
                self.attribution.add_device(device)
        for upstream in self._upstreams:
            self._add_engine(upstream)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let go of the devices."""
        for sampler in self._samplers:
            sampler.close()

    def _add_engine(self, upstream: Upstream) -> None:
        devices = self.devices_of(upstream)
        found = {name for device in devices for name in (device.id, device.configured_as)}
        missing = set(upstream.devices) - found - {"all"}
        for name in sorted(missing):
            log.warning("device not found", upstream=upstream.name, device=name, known=list(self.attribution.devices))
        gpu = devices[0].name if devices else None
        coefficients = upstream.coefficients or prior(upstream.model, gpu)
        self.attribution.add_engine(upstream.name, coefficients, [device.id for device in devices])

    def devices_of(self, upstream: Upstream) -> list[Device]:
        """The devices, of those that were found, that an upstream runs on."""
        devices = [ledger.counter.device for ledger in self.attribution.devices.values()]
        return [device for device in devices if {"all", device.id, device.configured_as} & set(upstream.devices)]

    def begin(self, upstream: str, request: Request) -> MeteredAttempt:
        """An attempt begins at an upstream."""
        work = self.attribution.begin(
            upstream,
            self.clock(),
            prompt_tokens=request.prompt.tokens,
            sequences=request.sequences,
            is_streamed=request.stream,
            decodes=request.endpoint.generates,
        )
        return MeteredAttempt(self, upstream, work)

    def _receive(self, samples: list[Sample]) -> None:
        for sample in samples:
            self.attribution.sample(sample)

    async def run(self) -> None:
        """Settle bins until cancelled."""
        while True:
            await asyncio.sleep(SETTLE_SECONDS)
            self.settle()

    def settle(self) -> None:
        """Settle what can be settled, and tell those whose energy became final."""
        now = self.clock()
        for sampler in self._samplers:
            self._receive(sampler.silence(now))
        for account in self.attribution.settle(now):
            for call in account.when_final:
                call()
            account.when_final.clear()

    def state(self) -> MeteringState:
        """All of metering at one instant."""
        return self.attribution.state(self.clock())

    async def settle_last(self, timeout_seconds: Seconds) -> None:
        """Wait until every attempt that has ended has its final energy, at most so long."""
        for _ in range(math.ceil(timeout_seconds / SETTLE_SECONDS)):
            works = (work for engine in self.attribution.engines.values() for work in engine.works)
            if all(work.account.ended is None for work in works):
                return
            await asyncio.sleep(SETTLE_SECONDS)

    def health(self) -> list[dict[str, object]]:
        """Every device, and every meter that could not be opened, with what is wrong."""
        devices: list[dict[str, object]] = [
            {"device": device.device, "name": device.name, "up": device.is_up, "reason": device.reason}
            for device in self.state().devices
        ]
        return devices + [{"device": meter, "up": False, "reason": reason} for meter, reason in self.problems.items()]
