"""The composition root: from a configuration to a running proxy, and back to nothing in reverse order.

The only module that knows every part. What lives and for how long is the one `async with` stack in `App.run`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

import structlog

from jevons.exporters.exporter import Sources
from jevons.exporters.live.feed import LiveFeed, LiveSources
from jevons.exporters.prometheus import PrometheusExporter
from jevons.exporters.surroundings import Surroundings

from .affinity import ResponseAffinity
from .config import Config, config_hash, to_upstreams
from .energy_factory import make_carbon, make_grid, make_state_file
from .errors import JevonsError
from .exchange import Upstream
from .keys import CurrentKeys, load_keys, tenants_of
from .ledger_factory import make_ledger
from .metering.attribution import Attribution
from .metering.devices import meters_for
from .metering.metering import Metering
from .observed import LineState, ServerState
from .observers import Observers
from .otel_factory import make_otel
from .pipeline import Pipeline
from .policy_factory import Memory, make_chain
from .records import RecordStore
from .relay import KeepAlive
from .reload import Reloader, as_it_runs, for_a_restart
from .router import Router, with_running_devices
from .server.admin import Admin
from .server.edge import Door
from .server.listener import Listener
from .server.live import LivePage
from .server.surface import Limits, Surface
from .units import Seconds
from .upstreams.breaker import BreakerLimits
from .upstreams.client import UpstreamClient
from .upstreams.engine_metrics import EngineMetrics
from .upstreams.fleet import Fleet, servers_of
from .upstreams.health import Health
from .upstreams.retries import RetryBudget
from .upstreams.silence import SilenceWatch
from .wire.media import MediaRule

SETTLE_AT_END_SECONDS: Final[Seconds] = 1.0
"""How long, after the last reply, the energy of the last requests may take to become final."""
ADMIN_DRAIN_SECONDS: Final[Seconds] = 1.0

log = structlog.get_logger("jevons")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running proxy listens, the ports that the system chose included."""

    main: str
    admin: str


