"""Metering as the request path sees it: begin an attempt, tell it what passes by, ask what it has cost.

Nothing here waits for a device: readings come from the samplers' threads, and bins settle on a timer of the loop.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Self

import structlog

from ..errors import MeterError, NothingToRead
from ..exchange import Energy, MeteringState, Request, Upstream, Usage
from ..observed import ServedTokens
from ..units import Joules, Seconds
from .attribution import Attribution
from .carbon import Carbon
from .coefficients import prior
from .estimate import can_estimate
from .meter import Device, EnergyMeter, Sample
from .sampler import Sampler
from .state_file import SavedCounter, StateFile, consumed_since
from .work import Work

SETTLE_SECONDS: Final = 0.1
_UNNAMED: Final = frozenset({"all", "auto"})
"""What a configuration says of an upstream's devices without naming one."""

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
        estimates: bool = False,
        state_file: StateFile | None = None,
        clock: Callable[[], Seconds] = time.monotonic,
    ) -> None:
        self.attribution = Attribution(watches_prices=True)
        self.carbon = carbon
        self.clock = clock
        self.problems: dict[str, str] = {}
        """By meter: why it is not used."""
        self._upstreams = upstreams
        self._estimates = estimates
        self._has_failed = False
        """A meter could not be used although there may be devices: what is on them is unknown, and not to be estimated."""
        self._state_file = state_file
        self._saved: dict[str, SavedCounter] = {}
        """Counters as the last process left them, until the first reading of each."""
        self._suspected: set[str] = set()
        """Upstreams and devices that others seem to use, as it was last said."""
        self._samplers = [Sampler(meter, self._receive, clock=clock) for meter in meters]

    async def __aenter__(self) -> Self:
        """Open the meters; one that cannot be used is a reason in `problems`, not an error."""
        if self._state_file is not None:
            self._saved = self._state_file.load()
        try:
            for sampler in self._samplers:
                await self._open(sampler)
            for upstream in self._upstreams:
                self._add_engine(upstream)
        except BaseException:
            self._close()
            raise
        return self

    async def _open(self, sampler: Sampler) -> None:
        try:
            await sampler.open()
        except MeterError as error:
            name = sampler.meter.name
            self.problems[name] = f"{self.problems[name]}; {error}" if name in self.problems else str(error)
            self._has_failed |= not isinstance(error, NothingToRead)
            log.warning("meter not usable", meter=sampler.meter.name, reason=str(error))
            return
        for device in sampler.devices:
            self.attribution.add_device(device)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let go of the devices."""
        self._close()

    def _close(self) -> None:
        for sampler in self._samplers:
            sampler.close()

    def _add_engine(self, upstream: Upstream) -> None:
        devices = self.devices_of(upstream)
        found = {name for device in devices for name in _names(device)}
        missing = set(upstream.devices) - found - _UNNAMED
        for name in sorted(missing):
            log.warning("device not found", upstream=upstream.name, device=name, known=list(self.attribution.devices))
        gpu = devices[0].name if devices else None
        coefficients = upstream.coefficients or prior(upstream.model, gpu)
        self.attribution.add_engine(upstream.name, coefficients, [device.id for device in devices])
        is_unreadable = not devices and not self._has_failed and set(upstream.devices) <= _UNNAMED
        if self._estimates and is_unreadable and can_estimate(upstream.model, upstream.coefficients):
            self.attribution.engines[upstream.name].is_estimated = True

    def devices_of(self, upstream: Upstream) -> list[Device]:
        """The devices, of those that were found, that an upstream runs on. Others' boards and processors have to be named."""
        devices = [ledger.counter.device for ledger in self.attribution.devices.values()]
        wants_all = bool(_UNNAMED & set(upstream.devices))
        return [
            device
            for device in devices
            if (wants_all and device.configured_as is None and device.scope != "cpu") or _names(device) & set(upstream.devices)
        ]

    def is_estimated(self, upstream: str) -> bool:
        """Whether its energy is an estimate, since nothing can be read."""
        return self.attribution.engines[upstream].is_estimated

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
            if sample.device_id in self._saved and sample.joules is not None:
                self._book_downtime(sample, self._saved.pop(sample.device_id), sample.joules)
            self.attribution.sample(sample)

    def _book_downtime(self, sample: Sample, saved: SavedCounter, joules: Joules) -> None:
        """What the device has consumed since the last process settled it is nobody's."""
        limit = self.attribution.devices[sample.device_id].counter.device.power_limit_watts
        consumed = consumed_since(saved, joules, sample.at, power_limit_watts=limit)
        if consumed > 0.0:
            self.attribution.book_unresolved(sample.device_id, consumed)
            log.info("consumed while jevons was down", device=sample.device_id, joules=round(consumed, 3))

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
        for ledger in self.attribution.devices.values():
            if ledger.price_watch is not None:
                name = ledger.counter.device.id
                self._warn("energy without explanation", name, is_so=ledger.price_watch.is_suspicious)

    def served(self, upstreams: tuple[str, ...], served: ServedTokens, at: Seconds) -> bool:
        """A model server behind these upstreams says what it has served; returns whether others seem to use it too."""
        is_shared = self.attribution.served(upstreams, served, at)
        self._warn("traffic past jevons", ", ".join(upstreams), is_so=is_shared)
        return is_shared

    def _warn(self, event: str, where: str, *, is_so: bool) -> None:
        """Say it when it begins, and not again while it lasts."""
        if is_so and where not in self._suspected:
            self._suspected.add(where)
            log.warning(event, where=where)
        elif not is_so:
            self._suspected.discard(where)

    async def keep_state(self) -> None:
        """Keep what the counters show until cancelled, and once more then, where a state file is configured."""
        if self._state_file is None:
            return
        try:
            await self._state_file.keep(self._counters)
        finally:
            await self._state_file.save_last(self._counters())

    def _counters(self) -> dict[str, SavedCounter]:
        """Those of devices that have not been read since stay as the last process left them."""
        return {**self._saved, **self.attribution.settled_counters()}

    def state(self) -> MeteringState:
        """All of metering at one instant."""
        return replace(self.attribution.state(self.clock()), intensity=self.carbon.intensity)

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


def _names(device: Device) -> set[str | None]:
    """What a configuration may call it."""
    return {device.id, device.configured_as, *device.aliases}
