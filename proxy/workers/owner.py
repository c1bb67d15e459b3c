"""The owner: devices, budgets' sums, ledger, health checks, metrics and the admin listener; requests are its workers'."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

import msgspec
import structlog

from ..app import ADMIN_DRAIN_SECONDS, Addresses, App
from ..config import Config
from ..errors import JevonsError
from ..metering.collector import Collector
from ..observed import LineState, ServerState
from ..policy_factory import Memory
from ..server.admin import Admin
from ..server.listener import Listener
from ..server.live import LivePage
from ..units import Seconds
from ..upstreams.client import UpstreamClient
from ..upstreams.health import Health
from . import messages
from .crew import Crew, reserve
from .finding import Finder
from .forks import Forks
from .holdouts import Holdouts
from .memories import SharedBalances, Uses
from .setting import pack

TICK_SECONDS: Final[Seconds] = 0.1
"""Between two looks at what workers are to be told."""
_WATTS_EVERY: Final = 10
"""In ticks."""

log = structlog.get_logger("jevons.workers")


class OwnerApp(App):
    """One proxy of several processes. `workers`: how many; `log_level` is theirs too; `forks`: those that there are already."""

    def __init__(self, config: Config, source: Path | None, *, workers: int, log_level: str, forks: Forks | None = None) -> None:
        self._collector = Collector(watches_prices=True)
        self._balances = SharedBalances()
        super().__init__(config, source, attribution=self._collector, memory=Memory(balances=self._balances))
        self._workers = workers
        self._forks = forks
        self._log_level = log_level
        self._holdouts = Holdouts(config.holdout.share if config.holdout else 0.0)
        self.router.holdout = self._holdouts
        self._uses = Uses()
        self._slots: dict[str, int] = {}
        """By engine: its place in the table of counts; none is given twice."""
        self._passed: dict[int, messages.Passed] = {}
        """By worker: what it last told of itself."""
        self._told_engines: messages.Engines | None = None
        self._told_surroundings: messages.Surroundings | None = None
        self._address = ("", 0)
        self.crew: Crew | None = None
        self._finder: Finder | None = None
        """Both while it runs."""

    async def _listen(
        self, client: UpstreamClient, health: Health, stop: asyncio.Event, on_ready: Callable[[Addresses], None]
    ) -> None:
        del client
        listen = self.config.listen
        with closing(reserve(listen.host, listen.port)) as held:
            self._address = (listen.host, held.getsockname()[1])
            self.crew = crew = Crew(
                self._workers, greet=self._greet, receive=self._receive, joined=self._join, gone=self._lose, forks=self._forks
            )
            self._finder = Finder(crew.send, lambda: list(crew.hands), self.ledger)
            admin = self._admin(health)
            async with (
                Listener(admin.app(), self.config.admin, drain_seconds=ADMIN_DRAIN_SECONDS) as admin_listener,
                asyncio.TaskGroup() as tasks,
            ):
                running = tasks.create_task(crew.run(), name="workers")
                telling = tasks.create_task(self._tell(crew, health), name="telling workers")
                try:
                    await crew.is_complete.wait()
                    if crew.problem is None:
                        on_ready(Addresses(crew.url, admin_listener.url))
                        await stop.wait()
                        self.is_draining = True
                        log.info("draining", in_flight=self.count_in_flight(), deadline_seconds=self.config.drain_seconds)
                    await crew.drain(self.config.drain_seconds)
                    await running
                finally:
                    telling.cancel()
                    running.cancel()
        if crew.problem is not None and not self.is_draining:
            raise JevonsError(crew.problem)

    def _admin(self, health: Health) -> Admin:
        return Admin(
            metrics=self,
            health=self._report_health,
            is_ready=lambda: health.is_ready and not self.is_draining,
            token=self.config.admin_token.get_secret_value() if self.config.admin_token else None,
            before_shown=self.metering.keep_shown,
            page=LivePage(self.live),
        )

    def take(self) -> Callable[[str], tuple[bytes, str]]:
        """The metrics of the whole, to be rendered."""
        in_flight = dict.fromkeys(self.upstreams, 0)
        for name, slot in self._slots.items():
            upstream = name.partition("#")[0]
            if self.crew is not None and upstream in in_flight:
                in_flight[upstream] += self.crew.counts.in_flight(slot)
        for upstream, attempts in in_flight.items():
            self.exporter.set_in_flight(upstream, attempts)
        return self.exporter.take()

    def count_in_flight(self) -> int:
        """Requests whose clients are still waiting, at all workers."""
        return sum(passed.in_flight for passed in self._passed.values())

    def servers_seen(self) -> Sequence[ServerState]:
        """What the workers have found, each by its own requests: left alone as long as any leaves it alone."""
        found: dict[str, ServerState] = {}
        for state in (state for passed in self._passed.values() for state in passed.servers):
            before = found.get(state.server, ServerState(state.server, 0.0, 0))
            ejected = max(before.ejected, state.ejected)
            found[state.server] = ServerState(state.server, ejected, before.ejections + state.ejections)
        return list(found.values())

    def lines_seen(self) -> Sequence[LineState]:
        """Who waits at any worker."""
        found: dict[str, LineState] = {}
        for line in (line for passed in self._passed.values() for line in passed.lines):
            before = found.get(line.upstream, LineState(line.upstream, 0, 0, 0, 0))
            found[line.upstream] = LineState(
                line.upstream,
                before.waiting + line.waiting,
                before.full + line.full,
                before.late + line.late,
                before.retries + line.retries,
            )
        return list(found.values())

    def _report_health(self) -> dict[str, object]:
        crew = self.crew
        ready = 0 if crew is None else sum(hand.is_ready for hand in crew.hands.values())
        restarts = 0 if crew is None else crew.restarts
        return {**super()._report_health(), "workers": {"wanted": self._workers, "ready": ready, "restarts": restarts}}

    def _note_up(self, server: str) -> None:
        super()._note_up(server)
        if self.crew is not None:
            self.crew.tell_all(messages.Up(server))

    def _take(self, config: Config) -> None:
        super()._take(config)
        self._holdouts.share = self.config.holdout.share if self.config.holdout else 0.0
        if self.crew is not None:
            self.crew.tell_all(self._setting())

    def _setting(self) -> messages.Setting:
        return pack(self.config, self.keys.keys if self.keys else None, self._engines_told())

    def _engines_told(self) -> messages.Engines:
        engines = tuple(
            messages.EngineTold(
                engine.name,
                self._slots.setdefault(engine.name, len(self._slots)),
                engine.devices,
                engine.fit.doubt,
                self._collector.model(engine),
            )
            for engine in self._collector.engines.values()
        )
        counters = [ledger.counter for ledger in self._collector.devices.values()]
        devices = tuple(messages.DeviceTold(counter.device, counter.placing_seconds) for counter in counters)
        return messages.Engines(engines, devices)

    def _surroundings(self, health: Health) -> messages.Surroundings:
        watts = {ledger.counter.device.id: ledger.counter.watts for ledger in self._collector.devices.values()}
        dialects = {name: dialect.value for name, dialect in health.dialects.items()}
        return messages.Surroundings(dict(health.problems), dialects, watts, self.metering.carbon.intensity)

    def _greet(self, number: int) -> messages.Welcome:
        return messages.Welcome(
            number,
            self._workers,
            *self._address,
            self._log_level,
            self.ledger is not None or self.otel is not None,
            self._setting(),
        )

    def _join(self, number: int) -> None:
        self._collector.join(number, self.metering.clock())
        self._told_surroundings = None

    def _lose(self, number: int) -> None:
        self._collector.leave(number, self.metering.clock())
        self._uses.leave(number)
        self._holdouts.leave(number)
        self._passed.pop(number, None)

    async def _tell(self, crew: Crew, health: Health) -> None:
        """Call for bins, and say what is new, until cancelled."""
        tick = 0
        while True:
            self._pass_prices(crew)
            dues = self._collector.dues(self.metering.clock())
            if dues or self._collector.needs_sights:
                crew.tell_all(messages.Call(tuple(dues)))
            surroundings = self._surroundings(health)
            before = self._told_surroundings
            is_new = before is None or (before.problems, before.dialects) != (surroundings.problems, surroundings.dialects)
            if is_new or tick % _WATTS_EVERY == 0:
                self._told_surroundings = surroundings
                crew.tell_all(surroundings)
            engines = self._engines_told()
            if _places(engines) != _places(self._told_engines):
                self._told_engines = engines
                crew.tell_all(engines)
            self._balances.hear(self._uses.total())
            for number in crew.hands:
                if others := self._uses.for_member(number):
                    crew.send(number, messages.Others(others))
            tick += 1
            await asyncio.sleep(TICK_SECONDS)

    def _pass_prices(self, crew: Crew) -> None:
        settled = self._collector.take_settled()
        if settled:
            crew.tell_all(messages.Prices(tuple(settled)))

    def _receive(self, number: int, message: messages.ToOwner) -> None:
        crew, finder = self.crew, self._finder
        if crew is None or finder is None:
            return
        match message:
            case messages.Find():
                finder.ask(number, message)
            case messages.Found():
                finder.answered(message)
            case messages.Remembered():
                crew.tell_all(message, but=number)
            case messages.Scored(request_id, tenant, score):
                crew.tell_all(message, but=number)
                if self.ledger is not None:
                    self.ledger.feedback(request_id, tenant, score)
            case _:
                self._count(crew, number, message)

    def _count(self, crew: Crew, number: int, message: messages.ToOwner) -> None:
        match message:
            case messages.Edges(edges):
                self._collector.take_edges(number, edges)
            case messages.Told(statement):
                moves = self._collector.take(number, statement)
                if moves:
                    crew.send(number, messages.Moved(tuple(moves)))
                self._collector.settle(self.metering.clock())
                self._pass_prices(crew)
            case messages.Passed():
                self._note(number, message)
            case messages.Sampled():
                self._holdouts.take(number, message)
            case _:
                raise JevonsError(f"the owner was told {type(message).__name__}")

    def _note(self, number: int, passed: messages.Passed) -> None:
        self._passed[number] = passed
        self.exporter.add_changes(passed.changes)
        self.live.take(msgspec.json.decode(passed.latest))
        if passed.used:
            self._uses.take(number, passed.used)
        for record in pickle.loads(passed.records) if passed.records else ():  # noqa: S301 - from our own child
            for exporter in (self.ledger, self.otel):
                if exporter is not None:
                    exporter.export(record)


def _places(engines: messages.Engines | None) -> object:
    """What a worker must know at once: which engines run where."""
    if engines is None:
        return None
    return [(engine.name, engine.devices, engine.model.is_estimated) for engine in engines.engines], len(engines.devices)
