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

from ..device_names import DeviceKind
from ..exchange import Dialect, Energy, Request, Upstream, Usage
from ..metering_state import MeteringState
from ..observed import ServedTokens
from ..units import Joules, Seconds
from .attribution import Attribution
from .carbon import Carbon
from .coefficients import doubts_of, prior
from .engine import CPU_SCOPE
from .estimate import can_estimate
from .finals import Finals
from .fitting import GIVEN_DOUBT, Fit
from .meter import Device, EnergyMeter, Sample
from .placement import KnowsProcesses, Placement
from .readers import Readers
from .state_file import SavedCounter, StateFile, consumed_since
from .topology import Found
from .work import Work

SETTLE_SECONDS: Final = 0.1
SHOWN_SECONDS: Final[Seconds] = 0.25
"""How long whoever asks for the metrics may wait for the disk."""
MOST_APART: Final = 0.05
"""How far a device's counter and the integral of its power may be from each other over a minute without being warned of."""
ALL: Final = DeviceKind.ALL.value
AUTO: Final = DeviceKind.AUTO.value
_UNNAMED: Final = frozenset({ALL, AUTO})
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
        if self._work.account.ended is None:
            self._metering.attribution.end(self._upstream, self._work, self._metering.clock())

    @property
    def is_final(self) -> bool:
        """Whether its last bin has settled."""
        return self._work.account.is_final

    @property
    def energy(self) -> Energy:
        """What it has consumed, as far as it is known now."""
        metering = self._metering
        return metering.carbon.of(metering.attribution.energy(self._upstream, self._work.account))

    def when_final(self, call: Callable[[], None]) -> None:
        """Have `call` called once the energy is final."""
        account = self._work.account
        if account.is_final:
            call()
        else:
            account.when_final.append(call)

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
        attribution: Attribution | None = None,
    ) -> None:
        self.attribution = attribution or Attribution(watches_prices=True)
        self.carbon = carbon
        self.clock = clock
        self._upstreams = upstreams
        self._estimates = estimates
        self._state_file = state_file
        self._saved: dict[str, SavedCounter] = {}
        """Counters as the last process left them, until the first reading of each."""
        self._warned: set[tuple[str, str]] = set()
        """What was last said of upstreams and devices, and still is so."""
        self.readers = Readers(
            meters,
            self._receive,
            devices=self.attribution.devices,
            admit=self._admit,
            arrive=self._move_all,
            clock=clock,
        )
        self._samplers = self.readers.samplers
        self.placement = Placement(
            upstreams,
            [meter for meter in meters if isinstance(meter, KnowsProcesses)],
            self.place,
        )
        self.finals = Finals()
        self.placed: dict[str, Found] = {}
        """By upstream: where its server was found, or why not; of those that were looked for."""
        self._to_move: dict[str, Upstream] = {}
        """Upstreams whose devices are to change once nothing of theirs is in flight."""

    async def __aenter__(self) -> Self:
        """Open the meters and wait for a first reading; what cannot be used is a reason in `problems`, not an error."""
        if self._state_file is not None:
            self._saved = self._state_file.load()
        try:
            await self.readers.open()
            for upstream in self._upstreams:
                self._add_engine(upstream)
            self.placement.start()
            await self.readers.wait_for_readings()
        except BaseException:
            self._close()
            raise
        return self

    def _admit(self, device: Device) -> None:
        """Know a device, with the accounts that the last process left of it."""
        self.attribution.add_device(device)
        if device.id in self._saved:
            self.attribution.restore_accounts(device.id, self._saved[device.id].accounts)

    @property
    def problems(self) -> dict[str, str]:
        """By meter: why it is not used."""
        return self.readers.unusable

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let go of the devices."""
        self._close()

    def _close(self) -> None:
        self.placement.close()
        self.readers.close()

    def add_upstream(self, upstream: Upstream) -> None:
        """One more model server, on devices that are read already; nothing where it is known."""
        if upstream.name not in self.attribution.engines:
            self._add_engine(upstream)

    def _add_engine(self, upstream: Upstream) -> None:
        devices = self.devices_of(upstream)
        found = {name for device in devices for name in _names(device)}
        missing = set(upstream.devices) - found - _UNNAMED
        for name in sorted(missing):
            log.warning("device not found", upstream=upstream.name, device=name, known=list(self.attribution.devices))
        gpu = next((device.name for device in devices if device.scope != CPU_SCOPE), None)
        coefficients = upstream.coefficients or prior(upstream.model, gpu)
        boards = sum(device.scope != CPU_SCOPE for device in devices)
        doubt = upstream.doubts or (GIVEN_DOUBT if upstream.coefficients else doubts_of(upstream.model, gpu, boards))
        self.attribution.add_engine(upstream.name, coefficients, [device.id for device in devices])
        self.attribution.engines[upstream.name].fit = Fit(coefficients, doubt=doubt)
        is_away = upstream.dialect is Dialect.LITELLM  # a meter of ours that failed would not have read it
        is_unreadable = not devices and (is_away or not self.readers.has_failed) and set(upstream.devices) <= _UNNAMED
        if self._estimates and is_unreadable and can_estimate(upstream.model, upstream.coefficients):
            self.attribution.engines[upstream.name].is_estimated = True

    def devices_of(self, upstream: Upstream) -> list[Device]:
        """The devices, of those that were found, that an upstream runs on. Others' boards and processors have to be named."""
        devices = [ledger.counter.device for ledger in self.attribution.devices.values()]
        boards = {device.id for device in devices if device.configured_as is None and device.scope != CPU_SCOPE}
        meant = boards if _UNNAMED & set(upstream.devices) else set()
        found = self.placed.get(upstream.name)
        if found is not None and found.devices is not None and ALL not in upstream.devices and AUTO in upstream.devices:
            meant = boards & found.devices or boards  # on none of them, it is on one that nobody knows
        return [device for device in devices if device.id in meant or _names(device) & set(upstream.devices)]

    def place(self, upstream: str, found: Found) -> None:
        """Its server was found on these devices, or was not: it runs on them as soon as nothing of it is in flight."""
        before = self.placed.get(upstream)
        self.placed[upstream] = found
        if before is None or before.devices != found.devices:
            log.info("server's devices", upstream=upstream, found=found.devices is not None, reason=found.reason)
        self._move_all()

    def _move_all(self) -> None:
        """Find out who has to move, and move whom one can."""
        for upstream in self._upstreams:
            engine = self.attribution.engines.get(upstream.name)
            if engine is not None and engine.devices != tuple(device.id for device in self.devices_of(upstream)):
                self._to_move[upstream.name] = upstream
        self._move()

    def _move(self) -> None:
        for name in [name for name in self._to_move if not self.attribution.engines[name].works]:
            devices = [device.id for device in self.devices_of(self._to_move.pop(name))]
            self.attribution.move_engine(name, devices)
            self.attribution.engines[name].is_estimated &= not devices
            log.info("upstream runs on", upstream=name, devices=devices)

    def placed_by(self, upstream: Upstream) -> str | None:
        """How the boards of its server were found, or why they were not; None where the configuration names devices."""
        if AUTO not in upstream.devices:
            return None
        found = self.placed.get(upstream.name)
        if found is not None:
            return found.reason
        return "not looked for yet" if self.placement.is_able else "no driver here tells which processes are on which board"

    def is_estimated(self, upstream: str) -> bool:
        """Whether its energy is an estimate, since nothing can be read."""
        return self.attribution.engines[upstream].is_estimated

    def in_flight(self, upstream: str) -> int:
        """Attempts that go on there, or whose energy is not final."""
        engine = self.attribution.engines.get(upstream)
        return 0 if engine is None else len(engine.works)

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
        if request.max_tokens is not None:
            work.account.most_output = request.max_tokens
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
        """Settle what can be settled, and begin to tell those whose energy became final."""
        now = self.clock()
        self.readers.silence(now)
        self.finals.tell(self.attribution.settle(now))
        if self._to_move:
            self._move()
        for ledger in self.attribution.devices.values():
            name, ratio = ledger.counter.device.id, ledger.counter.cross_check.ratio
            is_apart = ratio is not None and not 1 / (1 + MOST_APART) <= ratio <= 1 + MOST_APART
            self._warn("energy counter and power readings disagree", name, is_so=is_apart)
            if ledger.price_watch is not None:
                self._warn("energy without explanation", name, is_so=ledger.price_watch.is_suspicious)

    def served(self, upstreams: tuple[str, ...], served: ServedTokens, at: Seconds) -> bool:
        """A model server behind these upstreams says what it has served; returns whether others seem to use it too."""
        is_shared = self.attribution.served(upstreams, served, at)
        self._warn("traffic past jevons", ", ".join(upstreams), is_so=is_shared)
        return is_shared

    def _warn(self, event: str, where: str, *, is_so: bool) -> None:
        """Say it when it begins, and not again while it lasts."""
        if is_so and (event, where) not in self._warned:
            self._warned.add((event, where))
            log.warning(event, where=where)
        elif not is_so:
            self._warned.discard((event, where))

    async def keep_state(self) -> None:
        """Keep what the counters show until cancelled, and once more then, where a state file is configured."""
        if self._state_file is None:
            return
        try:
            await self._state_file.keep(self._counters)
        finally:
            await self._state_file.save_soon(self._counters())

    async def keep_shown(self) -> None:
        """Keep what has just been shown to somebody, without waiting for long: the next process goes on from no less."""
        if self._state_file is not None:
            await self._state_file.save_soon(self._counters(), SHOWN_SECONDS)

    def _counters(self) -> dict[str, SavedCounter]:
        """Those of devices that have not been read since stay as the last process left them."""
        return {**self._saved, **self.attribution.settled_counters()}

    def state(self) -> MeteringState:
        """All of metering at one instant."""
        return replace(self.attribution.state(self.clock()), intensity=self.carbon.intensity)

    async def settle_last(self, timeout_seconds: Seconds) -> None:
        """Wait until every attempt that has ended has its final energy, and who asked for it was told, at most so long."""
        for _ in range(math.ceil(timeout_seconds / SETTLE_SECONDS)):
            works = (work for engine in self.attribution.engines.values() for work in engine.works)
            if all(work.account.ended is None for work in works) and not self.finals:
                return
            await asyncio.sleep(SETTLE_SECONDS)

    def health(self) -> list[dict[str, object]]:
        """Every device, and every meter that could not be opened, with what is wrong."""
        devices: list[dict[str, object]] = [
            {"device": device.device, "name": device.name, "up": device.is_up, "reason": device.reason}
            for device in self.state().devices
        ]
        others = [*self.problems.items(), *self.readers.complaints]
        return devices + [{"device": meter, "up": False, "reason": reason} for meter, reason in others]


def _names(device: Device) -> set[str | None]:
    """What a configuration may call it."""
    return {device.id, device.configured_as, *device.aliases}
