"""Reading the configuration anew while the proxy runs: when its file changes, or on SIGHUP.

The folder is watched and not the file, since editors and Kubernetes put another file in its place. What was read is checked as
at the start, all of it, before anything changes; where it cannot be run the old configuration stays, and the error is in the
log, in `jevons_config_reload_total{outcome="failed"}` and at `/healthz`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Final

import structlog
from watchfiles import awatch

from .config import Config
from .config_file import load_config
from .errors import ConfigError

DEBOUNCE_MILLISECONDS: Final = 200
FOR_A_RESTART: Final = (
    "listen",
    "admin",
    "admin_token",
    "admin_public",
    "drain_seconds",
    "workers",
    "energy",
    "ledger",
    "otel",
    "limits",
    "faults",
    "keep_alive_seconds",
    "gather_milliseconds",
)
"""Keys that only a restart changes: sockets, devices, files that are open."""
_UPSTREAM_FOR_A_RESTART: Final = ("devices", "energy", "dialect")

log = structlog.get_logger("jevons.reload")


class Reloader:
    """Watches one configuration file. `apply` takes a configuration that has been checked, and may still raise ConfigError."""

    def __init__(self, path: Path, environment: Mapping[str, str], apply: Callable[[Config], None]) -> None:
        self.error: str | None = None
        """Why the file, as it is now, does not run."""
        self._path = path
        self._environment = environment
        self._apply = apply
        self._asked = asyncio.Event()
        self._other_files: tuple[Path, ...] = ()
        self._digest = b""

    def watch_too(self, *paths: Path) -> None:
        """Other files that the configuration is made of, such as that of the keys."""
        self._other_files = paths

    def ask(self) -> None:
        """Read it anew, changed or not: what SIGHUP does."""
        self._asked.set()

    async def run(self, on_outcome: Callable[[bool], None]) -> None:
        """Watch until cancelled; `on_outcome` is told of every reading whether it could be run."""
        self._digest = self._read_digest()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(), name="configuration folder")
            while True:
                await self._asked.wait()
                self._asked.clear()
                on_outcome(self.reload())

    def reload(self) -> bool:
        """Read, check, apply; False where the old configuration stays."""
        self._digest = self._read_digest()
        try:
            self._apply(load_config(self._path, self._environment))
        except ConfigError as error:
            self.error = str(error)
            log.error("configuration not reloaded; the old one stays", problems=error.problems)  # noqa: TRY400 - no bug of ours
            return False
        self.error = None
        return True

    async def _watch(self) -> None:
        folders = {path.parent if path.parent != Path() else Path.cwd() for path in (self._path, *self._other_files)}
        pause = DEBOUNCE_MILLISECONDS  # a step is by default so short that it wakes 20 times a second
        async for _ in awatch(*folders, recursive=False, debounce=pause, step=pause, watch_filter=None):
            if self._read_digest() != self._digest:
                self._asked.set()

    def _read_digest(self) -> bytes:
        """Of what the files say now; the folder has other files too, which change more often."""
        digest = hashlib.blake2b(digest_size=16)
        for path in (self._path, *self._other_files):
            try:
                digest.update(path.read_bytes())
            except OSError as error:
                digest.update(str(error.errno).encode())
        return digest.digest()


def for_a_restart(before: Config, after: Config) -> list[str]:
    """The keys that differ and that only a restart changes."""
    keys = [key for key in FOR_A_RESTART if getattr(before, key) != getattr(after, key)]
    running = {section.name: section for section in before.upstreams}
    for index, section in enumerate(after.upstreams):
        old = running.get(section.name)
        names: Iterable[str] = _UPSTREAM_FOR_A_RESTART if old is not None else ()
        keys += [f"upstreams.{index}.{name}" for name in names if getattr(old, name) != getattr(section, name)]
    if (before.auth is None or before.auth.keys_file is None) != (after.auth is None or after.auth.keys_file is None):
        keys.append("auth")
    return keys


def as_it_runs(before: Config, after: Config) -> Config:
    """`after`, with what only a restart changes as it was before."""
    is_other_auth = "auth" in for_a_restart(before, after)
    running = {section.name: section for section in before.upstreams}
    upstreams = tuple(
        section.model_copy(update={name: getattr(running[section.name], name) for name in _UPSTREAM_FOR_A_RESTART})
        if section.name in running
        else section
        for section in after.upstreams
    )
    kept = {key: getattr(before, key) for key in (*FOR_A_RESTART, *(["auth"] if is_other_auth else []))}
    return after.model_copy(update={**kept, "upstreams": upstreams})
