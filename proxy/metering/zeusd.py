"""The boards of another host by `zeusd`, the daemon of the Zeus project, over TCP.

`/discover` lists the boards and says whether each has a counter that zeusd trusts (NVIDIA from Volta on; on AMD zeusd compares
it with the power itself); `/gpu/get_cumulative_energy` gives mJ, `/gpu/get_power` mW. A reading is dated here, in the middle of
its request, so that the clocks of the two hosts need not agree. zeusd knows its boards by number only: a board's id is its PCI
address at that node, or that number where zeusd (0.5 and older) does not tell the address.

The interface: https://ml.energy/zeus/zeusd/api/
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from ..device_names import NODE_GPU_PATH
from ..errors import MeterError
from ..units import Joules, Seconds, Watts
from .meter import Device, Sample
from .node import Node, NodeError

POLL_SECONDS: Final[Seconds] = 0.1
"""Twice as often as a bin is long, as the driver's counter moves; a request each 50 ms would find it where it was."""
RETRY_SECONDS: Final[Seconds] = 1.0
_BAD_REQUEST: Final = 400
"""What zeusd answers where a board does not support what is asked."""


@dataclass(slots=True)
class _Board:
    """One board of the node."""

    device: Device
    number: str
    has_counter: bool


class ZeusdMeter:
    """The boards of one node, all of them or those with the given ids. `token` is one that `zeusd token issue` made."""

    def __init__(
        self,
        url: str,
        ids: Collection[str] | None = None,
        *,
        token: str | None = None,
        clock: Callable[[], Seconds] = time.monotonic,
    ) -> None:
        self._node = Node(url, token=token)
        self.name = f"zeusd {self._node.address}"
        self.is_for_named = True
        self._has_token = token is not None
        self._ids = ids
        self._clock = clock
        self._boards: list[_Board] = []
        self._next_at: Seconds = 0.0

    def open(self) -> list[Device]:
        """Ask the node for its boards; raises MeterError with the reason where there is none to read."""
        try:
            self._boards = self._find_boards()
        except MeterError:
            self.close()
            raise
        return [board.device for board in self._boards]

    def close(self) -> None:
        """Let go of the connection."""
        self._boards = []
        self._node.close()

    def read(self) -> list[Sample]:
        """One sample per board, each 100 ms; a node that does not answer is asked again after a second."""
        now = self._clock()
        if now < self._next_at or not self._boards:
            return []
        try:
            joules, problems = self._ask("/gpu/get_cumulative_energy", [board for board in self._boards if board.has_counter])
            at = (now + self._clock()) / 2
            watts, more = self._watts([board for board in self._boards if board.number not in problems])
        except MeterError as error:
            self._next_at = self._clock() + RETRY_SECONDS
            return [Sample(board.device.id, self._clock(), problem=str(error)) for board in self._boards]
        self._next_at = now + POLL_SECONDS
        for board in self._boards:
            needed = joules if board.has_counter else watts
            if board.number not in needed:
                problems.setdefault(board.number, more.get(board.number, f"no figure for GPU {board.number}"))
        return [self._sample(board, at, joules, watts, problems) for board in self._boards]

    def _find_boards(self) -> list[_Board]:
        found = self._node.get_json("/discover")
        groups = found.get("enabled_api_groups")
        if isinstance(groups, list) and "gpu-read" not in groups:
            raise MeterError(f"{self._node.address}: zeusd does not serve gpu-read; start it with --enable gpu-read")
        if found.get("auth_required") is True and not self._has_token:
            raise MeterError(f"{self._node.address}: zeusd asks for a token; set ZEUSD_TOKEN to one with the scope gpu-read")
        limits = self._limits()
        boards = [self._board(gpu, limits) for gpu in _listed(found)]
        wanted = [board for board in boards if self._ids is None or _names(board.device) & set(self._ids)]
        if not wanted:
            known = ", ".join(board.device.id for board in boards) or "none at all"
            raise MeterError(f"{self._node.address}: zeusd has no such board; there is {known}")
        return wanted

    def _sample(
        self, board: _Board, at: Seconds, joules: dict[str, Joules], watts: dict[str, Watts], problems: dict[str, str]
    ) -> Sample:
        if board.number in problems:
            return Sample(board.device.id, at, problem=f"{self._node.address}: {problems[board.number]}")
        return Sample(board.device.id, at, joules.get(board.number), watts.get(board.number))

    def _watts(self, boards: list[_Board]) -> tuple[dict[str, Watts], dict[str, str]]:
        """As `_ask`; without power, a board that has a counter is still metered."""
        try:
            return self._ask("/gpu/get_power", boards)
        except NodeError as error:
            return {}, {board.number: str(error) for board in boards}

    def _ask(self, path: str, boards: list[_Board]) -> tuple[dict[str, float], dict[str, str]]:
        """Figures in J or W by number, and what was wrong with the others: one that fails makes zeusd withhold all."""
        problems: dict[str, str] = {}
        numbers = [board.number for board in boards]
        while numbers:
            try:
                return _figures(self._node.get_json(f"{path}?gpu_ids={','.join(numbers)}")), problems
            except NodeError as error:
                failed = {number: text for number, text in _errors(error.body).items() if number in numbers}
                if not failed:
                    raise
                numbers = [number for number in numbers if number not in failed]
                if error.status == _BAD_REQUEST and path.endswith("energy"):
                    self._drop_counters(failed)
                else:
                    problems |= failed
        return {}, problems

    def _drop_counters(self, numbers: Collection[str]) -> None:
        """These boards have none, as an older zeusd says only when asked."""
        for board in self._boards:
            board.has_counter = board.has_counter and board.number not in numbers

    def _limits(self) -> dict[str, Watts]:
        try:
            return _figures(self._node.get_json("/gpu/get_power_limit"))
        except NodeError:  # since zeusd 0.5, and withheld from all where one board fails
            return {}

    def _board(self, gpu: dict[str, object], limits: dict[str, Watts]) -> _Board:
        number, url = str(gpu["id"]), self._node.url
        pci = str(gpu.get("pci_address") or "").lower()
        device = Device(
            f"{url}{NODE_GPU_PATH}{pci or number}",
            f"{self._node.address}: {gpu.get('name') or f'GPU {number}'}",
            power_limit_watts=limits.get(number),
            configured_as=url,
            aliases=(f"{url}{NODE_GPU_PATH}{number}",),
        )
        return _Board(device, number, has_counter=gpu.get("cumulative_energy_available") is not False)


