"""The boards of another host by the page of its dcgm-exporter.

What is there is coarse: the exporter collects every 30 s unless told otherwise, so that all that happened in half a minute
comes as one figure. The devices say so (`coarse`, `update_seconds`), and what is charged by them is an average over that time.
A board split by MIG is shown once per slice, each with the whole board's figure: one of them is taken, never their sum. A
reading is dated here, when it is seen, so that the clocks of the two hosts need not agree.

Fields and labels: https://github.com/NVIDIA/dcgm-exporter (the host's label was `Hostname` until May 2026, `hostname` since)
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from ..device_names import DCGM_PREFIX
from ..errors import MeterError
from ..units import Joules, Seconds, Watts
from .meter import Device, Sample
from .node import Node

POLL_SECONDS: Final[Seconds] = 1.0
"""How often the page is looked at, to see soon that it has changed."""
COLLECT_SECONDS: Final[Seconds] = 30.0
"""dcgm-exporter's own interval, where it is not told another (`--collect-interval`)."""

_ENERGY_FIELDS: Final = frozenset({"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", "dcgm_total_energy_consumption"})
_POWER_FIELDS: Final = frozenset({"DCGM_FI_DEV_POWER_USAGE", "dcgm_power_usage"})
"""In mJ and in W; with `--use-old-namespace` as the second writes them."""
_LINE: Final = re.compile(r"(\w+)\{(.*)\}\s+(\S+)(?:\s+-?\d+)?\s*")
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_BLANK: Final = 0x7FFF_FFFF_FFFF_FFF0
"""From here on DCGM's figures mean that there is none."""


@dataclass(slots=True)
class Reading:
    """What a page says of one board."""

    labels: dict[str, str]
    """Of its first line; names in lower case."""
    joules: Joules | None = None
    watts: Watts | None = None
    is_split: bool = False


def parse_page(text: str) -> dict[str, Reading]:
    """The boards of a page by their UUID; lines that say nothing of energy or power, or make no sense, are passed over."""
    boards: dict[str, Reading] = {}
    for line in text.splitlines():
        if not line.startswith(("DCGM_FI_DEV_TOTAL_ENERGY", "DCGM_FI_DEV_POWER_USAGE", "dcgm_total_energy", "dcgm_power_usage")):
            continue
        found = _LINE.fullmatch(line)
        labels = {name.lower(): value for name, value in _LABEL.findall(found[2])} if found else {}
        value = _figure(found[3]) if found else None
        if found is None or value is None or not labels.get("uuid"):
            continue
        board = boards.setdefault(labels["uuid"], Reading(labels))
        board.is_split = board.is_split or "gpu_i_id" in labels
        if found[1] in _ENERGY_FIELDS:  # slices are collected one after the other: the largest is the latest
            board.joules = max(board.joules or 0.0, value / 1e3)
        elif found[1] in _POWER_FIELDS:
            board.watts = max(board.watts or 0.0, value)
    return {uuid: board for uuid, board in boards.items() if board.joules is not None or board.watts is not None}


def _figure(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value < _BLANK else None


class DcgmMeter:
    """The boards of one page, all of them or those with the given ids."""

    def __init__(self, url: str, ids: Collection[str] | None = None, *, clock: Callable[[], Seconds] = time.monotonic) -> None:
        self._node = Node(url)
        self.name = f"dcgm-exporter {self._node.address}"
        self.is_for_named = True
        self._ids = ids
        self._clock = clock
        self._devices: dict[str, Device] = {}
        self._has_counter: set[str] = set()
        self._next_at: Seconds = 0.0

    def open(self) -> list[Device]:
        """Read the page once; raises MeterError with the reason where it shows no board."""
        try:
            boards = self._boards()
            devices = self._choose(boards)
        except MeterError:
            self.close()
            raise
        self._devices = {device.id: device for device in devices}
        self._has_counter = {uuid for uuid, board in boards.items() if board.joules is not None}
        return devices

    def close(self) -> None:
        """Let go of the connection."""
        self._devices = {}
        self._node.close()

    def read(self) -> list[Sample]:
        """One sample per board, each second."""
        now = self._clock()
        if now < self._next_at or not self._devices:
            return []
        self._next_at = now + POLL_SECONDS
        try:
            boards = self._boards()
        except MeterError as error:
            return [Sample(uuid, self._clock(), problem=str(error)) for uuid in self._devices]
        at = (now + self._clock()) / 2
        return [self._sample(uuid, boards.get(uuid), at) for uuid in self._devices]

    def _choose(self, boards: dict[str, Reading]) -> list[Device]:
        devices = [self._describe(uuid, board) for uuid, board in boards.items()]
        wanted = [device for device in devices if self._ids is None or {device.id, *device.aliases} & set(self._ids)]
        if not wanted:
            known = ", ".join(boards) or "none at all: add DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION to its counters"
            raise MeterError(f"{self._node.address}: dcgm-exporter shows energy or power of no such board; there is {known}")
        return wanted

    def _boards(self) -> dict[str, Reading]:
        return parse_page(self._node.get().decode(errors="replace"))

    def _sample(self, uuid: str, board: Reading | None, at: Seconds) -> Sample:
        if board is None:
            return Sample(uuid, at, problem=f"{self._node.address}: the board is not on the page any more")
        if board.joules is None and uuid in self._has_counter:
            return Sample(uuid, at, problem=f"{self._node.address}: the board's energy is not on the page any more")
        return Sample(uuid, at, board.joules, board.watts)

    def _describe(self, uuid: str, board: Reading) -> Device:
        configured_as = f"{DCGM_PREFIX}{self._node.url}"
        host = board.labels.get("hostname") or self._node.address
        return Device(
            uuid,
            f"{host}: {'MIG board: ' if board.is_split else ''}{board.labels.get('modelname') or 'NVIDIA GPU'}",
            counter_lag_seconds=POLL_SECONDS / 2,
            configured_as=configured_as,
            aliases=(f"{configured_as}/{uuid}",),
            update_seconds=COLLECT_SECONDS,
            quality=frozenset({"coarse", "shared_device"} if board.is_split else {"coarse"}),
        )
