"""Which devices and engines settle together, and how far each group has got.

A bin is settled on all devices of an engine at once, so that devices that share an engine wait for each other; whoever has
nothing to do with them does not. A device whose counter moves twice a minute, or has fallen silent, holds up the engines that
run on it and nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..units import Seconds
from .engine import Engine
from .ledger import DeviceLedger


@dataclass(frozen=True, slots=True)
class Group:
    """Engines, and all devices that any of them runs on; or one device that nobody uses."""

    engines: tuple[Engine, ...]
    devices: tuple[DeviceLedger, ...]

    @property
    def members(self) -> tuple[Engine | DeviceLedger, ...]:
        """All of them."""
        return (*self.engines, *self.devices)

    @property
    def oldest_open(self) -> int | None:
        """The next bin to settle; None before the first has been opened. Who has just joined (0) goes along from here."""
        return min((member.oldest_open for member in self.members if member.oldest_open), default=None)

    def open(self, index: int) -> None:
        """Let those that have no open bin begin with this one, or with the others of the group."""
        first = self.oldest_open or index
        for member in self.members:
            member.oldest_open = member.oldest_open or first

    def covers(self, until: Seconds, now: Seconds) -> bool:
        """Whether every joule up to a time is in a bin, or will never be."""
        return all(ledger.counter.covers(until, now) for ledger in self.devices)

    def at(self, index: int) -> tuple[list[Engine], dict[str, DeviceLedger]]:
        """Those for which this bin has not settled yet: whoever came from another group may be ahead."""
        engines = [engine for engine in self.engines if engine.oldest_open <= index]
        devices = {ledger.counter.device.id: ledger for ledger in self.devices if ledger.oldest_open <= index}
        return engines, devices

    def close(self, index: int) -> None:
        """That bin has settled."""
        for member in self.members:
            member.oldest_open = max(member.oldest_open, index + 1)


def groups_of(engines: Iterable[Engine], devices: Mapping[str, DeviceLedger]) -> list[Group]:
    """The engines in groups that share no device, and every device that is in none of them by itself."""
    found: list[tuple[list[Engine], set[str]]] = []
    for engine in engines:
        names = set(engine.devices)
        together = [group for group in found if group[1] & names]
        found = [group for group in found if group not in together]
        members = [member for group in together for member in group[0]]
        found.append(([*members, engine], names.union(*(group[1] for group in together))))
    used = set().union(*(names for _, names in found))
    groups = [Group(tuple(members), tuple(devices[name] for name in sorted(names))) for members, names in found]
    return groups + [Group((), (ledger,)) for name, ledger in devices.items() if name not in used]