def _names(device: Device) -> set[str]:
    return {device.id, *device.aliases}


def _listed(found: dict[str, object]) -> list[dict[str, object]]:
    """The boards of `/discover`: objects since zeusd 0.5, numbers before."""
    gpus = found.get("gpus", found.get("gpu_ids"))
    if not isinstance(gpus, list):
        raise MeterError("zeusd lists no GPUs in /discover")
    listed = [gpu if isinstance(gpu, dict) else {"id": gpu} for gpu in gpus]
    if not all(isinstance(gpu.get("id"), int) for gpu in listed):
        raise MeterError("zeusd lists GPUs without a number in /discover")
    return listed


def _figures(reply: dict[str, object]) -> dict[str, float]:
    """By number, in units: `{"0": {"energy_mj": …}}` or `{"power_mw": {"0": …}}`; what is no figure is left out."""
    inner = reply.get("power_mw")
    values = inner if isinstance(inner, dict) else {key: _only(value) for key, value in reply.items()}
    return {
        key: value / 1e3
        for key, value in values.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    }


def _only(value: object) -> object:
    """The one value of an object that has one."""
    return next(iter(value.values())) if isinstance(value, dict) and len(value) == 1 else None


def _errors(body: bytes) -> dict[str, str]:
    """By number, what zeusd says of the boards that failed: `{"errors": {"1": "…"}}`."""
    try:
        errors = json.loads(body)["errors"]
    except (ValueError, KeyError, TypeError):
        return {}
    return {str(number): str(text) for number, text in errors.items()} if isinstance(errors, dict) else {}
