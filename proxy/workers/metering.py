"""Metering as a worker's request path sees it: its accounts are its own, devices and prices are the owner's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from ..metering.carbon import Carbon
from ..metering.contributor import Contributor
from ..metering.metering import Metering
from ..metering.shared_counts import Row
from ..metering.statements import Settled
from ..metering_state import DeviceState, MeteringState
from ..units import Seconds, Watts
from .messages import Engines

LOOK_SECONDS: Seconds = 0.02
"""Between two looks at how many sequences others have, while any of ours are in flight."""
EDGES_SECONDS: Seconds = 0.005
"""How long the owner may not know that something is in flight here."""
EDGES_APART_SECONDS: Seconds = 0.05
"""The same where it has just been told of others: short requests begin and cease often, and counters are read no more often."""


class WorkerMetering(Metering):
    """One worker's part.

    Args:
        row: Its row of the table of counts.
        carbon: The factors of emissions.
        tell_edges: Called when there are edges to tell of.
    """

    def __init__(self, row: Row, carbon: Carbon, tell_edges: Callable[[], None]) -> None:
        self.contributor = Contributor(row, self._on_edge)
        super().__init__([], [], carbon=carbon, attribution=self.contributor)
        self.watts: dict[str, Watts | None] = {}
        """By device, as the owner has last read it."""
        self._tell_edges = tell_edges
        self._is_due = False
        self._told_at: Seconds = 0.0
        self._is_looking = False

    def know(self, told: Engines) -> None:
        """The devices and engines that there are; an engine that has moved does so once nothing of ours is open there."""
        for device in told.devices:
            self.contributor.mirror(device.device, device.placing_seconds)
        for engine in told.engines:
            self.contributor.know(engine.name, engine.slot, engine.devices, engine.model, doubt=engine.doubt)

    def _look(self) -> None:
        self._is_looking = self.contributor.look(self.clock())
        if self._is_looking:
            asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def _on_edge(self) -> None:
        """An engine has begun, or ceased, to have something of ours in flight: the owner is to know, and we look at others."""
        if not self._is_looking:
            self._look()
        if not self._is_due:
            self._is_due = True
            wait = max(EDGES_SECONDS, self._told_at + EDGES_APART_SECONDS - self.clock())
            asyncio.get_running_loop().call_later(wait, self._tell)

    def _tell(self) -> None:
        self._is_due, self._told_at = False, self.clock()
        self._tell_edges()

    def take(self, told: Iterable[Settled]) -> None:
        """What bins have cost; those whose energy became final by it are told."""
        for settled in told:
            self.finals.tell(self.contributor.take(settled))

    def in_flight(self, upstream: str) -> int:
        """Attempts in flight there, in all workers."""
        engine = self.contributor.shared.get(upstream)
        return 0 if engine is None else engine.flying_everywhere

    def state(self) -> MeteringState:
        """What a decision may look at: the power of the devices."""
        devices = tuple(
            DeviceState(name, name, watts is not None, None, watts, None, 0.0, {}) for name, watts in self.watts.items()
        )
        return MeteringState(devices, intensity=self.carbon.intensity)
