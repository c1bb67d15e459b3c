"""The carbon intensity of the grid, asked for in the background and kept: nobody ever waits for it.

The last answer counts until it is too old; then the intensity is unknown again, and so are the emissions. A source that fails
is said once, with its reason, and asked again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final, Protocol

import aiohttp
import structlog

from ..observed import Intensity
from ..units import Seconds
from .intensity import IntensityError, parse_electricity_maps, parse_file, parse_uk
from .off_loop import off_loop

UK_URL: Final = "https://api.carbonintensity.org.uk"
ELECTRICITY_MAPS_URL: Final = "https://api.electricitymaps.com"
RETRY_SECONDS: Final[Seconds] = 60.0
_FILE_SECONDS: Final[Seconds] = 10.0
_SERVICE_SECONDS: Final[Seconds] = 300.0
"""Both services have new figures every half hour or hour; nobody is served by asking more often."""
_TIMEOUT: Final = aiohttp.ClientTimeout(total=10.0)
_MOST_BYTES: Final = 1024 * 1024

log = structlog.get_logger("jevons.metering")


class GridSource(Protocol):
    """Somewhere to ask."""

    @property
    def poll_seconds(self) -> Seconds:
        """How long to wait between two questions."""
        ...

    async def ask(self, session: aiohttp.ClientSession) -> Intensity:
        """The latest intensity it has; raises IntensityError with the reason where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class GridFile:
    """A file that somebody else writes anew now and then."""

    path: Path
    poll_seconds: Seconds = _FILE_SECONDS

    async def ask(self, session: aiohttp.ClientSession) -> Intensity:  # noqa: ARG002 - the protocol's; a file needs none
        """Read it, off the loop: it may lie on a disk that hangs."""
        try:
            text, written_at = await off_loop(self._read, name="carbon-file")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise IntensityError(f"{self.path}: {(reason or 'not readable as text').lower()}") from error
        try:
            return parse_file(text, written_at)
        except IntensityError as error:
            raise IntensityError(f"{self.path}: {error}") from error

    def _read(self) -> tuple[str, float]:
        with self.path.open("rb") as file:
            return file.read(_MOST_BYTES).decode(), self.path.stat().st_mtime


@dataclass(frozen=True, slots=True)
class GridService:
    """A public service, asked by HTTP; no redirect is followed, since a token might go with it."""

    url: str
    parse: Callable[[bytes], Intensity]
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    poll_seconds: Seconds = _SERVICE_SECONDS

    async def ask(self, session: aiohttp.ClientSession) -> Intensity:
        """One GET."""
        headers = {"accept": "application/json", **self.headers}
        try:
            async with session.get(self.url, headers=headers, allow_redirects=False, timeout=_TIMEOUT) as response:
                body = await _read_bounded(response)
        except TimeoutError as error:
            raise IntensityError("no answer in time") from error
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            raise IntensityError(str(error) or type(error).__name__) from error
        if response.status != HTTPStatus.OK:
            raise IntensityError(f"it answers {response.status}")
        return self.parse(body)


async def _read_bounded(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for block in response.content.iter_any():
        body += block
        if len(body) > _MOST_BYTES:
            raise IntensityError("the reply is too long")
    return bytes(body)


def uk_service(*, postcode: str | None = None, region: int | None = None, url: str | None = None) -> GridService:
    """Great Britain's Carbon Intensity API: the whole country, or the region of an outward postcode or of that number."""
    path = "/intensity"
    if postcode is not None:
        path = f"/regional/postcode/{postcode}"
    elif region is not None:
        path = f"/regional/regionid/{region}"
    return GridService((url or UK_URL) + path, parse_uk)


def electricity_maps_service(*, zone: str, token: str, url: str | None = None) -> GridService:
    """Electricity Maps, for one of its zones."""
    address = f"{url or ELECTRICITY_MAPS_URL}/v3/carbon-intensity/latest?zone={zone}"
    return GridService(address, parse_electricity_maps, {"auth-token": token})


class Grid:
    """What the grid emits, as far as it is known: call it. `run` keeps it up to date.

    Args:
        source: Who is asked.
        stale_seconds: How old a figure may be, by the time it is for.
        clock: Unix time.
    """

    def __init__(self, source: GridSource, *, stale_seconds: Seconds, clock: Callable[[], float] = time.time) -> None:
        self._source = source
        self._stale_seconds = stale_seconds
        self._clock = clock
        self._latest: Intensity | None = None
        self.problem: str | None = "not asked yet"
        """Why the source's last answer was none."""

    def __call__(self) -> Intensity | None:
        """The latest intensity; None where it is too old, or there never was one."""
        latest = self._latest
        if latest is None or (latest.at is not None and self._clock() - latest.at > self._stale_seconds):
            return None
        return latest

    async def run(self, session: aiohttp.ClientSession) -> None:
        """Ask again and again until cancelled."""
        while True:
            await self.poll(session)
            await asyncio.sleep(
                self._source.poll_seconds if self.problem is None else min(RETRY_SECONDS, self._source.poll_seconds)
            )

    async def poll(self, session: aiohttp.ClientSession) -> None:
        """Ask once. Where that fails the last answer stays."""
        try:
            self._latest, problem = await self._source.ask(session), None
        except IntensityError as error:
            problem = str(error)
        if problem != self.problem:
            if problem is None:
                log.info("carbon intensity read", intensity=self._latest)
            else:
                log.warning("carbon intensity not read", reason=problem)
        self.problem = problem
