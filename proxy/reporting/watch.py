"""Following a running proxy through its admin listener: the events of the live page, folded into what is so now."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from ..errors import JevonsError
from ..units import Joules, Seconds, Watts

KEPT_READINGS: Final = 120
KEPT_REQUESTS: Final = 100
POWER_SECONDS: Final[Seconds] = 10.0
"""Power is joules over so long a time: long enough for the bins to have settled evenly."""
RETRY_SECONDS: Final[Seconds] = 1.0
SILENT_SECONDS: Final[Seconds] = 10.0
ACCOUNTS: Final = ("attributed", "idle", "bypass", "unresolved")
_MOST_BYTES: Final = 2**24


class CannotWatch(JevonsError):
    """The admin listener refuses to be watched: no such page, no token."""


@dataclass(slots=True)
class Watched:
    """What is known of the proxy. `problem` says why nothing new comes."""

    version: str = ""
    readings: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT_READINGS))
    requests: deque[Mapping[str, Any]] = field(default_factory=lambda: deque(maxlen=KEPT_REQUESTS))
    devices: list[Mapping[str, Any]] = field(default_factory=list)
    upstreams: Mapping[str, bool] = field(default_factory=dict)
    budgets: list[Mapping[str, Any]] = field(default_factory=list)
    problem: str | None = "connecting"

    def take(self, event: Mapping[str, Any]) -> None:
        """One event of the feed: the whole state, or what is new."""
        if event["kind"] == "state":
            self.readings.clear()
            self.requests.clear()
            self.version = event["version"]
            self.readings.extend(event["readings"])
        else:
            self.readings.append(event["reading"])
        self.requests.extend(event["requests"])
        self.devices, self.upstreams, self.budgets = event["devices"], event["upstreams"], event["budgets"]
        self.problem = None

    @property
    def in_flight(self) -> int | None:
        """Requests whose clients wait."""
        return self.readings[-1]["in_flight"] if self.readings else None

    @property
    def watts(self) -> Watts | None:
        """What the devices say that they draw."""
        return self.readings[-1]["watts"] if self.readings else None

    def power(self) -> dict[str, Watts | None]:
        """By account, over the last seconds; None while that is not known."""
        return {account: self._power(account) for account in ACCOUNTS}

    def _power(self, account: str) -> Watts | None:
        if len(self.readings) < 2:  # noqa: PLR2004 - a difference takes two
            return None
        last = self.readings[-1]
        first = next(each for each in self.readings if last["at"] - each["at"] <= POWER_SECONDS)
        seconds = last["at"] - first["at"]
        return None if seconds <= 0.0 else max(0.0, last["joules"][account] - first["joules"][account]) / seconds

    def history(self) -> list[Watts]:
        """What requests drew from one reading to the next."""
        pairs = zip(self.readings, list(self.readings)[1:], strict=False)
        return [
            max(0.0, new["joules"]["attributed"] - old["joules"]["attributed"]) / (new["at"] - old["at"])
            for old, new in pairs
            if new["at"] > old["at"]
        ]

    def joules_per_token(self) -> dict[str, Joules | None]:
        """By upstream, over the latest requests whose joules and tokens are known."""
        found: dict[str, Joules | None] = {}
        for upstream in self.upstreams:
            known = [
                (each["energy"]["joules"], each["tokens"]["completion"])
                for each in self.requests
                if each["upstream"] == upstream and each["energy"]["joules"] is not None and each["tokens"]["completion"]
            ]
            found[upstream] = sum(joules for joules, _ in known) / sum(tokens for _, tokens in known) if known else None
        return found

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "version": self.version,
            "watts": self.watts,
            "in_flight": self.in_flight,
            "power_watts": self.power(),
            "joules_per_token": self.joules_per_token(),
            "devices": list(self.devices),
            "upstreams": dict(self.upstreams),
            "budgets": list(self.budgets),
            "requests": list(self.requests),
        }


async def events(session: aiohttp.ClientSession, admin: str) -> AsyncIterator[Mapping[str, Any]]:
    """The feed until it breaks off. Raises CannotWatch where it is refused, OSError or aiohttp.ClientError where it breaks."""
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=SILENT_SECONDS, sock_read=SILENT_SECONDS)
    async with session.get(f"{admin}/live/events", timeout=timeout) as reply:
        if reply.status != 200 or reply.content_type != "text/event-stream":  # noqa: PLR2004 - OK
            raise CannotWatch(
                f"{admin} is no admin listener that can be watched: it answers {reply.status}{_advice(reply.status)}"
            )
        async for line in reply.content:
            if line.startswith(b"data: "):
                yield json.loads(line.removeprefix(b"data: "))


def _advice(status: int) -> str:
    return "; give --token, or set JEVONS_ADMIN_TOKEN" if status == 401 else ""  # noqa: PLR2004 - unauthorized


async def follow(watched: Watched, admin: str, token: str | None) -> AsyncIterator[Watched]:
    """What is so, after each event; while the proxy is away it says why and asks again. Raises CannotWatch."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(headers=headers, read_bufsize=_MOST_BYTES) as session:
        while True:
            try:
                async for event in events(session, admin):
                    watched.take(event)
                    yield watched
                watched.problem = f"{admin} has closed the connection"
            except (aiohttp.ClientError, OSError) as error:  # a silence that is too long is a TimeoutError, an OSError
                watched.problem = f"no answer from {admin}: {error or 'silence'}"
            yield watched
            await asyncio.sleep(RETRY_SECONDS)
