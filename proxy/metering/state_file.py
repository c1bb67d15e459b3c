"""What the counters showed when they were last settled and where that energy went, kept over a restart of the proxy.

While the proxy is down the devices go on consuming. What they consumed shows in their counters at the next start, and is booked
to `unresolved`, since nobody knows for whom it was; without the file it would be in no account at all. It is only believed
within one boot of the machine, for a counter that has grown, and by no more than the device can have drawn in that time.

A counter and the four accounts are of the same instant, and the next process goes on from them: whatever has happened since,
killed or not, is what the counter has grown by, and is booked once. The file is written every few seconds, at the end, and
before the accounts are shown to anybody, so that nobody has ever seen more than the next process begins with.

A new file is renamed over the old one, so that a kill at any moment leaves one that is whole. It is written by a thread of its
own, since a disk may hang.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog

from ..units import Joules, Seconds, Watts
from .off_loop import off_loop

WRITE_SECONDS: Final[Seconds] = 5.0
LAST_WRITE_SECONDS: Final[Seconds] = 1.0
"""How long the end may wait for the disk."""
BOOT_ID_PATH: Final = Path("/proc/sys/kernel/random/boot_id")
_VERSION: Final = 2
_POWER_MARGIN: Final = 1.2
_MOST_BYTES: Final = 1024 * 1024

log = structlog.get_logger("jevons.metering")


@dataclass(frozen=True, slots=True)
class SavedCounter:
    """One device's counter, as far as its energy had been settled, and when: on the clock of `time.monotonic`."""

    joules: Joules
    at: Seconds
    accounts: Mapping[str, Joules] = field(default_factory=dict)
    """What had been settled by then, by account."""


def consumed_since(saved: SavedCounter, joules: Joules, at: Seconds, *, power_limit_watts: Watts | None) -> Joules:
    """What a counter says was consumed since it was saved; 0 where it began anew, or says more than can be."""
    grown, elapsed = joules - saved.joules, at - saved.at
    if grown <= 0.0 or elapsed <= 0.0:
        return 0.0
    if power_limit_watts is not None and grown > _POWER_MARGIN * power_limit_watts * elapsed:
        return 0.0
    return grown


def read_boot_id(path: Path = BOOT_ID_PATH) -> str | None:
    """What tells this run of the machine from every other; None where the system does not say."""
    try:
        return path.read_text(encoding="ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


class StateFile:
    """The file at `path`, for this boot. Without a boot id nothing of it is believed."""

    def __init__(self, path: Path, *, boot_id: str | None) -> None:
        self.path = path
        self._boot_id = boot_id
        self._problem: str | None = None
        self._writing: asyncio.Task[None] | None = None
        self._asked = self._written = 0
        """How often saving was asked for, and which of these is in the file."""

    def load(self) -> dict[str, SavedCounter]:
        """The counters by device; none where there is no file, where it is from another boot, or cannot be understood."""
        try:
            with self.path.open("rb") as file:
                boot_id, counters = _decode(file.read(_MOST_BYTES))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("state file not usable, starting anew", path=str(self.path), reason=_reason(error))
            return {}
        return counters if boot_id == self._boot_id and boot_id is not None else {}

    async def keep(self, counters: Callable[[], Mapping[str, SavedCounter]]) -> None:
        """Write what `counters` gives, every few seconds until cancelled."""
        while True:
            await asyncio.sleep(WRITE_SECONDS)
            await self.save(counters())

    async def save_soon(self, counters: Mapping[str, SavedCounter], timeout_seconds: Seconds = LAST_WRITE_SECONDS) -> None:
        """Write once more, without waiting for long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self.save(counters)

    async def save(self, counters: Mapping[str, SavedCounter]) -> None:
        """Write, one after the other: one thread waits for a disk that hangs, and nothing older is written over newer."""
        self._asked += 1
        number = self._asked
        while self._writing is not None and not self._writing.done():
            await asyncio.shield(self._writing)
        if number > self._written:
            self._written = number
            self._writing = asyncio.create_task(self._save(counters), name="state file's writer")
            await asyncio.shield(self._writing)

    async def _save(self, counters: Mapping[str, SavedCounter]) -> None:
        """A failure is said once, until it goes well again."""
        content = _encode(self._boot_id, counters)
        try:
            await off_loop(lambda: self._write(content), name="state-file")
        except OSError as error:
            problem: str | None = _reason(error)
            if problem != self._problem:
                log.warning("state file not written", path=str(self.path), reason=problem)
        else:
            problem = None
        self._problem = problem

    def _write(self, content: bytes) -> None:
        """A new file takes the place of the old one in one step. Not forced to disk: after a loss of power its boot is over."""
        new = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            new.write_bytes(content)
            new.replace(self.path)
        except OSError:
            with suppress(OSError):
                new.unlink(missing_ok=True)
            raise


def _encode(boot_id: str | None, counters: Mapping[str, SavedCounter]) -> bytes:
    devices = {
        device: {"joules": saved.joules, "at": saved.at, "accounts": dict(saved.accounts)} for device, saved in counters.items()
    }
    state = {"version": _VERSION, "boot_id": boot_id, "written_at": time.time(), "devices": devices}
    return json.dumps(state, indent=1).encode() + b"\n"


def _decode(content: bytes) -> tuple[str | None, dict[str, SavedCounter]]:
    """Raises ValueError where it is not what `_encode` writes."""
    try:
        state = json.loads(content)
        if state["version"] != _VERSION:
            raise ValueError(f"version {state['version']} is not known")
        boot_id = state["boot_id"]
        counters = {device: _counter(one) for device, one in state["devices"].items()}
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("not a state file of jevons") from error
    figures = [figure for saved in counters.values() for figure in (saved.joules, saved.at, *saved.accounts.values())]
    if not all(map(math.isfinite, figures)) or any(joules < 0.0 for one in counters.values() for joules in one.accounts.values()):
        raise ValueError("not a state file of jevons")
    return boot_id, counters


def _counter(one: Mapping[str, Any]) -> SavedCounter:
    accounts = {str(account): float(joules) for account, joules in one["accounts"].items()}
    return SavedCounter(float(one["joules"]), float(one["at"]), accounts)


def _reason(error: Exception) -> str:
    return (error.strerror or type(error).__name__).lower() if isinstance(error, OSError) else str(error)
