"""The archive of a worker: requests that it does not know are asked of the owner, who asks the others and the ledger."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

import msgspec

from ..units import Seconds
from .link import Link
from .messages import Find, Found, Scored, ToWorker

PATIENCE_SECONDS: Final[Seconds] = 5.0


class Archive:
    """Keeps `server.surface.Archive`."""

    def __init__(self, link: Link[ToWorker]) -> None:
        self._link = link
        self._asked: dict[int, asyncio.Future[bytes | None]] = {}
        self._number = 0

    async def find(self, request_id: str, tenant: str) -> dict[str, object] | None:
        """What any worker, or the ledger, knows of a request of this tenant; None where nobody does, or nobody answers."""
        self._number += 1
        number, answer = self._number, asyncio.get_running_loop().create_future()
        self._asked[number] = answer
        self._link.send(Find(number, request_id, tenant))
        reply: bytes | None = None
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    reply = await answer
        finally:
            del self._asked[number]
        found: dict[str, Any] | None = None if reply is None else msgspec.json.decode(reply)
        return found

    def answered(self, found: Found) -> None:
        """The owner's answer."""
        asked = self._asked.get(found.number)
        if asked is not None and not asked.done():
            asked.set_result(found.reply)

    def feedback(self, request_id: str, tenant: str, score: float) -> None:
        """Pass a score on."""
        self._link.send(Scored(request_id, tenant, score))
