"""The composition root: from a configuration to a running proxy, and back to nothing in reverse order.

The only module that knows every part. What lives and for how long is the one `async with` stack in `App.run`.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from types import TracebackType
from typing import Final, Self

import structlog
from aiohttp import web

from jevons.exporters.exporter import Sources
from jevons.exporters.prometheus import PrometheusExporter
from jevons.policies.chain import PolicyChain
from jevons.policies.policy import Facts

from .address import Address
from .affinity import ResponseAffinity
from .config import Config, config_hash, to_upstreams
from .errors import JevonsError
from .exchange import Upstream
from .keys import load_keys
from .metering.carbon import Carbon
from .metering.devices import meters_for
from .metering.metering import Metering
from .pipeline import Pipeline
from .policy_factory import make_chain
from .records import RecordStore
from .server.admin import Admin
from .server.surface import Limits, Surface
from .upstreams.client import UpstreamClient
from .upstreams.health import Health

SETTLE_AT_END_SECONDS: Final = 1.0
"""How long, after the last reply, the energy of the last requests may take to become final."""
ADMIN_SHUTDOWN_SECONDS: Final = 1.0

log = structlog.get_logger("jevons")


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running proxy listens, the ports that the system chose included."""

    main: str
    admin: str


class Listener:
    """One bound socket with its application. Leaving stops accepting and lets what is in flight finish until the deadline."""

    def __init__(self, app: web.Application, address: Address, *, shutdown_seconds: float) -> None:
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=shutdown_seconds, handle_signals=False
        )
        self._address = address
        self.url = ""

    async def __aenter__(self) -> Self:
        """Bind."""
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._address.host, self._address.port, backlog=1024).start()
        except OSError as error:
            await self._runner.cleanup()
            raise JevonsError(f"cannot listen on {self._address}: {error.strerror or error}") from error
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop."""
        await self._runner.cleanup()


class App:
    """One proxy: made from a configuration, run until `stop` is set."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.upstreams: dict[str, Upstream] = {upstream.name: upstream for upstream in to_upstreams(config)}
        self.keys = load_keys(config.auth.keys_file) if config.auth and config.auth.keys_file else None
        self.chain: PolicyChain = make_chain(config)
        self.version = version("jevons")
        self.affinity = ResponseAffinity()
        self.records = RecordStore()
        self.loaded_at = datetime.now(UTC)
        self.metering = Metering(meters_for(self.upstreams.values()), list(self.upstreams.values()), carbon=_carbon(config))
        self.exporter = PrometheusExporter(
            Sources(
                upstreams=list(self.upstreams),
                policies=list(self.chain.names),
                metering=self.metering.state,
                version=self.version,
            )
        )
        self.is_draining = False

    def facts(self) -> Facts:
        """What a decision may rest on now."""
        return Facts(upstreams=self.upstreams, response_upstreams=self.affinity.upstreams)

    async def run(self, stop: asyncio.Event, on_ready: Callable[[Addresses], None]) -> None:
        """Serve until `stop` is set, then drain. Raises JevonsError where a listener cannot be bound."""
        async with UpstreamClient() as client, self.metering, asyncio.TaskGroup() as loops:
            health = Health(client.session, list(self.upstreams.values()))
            background = [
                loops.create_task(self.metering.run(), name="settlement"),
                loops.create_task(health.run(), name="health"),
            ]
            try:
                await self._listen(client, health, stop, on_ready)
                await self.metering.settle_last(SETTLE_AT_END_SECONDS)
            finally:
                for task in background:
                    task.cancel()

    async def _listen(
        self, client: UpstreamClient, health: Health, stop: asyncio.Event, on_ready: Callable[[Addresses], None]
    ) -> None:
        pipeline = self._pipeline(client, health)
        surface = Surface(pipeline, self.records, self.upstreams, _limits(self.config))
        admin = Admin(
            metrics=self.exporter,
            health=self._report_health,
            is_ready=lambda: health.is_ready and not self.is_draining,
            token=self.config.admin_token.get_secret_value() if self.config.admin_token else None,
        )
        async with (
            Listener(admin.app(), self.config.admin, shutdown_seconds=ADMIN_SHUTDOWN_SECONDS) as admin_listener,
            Listener(surface.app(self.keys), self.config.listen, shutdown_seconds=self.config.drain_seconds) as main_listener,
        ):
            on_ready(Addresses(main_listener.url, admin_listener.url))
            await stop.wait()
            self.is_draining = True
            log.info("draining", in_flight=pipeline.in_flight, deadline_seconds=self.config.drain_seconds)

    def _pipeline(self, client: UpstreamClient, health: Health) -> Pipeline:
        return Pipeline(
            chain=self.chain,
            facts=self.facts,
            client=client,
            health=health,
            metering=self.metering,
            records=self.records,
            affinity=self.affinity,
            observer=self.exporter,
            version=self.version,
        )

    def _report_health(self) -> dict[str, object]:
        return {
            "status": "draining" if self.is_draining else "ok",
            "version": self.version,
            "config": {"hash": config_hash(self.config), "loaded_at": self.loaded_at.isoformat(), "error": None},
            "meters": self.metering.health(),
        }


async def run_until_signal(app: App, on_ready: Callable[[Addresses], None]) -> None:
    """Run until SIGTERM or SIGINT; a second one does not wait for streams."""
    stop = asyncio.Event()
    task = asyncio.current_task()

    def receive() -> None:
        if stop.is_set() and task is not None:
            task.cancel()
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, receive)
    await app.run(stop, on_ready)


def _carbon(config: Config) -> Carbon:
    carbon = config.energy.carbon
    return Carbon(pue=config.energy.pue, gco2e_per_kwh=carbon.gco2e_per_kwh if carbon else None)


def _limits(config: Config) -> Limits:
    return Limits(body_bytes=config.limits.body_bytes, body_seconds=config.limits.body_seconds)
