"""The load of a soak: every kind of request that a proxy meets, and clients that leave, for as long as it lasts."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import aiohttp

from ...units import Seconds

PROMPTS: Final = (
    "Name a river in Peru.",
    "Prove that the square root of 3 is irrational.",
    "What can I cook with two eggs and a carrot?",
    "Summarise this: " + "the quick brown fox jumps over the lazy dog. " * 40,
)
DONE: Final = b"data: [DONE]"
_ERROR: Final = b'data: {"error"'
LEAVES_AFTER_SECONDS: Final[Seconds] = 0.15

Answer: TypeAlias = str
"""How one request ended: `ok`, `refused` as it had to be, `left` as it wanted to, or what was wrong."""


@dataclass
class Tally:
    """Of a load: how its requests ended, by kind."""

    answers: dict[str, Counter[Answer]] = field(default_factory=dict)

    def add(self, kind: str, answer: Answer) -> None:
        """One more."""
        self.answers.setdefault(kind, Counter())[answer] += 1

    @property
    def requests(self) -> int:
        """All of them."""
        return sum(sum(counter.values()) for counter in self.answers.values())

    @property
    def lost(self) -> dict[str, int]:
        """Those that ended in a way that they should not have, by kind and what was wrong."""
        expected = {"ok", "left", "refused"}
        return {
            f"{kind}: {answer}": count
            for kind, counter in self.answers.items()
            for answer, count in counter.items()
            if answer not in expected
        }


class SoakLoad:
    """Clients of one proxy. `main` is its address, without `/v1`."""

    def __init__(self, session: aiohttp.ClientSession, main: str, *, seed: int) -> None:
        self._session = session
        self._main = main
        self._dice = random.Random(seed)  # noqa: S311 - dice, and no secret
        self.tally = Tally()
        self._kinds: dict[str, tuple[float, Callable[[], Coroutine[Any, Any, Answer]]]] = {
            "stream": (40, self.stream),
            "whole": (30, self._whole),
            "stream, leaves": (12, self._leave_stream),
            "whole, leaves": (6, self._leave_whole),
            "bad body": (6, self._bad_body),
            "unknown model": (3, self._unknown_model),
            "energy": (3, self._energy),
        }

    async def run(self, clients: int, seconds: Seconds) -> None:
        """So many clients, each asking again as soon as it has been answered, for so long."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        names = list(self._kinds)
        weights = [weight for weight, _ in self._kinds.values()]

        async def ask_on() -> None:
            while loop.time() < until:
                kind = self._dice.choices(names, weights)[0]
                self.tally.add(kind, await _told(self._kinds[kind][1]()))

        async with asyncio.TaskGroup() as group:
            for _ in range(clients):
                group.create_task(ask_on())

    async def burst(self, streams: int) -> None:
        """So many streams at the same time, each once."""

        async def ask_once() -> None:
            self.tally.add("stream of the burst", await _told(self.stream()))

        async with asyncio.TaskGroup() as group:
            for _ in range(streams):
                group.create_task(ask_once())

    async def stream(self) -> Answer:
        """A stream, read to its end."""
        async with self._session.post(f"{self._main}/v1/chat/completions", json=self._body(stream=True)) as reply:
            text = await reply.read()
            if reply.status != 200:  # noqa: PLR2004 - OK
                return f"status {reply.status}"
            if _ERROR in text:
                return "an error within the stream"
            return "ok" if text.rstrip().endswith(DONE) else "no end"

    async def _whole(self) -> Answer:
        async with self._session.post(f"{self._main}/v1/chat/completions", json=self._body()) as reply:
            body = await reply.json()
            return "ok" if "energy" in (body.get("usage") or {}) else f"status {reply.status}, no energy"

    async def _leave_stream(self) -> Answer:
        return await self._leave(self._body(stream=True, tokens=400))

    async def _leave_whole(self) -> Answer:
        return await self._leave(self._body(tokens=400))

    async def _leave(self, body: dict[str, Any]) -> Answer:
        try:
            async with asyncio.timeout(LEAVES_AFTER_SECONDS * self._dice.uniform(0.1, 2.0)):
                async with self._session.post(f"{self._main}/v1/chat/completions", json=body) as reply:
                    await reply.read()
        except TimeoutError:
            return "left"
        return "ok"

    async def _bad_body(self) -> Answer:
        sent = self._dice.choice([b"", b"{", b"[]", b'{"model": 1}', b"\xff\xfe", b'{"model": "auto"', b"[" * 5000])
        headers = {"content-type": "application/json"}
        async with self._session.post(f"{self._main}/v1/chat/completions", data=sent, headers=headers) as reply:
            return await _refused(reply, 400)

    async def _unknown_model(self) -> Answer:
        body = {**self._body(), "model": "nobody-serves-this"}
        async with self._session.post(f"{self._main}/v1/chat/completions", json=body) as reply:
            return await _refused(reply, 404)

    async def _energy(self) -> Answer:
        async with self._session.get(f"{self._main}/v1/energy/req_{self._dice.getrandbits(64):x}") as reply:
            return await _refused(reply, 404)

    def _body(self, *, stream: bool = False, tokens: int = 24) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": "auto",
            "messages": [{"role": "user", "content": self._dice.choice(PROMPTS)}],
            "max_tokens": self._dice.randint(tokens // 2, tokens),
        }
        return {**body, "stream": True, "stream_options": {"include_usage": True}} if stream else body


async def _refused(reply: aiohttp.ClientResponse, status: int) -> Answer:
    """An error is in OpenAI's shape, and of that status."""
    text = await reply.read()
    try:
        is_shaped = isinstance(json.loads(text)["error"]["message"], str)
    except (ValueError, KeyError, TypeError):
        is_shaped = False
    return "refused" if reply.status == status and is_shaped else f"status {reply.status}, {text[:60]!r}"


async def _told(asked: Coroutine[Any, Any, Answer]) -> Answer:
    """The answer, or what broke."""
    try:
        return await asked
    except (aiohttp.ClientError, OSError) as error:
        return type(error).__name__
