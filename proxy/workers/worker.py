"""One worker: accepts connections and takes requests through, with accounts of its own. All else the owner does.

It lives as long as its owner, or shorter: where the line to it breaks, the worker finishes what is in flight and ends.
"""

from __future__ import annotations

import asyncio
from importlib.metadata import version

import msgspec
import structlog

from jevons.exporters.exporter import Sources
from jevons.exporters.prometheus import PrometheusExporter

from ..address import Address
from ..app import SETTLE_AT_END_SECONDS, limits_of, make_fleet
from ..errors import JevonsError
from ..exchange import Dialect
from ..keys import CurrentKeys, tenants_of
from ..metering.carbon import Carbon
from ..metering.shared_counts import SharedCounts
from ..metering.statements import Due
from ..metering_state import MeteringState
from ..observers import Observers
from ..pipeline import Pipeline
from ..policy_factory import Memory, make_chain
from ..records import RecordStore, record_json
from ..relay import KeepAlive
from ..router import Router
from ..server.edge import Door
from ..server.listener import Listener
from ..server.surface import Surface
from ..upstreams.client import UpstreamClient
from ..upstreams.fleet import Fleet
from ..upstreams.health import Health
from ..upstreams.silence import SilenceWatch
from . import messages
from .asking import Archive
from .link import Link
from .memories import SharedAffinity, SharedBalances, SharedSessions
from .metering import WorkerMetering
from .outbox import SEND_SECONDS, Outbox
from .setting import own_upstreams, unpack

log = structlog.get_logger("jevons.worker")


