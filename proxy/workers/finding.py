"""Requests that a worker does not know: the owner asks the others, and then the ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import msgspec

from ..server.surface import Archive
from ..units import Seconds
from .messages import Find, Found

PATIENCE_SECONDS: Final[Seconds] = 1.0


class Finder:
    """Asks. `send` tells one worker; `members` are those that run; `archive` is the ledger, where there is one."""

    def __init__(
        self, send: Callable[[int, msgspec.Struct], None], members: Callable[[], Iterable[int]], archive: Archive | None
    ) -> None:
        self._send = send
        self._members = members
        self._archive = archive
        self._number = 0
        self._asked: dict[int, asyncio.Future[bytes]] = {}
        self._left: dict[int, int] = {}
        """By question: how many have not answered."""
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, member: int, question: Find) -> None:
        """Answer a worker's question, in the background."""
        task = asyncio.get_running_loop().create_task(self._answer(member, question), name="find")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, member: int, question: Find) -> None:
        reply = await self._among([each for each in self._members() if each != member], question)
        if reply is None and self._archive is not None:
            found = await self._archive.find(question.request_id, question.tenant)
            reply = None if found is None else msgspec.json.encode(found)
        self._send(member, Found(question.number, reply))

    async def _among(self, others: list[int], question: Find) -> bytes | None:
        if not others:
            return None
        self._number += 1
        number = self._number
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked[number], self._left[number] = answer, len(others)
        for other in others:
            self._send(other, Find(number, question.request_id, question.tenant))
        try:
            with suppress(TimeoutError, LookupError):
                async with asyncio.timeout(PATIENCE_SECONDS):
                    return await answer
        finally:
            del self._asked[number], self._left[number]
        return None

    def answered(self, found: Found) -> None:
        """A worker's answer: the first that knows it counts, and the last that does not."""
        asked = self._asked.get(found.number)
        if asked is None or asked.done():
            return
        self._left[found.number] -= 1
        if found.reply is not None:
            asked.set_result(found.reply)
        elif self._left[found.number] == 0:
            asked.set_exception(LookupError("nobody knows it"))
