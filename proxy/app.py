"""The composition root: from a configuration to a running proxy, and back to nothing in reverse order.

The only module that knows every part. What lives and for how long is the one `async with` stack in `App.run`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Final

import structlog

from jevons.exporters.exporter import Sources
from jevons.exporters.prometheus import PrometheusExporter
from jevons.policies.chain import PolicyChain
from jevons.policies.policy import Facts

from .affinity import ResponseAffinity
from .config import Config, config_hash, to_upstreams
from .energy_factory import make_carbon, make_grid, make_state_file
from .errors import JevonsError
from .exchange import Upstream
from .keys import load_keys
from .metering.devices import meters_for
from .metering.metering import Metering
from .pipeline import Pipeline
from .policy_factory import make_chain
from .records import RecordStore
from .server.admin import Admin
from .server.listener import Listener
from .server.surface import Limits, Surface
from .units import Seconds
from .upstreams.client import UpstreamClient
from .upstreams.engine_metrics import EngineMetrics
from .upstreams.health import Health

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

    def __init__(self, config: Config) -> None:
        self.config = config
        self.upstreams: dict[str, Upstream] = {upstream.name: upstream for upstream in to_upstreams(config)}
        self.keys = load_keys(config.auth.keys_file) if config.auth and config.auth.keys_file else None
        self.chain: PolicyChain = make_chain(config)
        self.version = version("jevons")
        self.affinity = ResponseAffinity()
        self.records = RecordStore()
        self.loaded_at = datetime.now(UTC)
        upstreams = list(self.upstreams.values())
        meters = meters_for(upstreams, zeusd_token=os.environ.get("ZEUSD_TOKEN"))
        self.grid = make_grid(config.energy)
        self.metering = Metering(
            meters,
            upstreams,
            carbon=make_carbon(config.energy, self.grid),
            estimates=config.energy.estimates,
            state_file=make_state_file(config.energy),
        )
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
        failure: JevonsError | None = None
        async with (
            UpstreamClient(tick_seconds=self.config.gather_milliseconds / 1000) as client,
            self.metering,
            asyncio.TaskGroup() as loops,
        ):
            upstreams = list(self.upstreams.values())
            health = Health(client.session, upstreams)
            engines = EngineMetrics(client.session, upstreams, self.metering.served, dialect=health.dialect)
            background = [
                loops.create_task(self.metering.run(), name="settlement"),
                loops.create_task(self.metering.keep_state(), name="state file"),
                loops.create_task(health.run(), name="health"),
                loops.create_task(engines.run(), name="engine metrics"),
            ]
            if self.grid is not None:
                background.append(loops.create_task(self.grid.run(client.session), name="grid"))
            try:
                await self._listen(client, health, stop, on_ready)
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
        pipeline = self._pipeline(client, health)
        surface = Surface(pipeline, self.records, self.upstreams, _limits(self.config))
        admin = Admin(
            metrics=self.exporter,
            health=self._report_health,
            is_ready=lambda: health.is_ready and not self.is_draining,
            token=self.config.admin_token.get_secret_value() if self.config.admin_token else None,
        )
        async with (
            Listener(admin.app(), self.config.admin, drain_seconds=ADMIN_DRAIN_SECONDS) as admin_listener,
            Listener(
                surface.app(self.keys),
                self.config.listen,
                drain_seconds=self.config.drain_seconds,
                fast=lambda slow: surface.fast_path(self.keys, slow),
            ) as main_listener,
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
    await asyncio.wait([running])
    if not running.cancelled():
        running.result()
    elif is_listening.is_set():
        raise JevonsError("ended at once by a second signal: what was in flight has been cut off")


def _limits(config: Config) -> Limits:
    return Limits(body_bytes=config.limits.body_bytes, body_seconds=config.limits.body_seconds)
