"""`jevons calibrate`: a short load against one model server, the devices read meanwhile, the energy model fitted to both."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import aiohttp

from ..errors import MeterError, UpstreamError
from ..exchange import Dialect, Upstream
from ..metering.attribution import BIN_SECONDS
from ..metering.carbon import Carbon
from ..metering.coefficients import prior
from ..metering.meter import Device, EnergyMeter
from ..metering.metering import Metering
from ..observed import ServedTokens
from ..units import Seconds, Watts
from ..upstreams.detection import detect_dialect
from ..upstreams.engine_metrics import EngineMetrics
from .readings import Readings, meters_of
from .solving import Fitted, fit
from .stages import BRIEF_TOKENS, LONG_WORDS, SHORT_WORDS, Played, Stage, plan_stages, play
from .streams import ChatClient, Stream
from .windows import Rates, Window, cut_windows

REST_SECONDS: Final = 1.0
"""Between the first requests and the idle power: a board takes a moment to calm down."""
FEW_EXPLAINED: Final = 0.9
FOREIGN_SHARE: Final = 0.1
"""Of a server's output during the load, what may have been asked for by others, or come after its client had left."""


@dataclass(frozen=True, slots=True)
class Options:
    """How much load, and how long."""

    seconds: Seconds = 60.0
    streams: int = 16
    """At once, at most."""
    idle_seconds: Seconds = 4.0
    """Before it, without any load: long enough for the rhythm of a counter to be known as well."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The energy model of one upstream, as measured."""

    upstream: Upstream
    devices: tuple[Device, ...]
    at: datetime
    is_simulated: bool
    idle_watts: Watts
    seconds: Seconds
    """Of load."""
    rates: Rates
    fitted: Fitted
    stages: tuple[Played, ...]
    windows: tuple[Window, ...]
    notes: tuple[str, ...]
    """What weakens it."""