class App:
    """One proxy: made from a configuration, run until `stop` is set."""

    def __init__(
        self, config: Config, source: Path | None = None, *, attribution: Attribution | None = None, memory: Memory | None = None
    ) -> None:
        """`source`: the file that `config` was read from, which is then read anew when it changes.

        `attribution`: who divides the energy, and `memory`: what policies remember, where that is not one process's own.
        """
        self.config = config
        self.upstreams: dict[str, Upstream] = {upstream.name: upstream for upstream in to_upstreams(config)}
        self.keys = CurrentKeys(load_keys(config.auth.keys_file)) if config.auth and config.auth.keys_file else None
        self.version = version("jevons")
        self.affinity = ResponseAffinity()
        self.loaded_at = datetime.now(UTC)
        self.servers = servers = _servers(self.upstreams.values())
        """Of all upstreams, one or several each, as those hold them that look at all of them in turn."""
        meters = meters_for(servers, zeusd_token=os.environ.get("ZEUSD_TOKEN"))
        self.grid = make_grid(config.energy)
        self.metering = Metering(
            meters,
            servers,
            carbon=make_carbon(config.energy, self.grid),
            estimates=config.energy.estimates,
            state_file=make_state_file(config.energy),
            attribution=attribution,
        )
        self.router = Router(config, self.upstreams, self.metering, self.affinity, memory=memory)
        self._listed = list(self.upstreams.values())
        self.reloader = Reloader(source, os.environ, self._take) if source is not None else None
        self._watch_files(config)
        self._awaits_restart: list[str] = []
        self.exporter = self._make_exporter(config, self._listed)
        self.records = RecordStore(on_score=self.exporter.scored)
        self.ledger = make_ledger(config.ledger, self.metering.state, self.version) if config.ledger else None
        self.otel = make_otel(config.otel, self.metering.state, self.version) if config.otel else None
        self.live = self._make_live()
        self.health: Health | None = None
        self.fleet: Fleet | None = None
        self.pipeline: Pipeline | None = None
        """All three while it runs."""
        self._engines: EngineMetrics | None = None
        self._surface: Surface | None = None
        self.is_draining = False

    def _make_exporter(self, config: Config, upstreams: list[Upstream]) -> PrometheusExporter:
        return PrometheusExporter(
            Sources(
                upstreams=list(self.upstreams),
                policies=list(self.router.chain.names),
                metering=self.metering.state,
                version=self.version,
                tenants=tenants_of(self.keys),
                surroundings=Surroundings(
                    upstreams=upstreams,
                    are_up=self._are_up,
                    count_tasks=lambda: len(asyncio.all_tasks()),
                    pue=config.energy.pue,
                    price_per_kwh=config.energy.price_per_kwh,
                    ledger_dropped=lambda: self.ledger.dropped if self.ledger else 0,
                    holdout=self.router.figures,
                    budgets=self.router.standings,
                    tenants=lambda: tenants_of(self.keys),
                    servers=self.servers_seen,
                    lines=self.lines_seen,
                ),
            )
        )

    def _make_live(self) -> LiveFeed:
        return LiveFeed(
            LiveSources(
                metering=self.metering.state,
                in_flight=self.count_in_flight,
                upstreams_up=self._are_up,
                budgets=lambda: [asdict(each) for each in self.router.standings()],
                saving=self.router.saving,
                version=self.version,
            )
        )

    def count_in_flight(self) -> int:
        """Requests whose clients are still waiting."""
        return self.pipeline.in_flight if self.pipeline else 0

    def servers_seen(self) -> Sequence[ServerState]:
        """What is known of every server."""
        return self.fleet.servers() if self.fleet else ()

    def lines_seen(self) -> Sequence[LineState]:
        """Who waits for each upstream."""
        return self.fleet.lines() if self.fleet else ()

    def _watch_files(self, config: Config) -> None:
        if self.reloader is not None and config.auth is not None and config.auth.keys_file is not None:
            self.reloader.watch_too(config.auth.keys_file)

    def _take(self, config: Config) -> None:
        """Another configuration: everything that can fail comes first, and then everything changes in one turn of the loop."""
        upstreams = with_running_devices(to_upstreams(config), self.upstreams)
        keys = load_keys(config.auth.keys_file) if config.auth and config.auth.keys_file else None
        chain = make_chain(config, self.router.memory)
        self._awaits_restart = for_a_restart(self.config, config)
        if self._awaits_restart:
            log.warning("changes that await a restart", keys=self._awaits_restart)
        self._listed[:] = upstreams
        self.servers[:] = _servers(upstreams)
        for server in self.servers:
            self.metering.add_upstream(server)
        if self._engines is not None:
            self._engines.use(self.servers)
        if self.fleet is not None:
            self.fleet.use(upstreams)
        self.router.use(config, chain, upstreams)
        if keys is not None and self.keys is not None:
            self.keys.keys = keys
        self._watch_files(config)
        self.exporter.know(upstreams=self.upstreams, policies=chain.names, tenants=keys.tenants if keys else ())
        if self._surface is not None:
            self._surface.show(self.upstreams)
        self.config, self.loaded_at = as_it_runs(self.config, config), datetime.now(UTC)
        log.info("configuration reloaded", hash=config_hash(self.config))

    async def run(self, stop: asyncio.Event, on_ready: Callable[[Addresses], None]) -> None:
        """Serve until `stop` is set, then drain. Raises JevonsError where a listener cannot be bound."""
        failure: JevonsError | None = None
        async with (
            UpstreamClient(tick_seconds=self.config.gather_milliseconds / 1000) as client,
            self.metering,
            self.ledger or nullcontext(),
            self.otel or nullcontext(),
            asyncio.TaskGroup() as loops,
        ):
            client.prepare(self.servers)
            self.health = health = Health(client.session, self.servers, on_up=self._note_up)
            self.fleet = self._fleet(health)
            self._engines = engines = EngineMetrics(client.session, self.servers, self.metering.served, dialect=health.dialect)
            background = [
                loops.create_task(self.metering.run(), name="settlement"),
                loops.create_task(self.metering.keep_state(), name="state file"),
                loops.create_task(health.run(), name="health"),
                loops.create_task(engines.run(), name="engine metrics"),
                loops.create_task(self.live.run(), name="live page"),
            ]
            if self.ledger is not None:
                background.append(loops.create_task(self.ledger.run(), name="ledger"))
            if self.reloader is not None:
                watching = self.reloader.run(lambda is_ok: self.exporter.config_reloaded(is_ok=is_ok))
                background.append(loops.create_task(watching, name="configuration"))
            if self.otel is not None:
                background.append(loops.create_task(self.otel.run(), name="otel"))
            if self.grid is not None:
                background.append(loops.create_task(self.grid.run(client.session), name="grid"))
            try:
                await self._listen(client, health, stop, on_ready)
                await self.router.close()
                await self.metering.settle_last(SETTLE_AT_END_SECONDS)
            except JevonsError as error:
                failure = error  # raised below: out of the task group it would come wrapped
            finally:
                for task in background:
                    task.cancel()
        if failure is not None:
            raise failure

    async def _listen(
        self, client: UpstreamClient, health: Health, stop: asyncio.Event, on_ready: Callable[[Addresses], None]
    ) -> None:
        self.pipeline = pipeline = self._pipeline(client, health, self.fleet or self._fleet(health))
        self.router.start(pipeline)
        self._surface = surface = Surface(pipeline, self.records, self.upstreams, limits_of(self.config), archive=self.ledger)
        admin = Admin(
            metrics=self.exporter,
            health=self._report_health,
            is_ready=lambda: health.is_ready and not self.is_draining,
            token=self.config.admin_token.get_secret_value() if self.config.admin_token else None,
            before_shown=self.metering.keep_shown,
            page=LivePage(self.live),
        )
        door = Door(self.keys)
        async with (
            Listener(admin.app(), self.config.admin, drain_seconds=ADMIN_DRAIN_SECONDS) as admin_listener,
            Listener(
                surface.app(door),
                self.config.listen,
                drain_seconds=self.config.drain_seconds,
                fast=lambda slow: surface.fast_path(door, slow),
                tls=self.config.tls.context() if self.config.tls else None,
            ) as main_listener,
        ):
            on_ready(Addresses(main_listener.url, admin_listener.url))
            await stop.wait()
            self.is_draining = True
            log.info("draining", in_flight=pipeline.in_flight, deadline_seconds=self.config.drain_seconds)

    def _fleet(self, health: Health) -> Fleet:
        return make_fleet(self.config, self._listed, health.problems)

    def _note_up(self, server: str) -> None:
        if self.fleet is not None:
            self.fleet.is_up_again(server)

    def _pipeline(self, client: UpstreamClient, health: Health, fleet: Fleet) -> Pipeline:
        seconds = self.config.keep_alive_seconds
        exporters = (each for each in (self.ledger, self.otel) if each is not None)
        return Pipeline(
            chain=self.router.chain,
            facts=self.router.facts,
            client=client,
            health=health,
            fleet=fleet,
            metering=self.metering,
            records=self.records,
            affinity=self.affinity,
            observer=Observers(self.exporter, self.live, self.router, *exporters),
            keeps_prompts=self.config.ledger is not None and self.config.ledger.prompts,
            version=self.version,
            keep_alive=KeepAlive(SilenceWatch(asyncio.get_running_loop()), seconds) if seconds > 0 else None,
        )

    def _are_up(self) -> dict[str, bool]:
        """Whether any of its servers answers, by upstream."""
        problems = {} if self.health is None else self.health.problems
        asked = {
            name: [problems[each.name] for each in servers_of(up) if each.name in problems] for name, up in self.upstreams.items()
        }
        return {name: None in found for name, found in asked.items() if found}

    def _report_health(self) -> dict[str, object]:
        return {
            "status": "draining" if self.is_draining else "ok",
            "version": self.version,
            "config": {
                "hash": config_hash(self.config),
                "loaded_at": self.loaded_at.isoformat(),
                "error": self.reloader.error if self.reloader is not None else None,
                **({"awaits_restart": self._awaits_restart} if self._awaits_restart else {}),
            },
            "meters": self.metering.health(),
            **({} if (holdout := self.router.report()) is None else {"holdout": holdout}),
            **({} if (carbon := self.report_carbon()) is None else {"carbon": carbon}),
        }

    def report_carbon(self) -> dict[str, object] | None:
        """The carbon intensity with its source and the time it is for; None where none is configured."""
        if self.config.energy.carbon is None:
            return None
        intensity = self.metering.carbon.intensity
        problem = self.grid.problem if self.grid is not None else None
        return {
            "source": self.config.energy.carbon.source,
            "gco2e_per_kwh": None if intensity is None else intensity.gco2e_per_kwh,
            "at": None if intensity is None else intensity.at,
            "reason": problem or ("too old" if intensity is None else None),
        }


