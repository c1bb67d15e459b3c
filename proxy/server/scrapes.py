"""The metrics as they are scraped: one snapshot for all who ask within a second, rendered once and off the loop.

Whoever measures by two scrapes divides by the times that the snapshots carry, or asks for a fresh one: `cache-control: no-cache`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from ..units import Seconds

SHARED_SECONDS: Final[Seconds] = 1.0
"""How long a snapshot is shown to those who do not ask for a fresh one."""
MOST_PAGES: Final = 4
"""Ways to render one snapshot that are kept: scrapers do not differ by more."""
_FRESH: Final = frozenset({"no-cache", "no-store", "max-age=0"})

Page: TypeAlias = tuple[bytes, str]
"""What is answered, and its content type."""


class Metrics(Protocol):
    """Whoever renders the metrics."""

    def take(self) -> Callable[[str], Page]:
        """One snapshot. What comes back renders it for an Accept header, in any thread."""
        ...


@dataclass(frozen=True, slots=True)
class _Snapshot:
    number: int
    taken_at: Seconds
    render: Callable[[str], Page]
    pages: dict[str, Page] = field(default_factory=dict)
    """By the Accept header that they were rendered for."""


class Scrapes:
    """Gives the page to whoever asks. `before_shown` is awaited between the taking of a snapshot and its first showing."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        before_shown: Callable[[], Awaitable[None]] | None = None,
        clock: Callable[[], Seconds] = time.monotonic,
    ) -> None:
        self._metrics = metrics
        self._before_shown = before_shown
        self._clock = clock
        self._turn = asyncio.Lock()
        self._taken = 0
        """Snapshots so far."""
        self._last: _Snapshot | None = None

    async def page(self, accept: str, *, is_fresh: bool = False) -> Page:
        """The page of the last snapshot; of a new one where that is a second old, or `is_fresh` and it was taken before the call.

        Raises whatever the taking or the rendering raises, and keeps nothing of it: the next call begins anew.
        """
        before = self._taken
        async with self._turn:
            last, self._last = self._last, None
            if last is None or (last.number <= before if is_fresh else self._clock() - last.taken_at >= SHARED_SECONDS):
                last = await self._take()
            page = last.pages.get(accept)
            if page is None:
                page = await asyncio.to_thread(last.render, accept)
                if len(last.pages) >= MOST_PAGES:
                    last.pages.clear()
                last.pages[accept] = page
            self._last = last
        return page

    async def _take(self) -> _Snapshot:
        """Taken in one turn of the loop: in every snapshot the accounts sum to the device."""
        self._taken += 1
        snapshot = _Snapshot(self._taken, self._clock(), self._metrics.take())
        if self._before_shown is not None:
            await self._before_shown()
        return snapshot


def wants_fresh(cache_control: str) -> bool:
    """Whether a `Cache-Control` header says that what was rendered for others will not do."""
    return not _FRESH.isdisjoint(word.strip() for word in cache_control.lower().split(","))