async def calibrate(
    upstream: Upstream,
    options: Options,
    say: Callable[[str], None],
    meters: Sequence[EnergyMeter] | None = None,
    *,
    neighbours: Sequence[Upstream] = (),
) -> Calibration:
    """Load the upstream and fit its energy model; the device and the server must be free of other load.

    `neighbours` are other upstreams, whose servers are asked whether they had work meanwhile where they may be on its devices.

    Raises MeterError where no device can be read or one is not idle, UpstreamError where the server fails, JevonsError where
    the load says too little.
    """
    stages = plan_stages(options.seconds, options.streams, upstream.context_tokens)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
        Metering(meters_of(upstream) if meters is None else meters, [upstream], carbon=Carbon()) as metering,
    ):
        readings = Readings(metering, upstream)
        client = ChatClient(session, upstream, await _dialect(session, upstream))
        engine = _Server(session, upstream, client.dialect)
        near = [one for one in neighbours if any(device in readings.devices for device in metering.devices_of(one))]
        servers = [engine, *(_Server(session, one, one.dialect) for one in near)]
        say(f"first requests to {upstream.base_url} ({client.dialect})")
        probes = await _probe(client, min(LONG_WORDS, stages[1].words))
        idle_watts = await _idle(readings, servers, options.idle_seconds, say)
        for server in servers:
            await server.mark()
        played = await _play(stages, client, say)
        served, others = await engine.made(), await _busy(servers[1:])
        await readings.wait_until_known(played[-1].ended)
        bins = readings.take(int(played[0].began // BIN_SECONDS), int(played[-1].ended // BIN_SECONDS) + 1)
        rates = Rates.of([*probes, *(stream for one in played for stream in one.streams)])
        windows = cut_windows(played, bins, rates)
        fitted = fit(windows, prior(upstream.model, readings.devices[0].name))
        return Calibration(
            upstream,
            tuple(readings.devices),
            datetime.now(UTC),
            readings.is_simulated,
            idle_watts,
            sum(one.ended - one.began for one in played),
            rates,
            fitted,
            tuple(played),
            tuple(windows),
            (*_notes(fitted, rates, played, served), *others),
        )


async def _dialect(session: aiohttp.ClientSession, upstream: Upstream) -> Dialect:
    """What kind of server it is; raises UpstreamError where nobody answers."""
    if upstream.dialect is not Dialect.AUTO:
        return upstream.dialect
    dialect = await detect_dialect(session, upstream.base_url, api_key=upstream.api_key)
    if dialect is Dialect.AUTO:
        raise UpstreamError(f"no model server answers at {upstream.base_url}")
    return dialect


async def _probe(client: ChatClient, words: int) -> list[Stream]:
    """A short and two long prompts, one after the other: the server warms up, and says how it counts."""
    probes = []
    for length in (SHORT_WORDS, words, words):
        stream = Stream(length, time.monotonic())
        await client.ask(stream, BRIEF_TOKENS)
        probes.append(stream)
    if not all(stream.chunks for stream in probes):
        raise UpstreamError(f"{client.upstream.base_url} streams no text: there is nothing to count steps by")
    return probes


async def _idle(readings: Readings, servers: Sequence[_Server], seconds: Seconds, say: Callable[[str], None]) -> Watts:
    """The idle power, the model loaded; raises where the server or its device is in use."""
    say(f"idle power, {REST_SECONDS + seconds:g} s")
    await asyncio.sleep(REST_SECONDS)
    for server in servers:
        await server.mark()
    try:
        watts = await readings.idle(seconds)
    except MeterError as error:
        raise MeterError(". ".join([str(error), *await _busy(servers[1:])])) from error
    made = await servers[0].made()
    if made:
        raise UpstreamError(
            f"others are using the server: it made {made:.0f} tokens while nothing was asked of it."
            " Calibrate while nobody else does"
        )
    return watts


async def _play(stages: Sequence[Stage], client: ChatClient, say: Callable[[str], None]) -> list[Played]:
    played = []
    for number, stage in enumerate(stages, 1):
        say(f"{number} of {len(stages)}, {stage.seconds:.1f} s: {stage}")
        played.append(await play(client, stage))
    return played


class _Server:
    """A server's own token counters, where it has any."""

    def __init__(self, session: aiohttp.ClientSession, upstream: Upstream, dialect: Dialect) -> None:
        self.name = upstream.name
        self._before: float | None = None
        self._served: ServedTokens | None = None
        self._counters = EngineMetrics(session, [upstream], self._receive, dialect=lambda _name: dialect)

    def _receive(self, _upstreams: tuple[str, ...], served: ServedTokens, _at: Seconds) -> bool:
        self._served = served
        return False

    async def mark(self) -> None:
        """Count from here on."""
        self._before = await self._output()

    async def made(self) -> float | None:
        """The tokens it has made since; None where it does not say."""
        output = await self._output()
        return None if self._before is None or output is None else max(0.0, output - self._before)

    async def _output(self) -> float | None:
        self._served = None
        await self._counters.check()
        return None if self._served is None else self._served.output


def _notes(fitted: Fitted, rates: Rates, stages: Sequence[Played], served: float | None) -> list[str]:
    notes = []
    if fitted.r_squared < FEW_EXPLAINED:
        notes.append(
            f"R² is {fitted.r_squared:.2f}: the law explains little of what was consumed."
            " Something else may have used the device."
        )
    if rates.tokens_per_chunk > 1.0 + FOREIGN_SHARE:
        notes.append(
            f"A chunk carries {rates.tokens_per_chunk:.1f} tokens: the fixed part is one chunk's, and right as such"
            " for this server with these settings only."
        )
    streams = [stream for one in stages for stream in one.streams]
    ours = sum(stream.completion_tokens or rates.tokens_per_chunk * len(stream.chunks) for stream in streams)
    if served is not None and served > (1.0 + FOREIGN_SHARE) * ours:
        notes.append(
            f"The server made {served:.0f} tokens and {ours:.0f} of them for us: others used it, and this is in the figures."
        )
    return notes


async def _busy(servers: Sequence[_Server]) -> list[str]:
    return describe_neighbours([server.name for server in servers], [await server.made() for server in servers])


def describe_neighbours(names: Sequence[str], made: Sequence[float | None]) -> list[str]:
    """What is to be said of other servers on the devices, by the tokens that they made meanwhile."""
    return [
        f"Upstream {name}, which may be on the same device, made {tokens:.0f} tokens meanwhile: what they cost is in the figures."
        for name, tokens in zip(names, made, strict=True)
        if tokens
    ]
