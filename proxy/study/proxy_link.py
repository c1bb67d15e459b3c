"""The study's way to a jevons proxy: ask, wait for the final joules, read the devices. It sees what any client sees."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from ..errors import JevonsError
from ..scraping import FRESH, SNAPSHOT_TIME
from ..units import Joules, Seconds, Watts
from .checkers import without_thinking

FINAL_SECONDS: Final[Seconds] = 30.0
"""How long the energy of a request may take to become final: the horizon behind long prefills is 8 s."""
POLL_SECONDS: Final[Seconds] = 0.2
MAX_LINE_BYTES: Final = 2**24
_WORD: Final = re.compile(r"\w+(?:['\u2019-]\w+)*")


class Refused(JevonsError):
    """A request of the study failed; the message says how."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a client saw of one answer."""

    request_id: str
    content: str
    reasoning: str
    seconds: Seconds
    first_token_seconds: Seconds | None

    @property
    def words(self) -> int:
        """Of the visible answer."""
        return count_words(without_thinking(self.content))

    @property
    def reasoning_words(self) -> int:
        """Of the thinking, whether the server kept it apart or not."""
        return count_words(self.reasoning) + count_words(self.content) - self.words


@dataclass(frozen=True, slots=True)
class DeviceReading:
    """All devices at one instant."""

    at: Seconds
    """Unix time, as the proxy's snapshot has it: between two readings lies as much time as between their figures."""
    counter_joules: dict[str, Joules] = field(default_factory=dict)
    watts: dict[str, Watts] = field(default_factory=dict)
    names: tuple[str, ...] = ()


def count_words(text: str) -> int:
    """Words as a person counts them."""
    return len(_WORD.findall(text))


class ProxyLink:
    """One proxy, by its two addresses."""

    def __init__(
        self, session: aiohttp.ClientSession, main: str, admin: str, *, api_key: str | None = None, admin_token: str | None = None
    ) -> None:
        self.main = main.rstrip("/").removesuffix("/v1")
        self.admin = admin.rstrip("/")
        self._session = session
        self._headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._admin_headers = {"authorization": f"Bearer {admin_token}"} if admin_token else {}

    async def ask(self, body: dict[str, Any], *, tier: str | None = None, limit_seconds: Seconds = 3600.0) -> Told:
        """Ask for a streamed chat completion and read it to its end. Raises Refused."""
        headers = {**self._headers, **({"x-jevons-tier": tier} if tier else {})}
        began = time.monotonic()
        try:
            async with (
                asyncio.timeout(limit_seconds),
                self._session.post(
                    f"{self.main}/v1/chat/completions", json={**body, "stream": True}, headers=headers, timeout=_no_timeout()
                ) as reply,
            ):
                if reply.status != 200:  # noqa: PLR2004 - HTTP's
                    raise Refused(f"HTTP {reply.status}: {(await reply.text())[:300]}")
                return await _read_told(reply, began)
        except TimeoutError as error:
            raise Refused(f"no end after {limit_seconds:g} s") from error
        except (aiohttp.ClientError, ValueError) as error:
            raise Refused(f"{type(error).__name__}: {error}") from error

    async def final_record(self, request_id: str) -> dict[str, Any]:
        """The request's record, once its energy is final. Raises Refused where it does not become so."""
        deadline = time.monotonic() + FINAL_SECONDS
        while time.monotonic() < deadline:
            try:
                async with self._session.get(f"{self.main}/v1/energy/{request_id}", headers=self._headers) as reply:
                    if reply.status != 200:  # noqa: PLR2004 - HTTP's
                        raise Refused(f"no energy for {request_id}: HTTP {reply.status}")
                    record: dict[str, Any] = await reply.json()
            except aiohttp.ClientError as error:
                raise Refused(f"no energy for {request_id}: {error}") from error
            if record["energy"]["status"] == "final":
                return record
            await asyncio.sleep(POLL_SECONDS)
        raise Refused(f"the energy of {request_id} did not become final in {FINAL_SECONDS:g} s")

    async def devices(self) -> DeviceReading:
        """What the devices say now; raises JevonsError where the admin listener does not answer."""
        try:
            async with self._session.get(f"{self.admin}/metrics", headers={**self._admin_headers, **FRESH}) as reply:
                if reply.status != 200:  # noqa: PLR2004 - HTTP's
                    raise JevonsError(f"{self.admin}/metrics: HTTP {reply.status}")
                return _read_devices(await reply.text())
        except aiohttp.ClientError as error:
            raise JevonsError(f"{self.admin}: {error}") from error

    async def models(self) -> dict[str, str]:
        """Model by upstream, as the proxy lists them in its metrics."""
        try:
            async with self._session.get(f"{self.admin}/metrics", headers=self._admin_headers) as reply:
                families = text_string_to_metric_families(await reply.text())
        except aiohttp.ClientError as error:
            raise JevonsError(f"{self.admin}: {error}") from error
        samples = (sample for family in families for sample in family.samples)
        return {one.labels["upstream"]: one.labels["model"] for one in samples if one.name == "jevons_upstream_info"}

    async def health(self) -> dict[str, Any]:
        """What `/healthz` says; raises JevonsError where nobody answers."""
        try:
            async with self._session.get(f"{self.admin}/healthz") as reply:
                found: dict[str, Any] = await reply.json()
                return found
        except (aiohttp.ClientError, ValueError) as error:
            raise JevonsError(f"no jevons answers at {self.admin}: {error}") from error


def _no_timeout() -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=10)


async def _read_told(reply: aiohttp.ClientResponse, began: Seconds) -> Told:
    content: list[str] = []
    reasoning: list[str] = []
    first: Seconds | None = None
    async for event in _events(reply):
        if "error" in event:
            raise Refused(f"the stream ended with an error: {json.dumps(event['error'])[:300]}")
        for choice in event.get("choices") or []:
            delta = choice.get("delta") or {}
            thought = delta.get("reasoning_content") or delta.get("reasoning") or ""
            said = delta.get("content") or ""
            if first is None and (thought or said):
                first = time.monotonic() - began
            reasoning.append(thought)
            content.append(said)
    request_id = reply.headers.get("x-request-id", "")
    return Told(request_id, "".join(content), "".join(reasoning), time.monotonic() - began, first)


async def _events(reply: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """The JSON of each event; the server's comments and `[DONE]` aside."""
    rest = b""
    async for piece in reply.content.iter_any():
        *lines, rest = (rest + piece).split(b"\n")
        if len(rest) > MAX_LINE_BYTES:
            raise Refused("a line of the stream has no end")
        for line in lines:
            data = line.strip().removeprefix(b"data:").strip() if line.startswith(b"data:") else b""
            if data and data != b"[DONE]":
                yield json.loads(data)


def _read_devices(text: str) -> DeviceReading:
    counters: dict[str, Joules] = {}
    watts: dict[str, Watts] = {}
    names: list[str] = []
    at = time.time()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "jevons_device_counter_joules_total":
                counters[sample.labels["device"]] = sample.value
            elif sample.name == "jevons_device_power_watts":
                watts[sample.labels["device"]] = sample.value
            elif sample.name == "jevons_device_info":
                names.append(sample.labels["name"])
            elif sample.name == SNAPSHOT_TIME:
                at = sample.value
    return DeviceReading(at, counters, watts, tuple(sorted(names)))