class Worker:
    """One, from its welcome to its end. `link` leads to the owner; `counts` is the table that all share."""

    def __init__(self, link: Link[messages.ToWorker], welcome: messages.Welcome, counts: SharedCounts) -> None:
        self._link = link
        self._welcome = welcome
        self._config, keys = unpack(welcome.setting)
        self._version = version("jevons")
        self._listed = own_upstreams(self._config, welcome.number, welcome.workers)
        self._upstreams = {upstream.name: upstream for upstream in self._listed}
        self._keys = None if keys is None else CurrentKeys(keys)
        self._stop = asyncio.Event()
        self._metering = WorkerMetering(
            counts.row(welcome.number),
            Carbon(pue=self._config.energy.pue),
            self._tell_edges,
        )
        self._metering.know(welcome.setting.engines)
        self._affinity = SharedAffinity(
            lambda key, upstream, server: link.send(messages.Remembered(key.encode(), upstream, server))
        )
        self._sessions = SharedSessions(lambda key: link.send(messages.Remembered(key, None)))
        self._balances = SharedBalances()
        memory = Memory(sessions=self._sessions, balances=self._balances)
        self._router = Router(self._config, self._upstreams, self._metering, self._affinity, memory=memory)
        self._counted = self._make_counted()
        self._outbox = Outbox(link, self._counted, self._balances, wants_records=welcome.wants_records)
        self._records = RecordStore(on_score=self._counted.scored)
        self._archive = Archive(link)
        self._health: Health | None = None
        self._fleet: Fleet | None = None
        self._pipeline: Pipeline | None = None
        self._surface: Surface | None = None
        """All four while it runs."""

    def _make_counted(self) -> PrometheusExporter:
        """What is counted here; the owner adds it up, by the order of these names."""
        return PrometheusExporter(
            Sources(
                upstreams=list(self._upstreams),
                policies=list(self._router.chain.names),
                metering=MeteringState,
                version=self._version,
                tenants=tenants_of(self._keys),
            )
        )

    async def run(self) -> None:
        """Serve until told to drain, or until the owner is gone. Raises JevonsError where it cannot listen."""
        async with UpstreamClient(tick_seconds=self._config.gather_milliseconds / 1000) as client:
            client.prepare(self._listed)
            # It never asks: what the owner has found out is told.
            self._health = health = Health(client.session, self._listed)
            self._fleet = fleet = make_fleet(self._config, self._listed, health.problems)
            self._pipeline = pipeline = self._make_pipeline(client, health, fleet)
            self._router.start(pipeline)
            self._surface = Surface(pipeline, self._records, self._upstreams, limits_of(self._config), archive=self._archive)
            sending = asyncio.create_task(self._send(pipeline, fleet), name="outbox")
            try:
                await self._listen(self._surface)
                await self._router.close()
                await self._metering.settle_last(SETTLE_AT_END_SECONDS)
            finally:
                sending.cancel()
                self._outbox.send(0, fleet, self._router, is_last=True)

    async def _listen(self, surface: Surface) -> None:
        config, door = self._config, Door(self._keys)
        async with Listener(
            surface.app(door),
            Address(self._welcome.host, self._welcome.port),
            drain_seconds=config.drain_seconds,
            fast=lambda slow: surface.fast_path(door, slow),
            tls=config.tls.context() if config.tls else None,
            is_shared=True,
        ) as listener:
            self._link.send(messages.Ready(listener.url))
            await self._stop.wait()

    def _make_pipeline(self, client: UpstreamClient, health: Health, fleet: Fleet) -> Pipeline:
        config = self._config
        seconds = config.keep_alive_seconds
        return Pipeline(
            chain=self._router.chain,
            facts=self._router.facts,
            client=client,
            health=health,
            fleet=fleet,
            metering=self._metering,
            records=self._records,
            affinity=self._affinity,
            observer=Observers(self._counted, self._router, self._outbox),
            keeps_prompts=config.ledger is not None and config.ledger.prompts,
            version=self._version,
            keep_alive=KeepAlive(SilenceWatch(asyncio.get_running_loop()), seconds) if seconds > 0 else None,
        )

    async def _send(self, pipeline: Pipeline, fleet: Fleet) -> None:
        while True:
            await asyncio.sleep(SEND_SECONDS)
            self._tell_edges()
            self._outbox.send(pipeline.in_flight, fleet, self._router)

    def _tell_edges(self) -> None:
        edges = self._metering.contributor.edges
        if edges:
            self._link.send(messages.Edges(tuple(edges)))
            edges.clear()

    def drain(self) -> None:
        """Stop accepting, finish what is in flight, end."""
        self._stop.set()

    def receive(self, message: messages.ToWorker) -> None:
        """The owner's word."""
        match message:
            case messages.Call(dues):
                self._answer(dues)
            case messages.Prices(settled):
                self._metering.take(settled)
            case messages.Moved(moves):
                for engine, index, to in moves:
                    self._metering.contributor.move_statement(engine, index, to)
            case messages.Engines():
                self._metering.know(message)
            case messages.Setting():
                self._take(message)
            case messages.Drain():
                self.drain()
            case _:
                self._receive_news(message)

    def _receive_news(self, message: messages.ToWorker) -> None:
        match message:
            case messages.Surroundings():
                self._hear(message)
            case messages.Up(server):
                if self._fleet is not None:
                    self._fleet.is_up_again(server)
            case messages.Others(used):
                self._balances.hear(used)
            case messages.Remembered(key, None, _):
                self._sessions.hear(key)
            case messages.Remembered(key, str(upstream), server):
                self._affinity.hear(key.decode(), upstream, server)
            case _:
                self._receive_of_requests(message)

    def _receive_of_requests(self, message: messages.ToWorker) -> None:
        match message:
            case messages.Found():
                self._archive.answered(message)
            case messages.Find(number, request_id, tenant):
                record = self._pipeline.record(request_id, tenant) if self._pipeline is not None else None
                self._link.send(messages.Found(number, None if record is None else msgspec.json.encode(record_json(record))))
            case messages.Scored(request_id, tenant, score):
                self._records.feedback(request_id, tenant, score)
            case _:
                raise JevonsError(f"a worker was told {type(message).__name__}")

    def _answer(self, dues: tuple[Due, ...]) -> None:
        self._tell_edges()
        self._link.send(messages.Told(self._metering.contributor.answer(dues, self._metering.clock())))

    def _hear(self, found: messages.Surroundings) -> None:
        self._metering.watts = found.watts
        pue, has_grid = self._config.energy.pue, found.intensity is not None
        self._metering.carbon = Carbon(pue=pue, source=(lambda: found.intensity) if has_grid else None)
        if self._health is not None:
            self._health.hear(found.problems, {name: Dialect(dialect) for name, dialect in found.dialects.items()})

    def _take(self, setting: messages.Setting) -> None:
        """Another configuration, which the owner has checked and runs already."""
        self._config, keys = unpack(setting)
        self._metering.know(setting.engines)
        self._listed[:] = own_upstreams(self._config, self._welcome.number, self._welcome.workers)
        chain = make_chain(self._config, self._router.memory)
        if self._fleet is not None:
            self._fleet.use(self._listed)
        self._router.use(self._config, chain, self._listed)
        if keys is not None and self._keys is not None:
            self._keys.keys = keys
        self._counted.know(upstreams=self._upstreams, policies=chain.names, tenants=keys.tenants if keys else ())
        if self._surface is not None:
            self._surface.show(self._upstreams)