async def run_until_signal(app: App, on_ready: Callable[[Addresses], None]) -> None:
    """Run until SIGTERM or SIGINT.

    A second one does not wait for streams: raises JevonsError, since what was in flight has been cut off. One that comes
    before anything listens does not wait for the start to be done: a driver that hangs would hold it up.
    """
    stop, is_listening = asyncio.Event(), asyncio.Event()

    def announce(addresses: Addresses) -> None:
        is_listening.set()
        on_ready(addresses)

    running = asyncio.create_task(app.run(stop, announce), name="jevons")

    def receive() -> None:
        if stop.is_set() or not is_listening.is_set():
            running.cancel()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, receive)
    if app.reloader is not None:
        loop.add_signal_handler(signal.SIGHUP, app.reloader.ask)
    await asyncio.wait([running])
    if not running.cancelled():
        running.result()
    elif is_listening.is_set():
        raise JevonsError("ended at once by a second signal: what was in flight has been cut off")


def _servers(upstreams: Iterable[Upstream]) -> list[Upstream]:
    return [server for upstream in upstreams for server in servers_of(upstream)]


def make_fleet(config: Config, upstreams: Sequence[Upstream], problems: Mapping[str, str | None]) -> Fleet:
    """The servers behind these upstreams. `problems`: by server, what is wrong with it."""
    faults = config.faults
    return Fleet(
        upstreams,
        problems=problems,
        clock=time.monotonic,
        limits=BreakerLimits(faults.failures, faults.eject_seconds, faults.most_eject_seconds),
        budget=RetryBudget(faults.retry_share),
    )


def limits_of(config: Config) -> Limits:
    """What a client may send."""
    given = config.limits
    media = given.media or ("any" if config.listen.is_loopback else "data-only")
    hosts = frozenset() if media == "data-only" else frozenset(host.lower() for host in media)
    return Limits(
        body_bytes=given.body_bytes,
        body_seconds=given.body_seconds,
        header_seconds=given.header_seconds,
        media=MediaRule(None if media == "any" else hosts),
    )
