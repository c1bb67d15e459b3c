"""Where the model servers run, looked up again and again in a thread that nobody waits for.

A server may be started, moved to another board or stopped at any time, and which boards it computes on shows only once its
model is loaded. What is found is told in the loop; a server that was found and is not any more is believed to be where it was
for two looks longer, since one that is just being started anew shows nothing for a while.

Going through all processes of a host takes a while too. It is done when a server's socket is another one than before, or when
other processes compute on the boards; else everything is where it was.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from ..device_names import DeviceKind
from ..exchange import Upstream
from ..units import Seconds
from .topology import Found, find_devices, find_sockets
from .visible import Board

LOOK_SECONDS: Final[Seconds] = 5.0
PATIENCE_LOOKS: Final = 3
"""So many times in a row a server must not be found before it is taken to be anywhere."""


@runtime_checkable
class KnowsProcesses(Protocol):
    """A meter whose driver says which processes compute on which board. Its methods may block."""

    def boards(self) -> list[Board]:
        """Every board that the driver counts, in its order."""
        ...

    def processes(self) -> dict[str, frozenset[int]]:
        """The host's PIDs that compute on each board, by UUID."""
        ...


@dataclass(slots=True)
class _Last:
    """What was last believed of one server."""

    found: Found
    """What is to be believed."""
    seen: Found
    """What the last look has found, and under which circumstances."""
    circumstances: object
    misses: int = 0

    def see(self, found: Found) -> Found:
        """Take what one look has found; returns what is to be believed."""
        self.seen = found
        if found.devices is not None:
            self.found, self.misses = found, 0
        else:
            self.misses += 1
            if self.found.devices is None or self.misses >= PATIENCE_LOOKS:
                self.found = found
        return self.found


class Placement:
    """Looks for servers' boards from a daemon thread.

    Args:
        upstreams: The servers; those with `auto` among their devices are looked for, and the list may change.
        drivers: Who says what runs on which board.
        tell: Called in the loop with an upstream's name and what was found, after every look.
        look_seconds: The pause between two looks.
        find: How one server is found, in the arguments of `find_devices`.
        find_sockets: What its address leads to.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        drivers: Sequence[KnowsProcesses],
        tell: Callable[[str, Found], None],
        *,
        look_seconds: Seconds = LOOK_SECONDS,
        find: Callable[..., Found] = find_devices,
        find_sockets: Callable[[str], frozenset[int]] = find_sockets,
    ) -> None:
        self.has_looked = asyncio.Event()
        """Set by the first look at all of them."""
        self._upstreams = upstreams
        self._drivers = drivers
        self._tell = tell
        self._look_seconds = look_seconds
        self._find = find
        self._find_sockets = find_sockets
        self._last: dict[str, _Last] = {}
        self._stop = threading.Event()

    @property
    def is_able(self) -> bool:
        """Whether there is somebody to ask."""
        return bool(self._drivers)

    def start(self) -> None:
        """Begin to look, where there is somebody to ask."""
        if self.is_able:
            loop = asyncio.get_running_loop()
            threading.Thread(target=self._run, args=(loop,), name="placement", daemon=True).start()
        else:
            self.has_looked.set()

    async def wait_for_look(self, timeout_seconds: Seconds) -> None:
        """Wait until all have been looked for once, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self.has_looked.wait()

    def close(self) -> None:
        """Ask the thread to stop; it is not waited for, since the driver may hang."""
        self._stop.set()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._stop.is_set():
            found = self.look()
            try:
                loop.call_soon_threadsafe(self._deliver, found)
            except RuntimeError:  # the loop has gone
                return
            self._stop.wait(self._look_seconds)

    def look(self) -> dict[str, Found]:
        """Look once for every server; returns what is to be believed, by upstream."""
        wanted = [upstream for upstream in self._upstreams if DeviceKind.AUTO.value in upstream.devices]
        if not wanted:
            return {}
        boards = [board for driver in self._drivers for board in driver.boards()]
        on_boards = {uuid: pids for driver in self._drivers for uuid, pids in driver.processes().items()}
        believed = {}
        for upstream in wanted:
            circumstances = (self._find_sockets(upstream.base_url), on_boards, boards)
            last = self._last.get(upstream.name)
            if last is None or last.circumstances != circumstances:
                found = self._find(upstream.base_url, on_boards, boards)
                last = self._last.setdefault(upstream.name, _Last(found, found, circumstances))
                last.circumstances = circumstances
            else:
                found = last.seen
            believed[upstream.name] = last.see(found)
        return believed

    def _deliver(self, found: dict[str, Found]) -> None:
        if not self._stop.is_set():
            for upstream, one in found.items():
                self._tell(upstream, one)
            self.has_looked.set()
