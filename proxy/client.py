"""For programs that use jevons: what a piece of code consumed, by model, over the `openai` client that it has already.

    with EnergyTracker(client) as energy:
        client.chat.completions.create(...)
    energy.total.joules, energy.by_model

The tracker notes the ids of the replies that the client gets and asks the proxy for their energy at the end, when it is
final: so streams count, and so do answers that were broken off. It changes nothing of what is sent or received.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final, Protocol, Self

from .units import Joules, Seconds

FINAL_SECONDS: Final[Seconds] = 10.0
"""How long the last figures may take to become final."""
_POLL_SECONDS: Final[Seconds] = 0.1
_REQUEST_ID: Final = "x-request-id"
_VERSION: Final = "x-jevons-version"


class Client(Protocol):
    """An `openai.OpenAI` or `openai.AsyncOpenAI`, as far as it is needed here."""

    @property
    def _client(self) -> Any:
        """The HTTP client that it was given or has made."""
        ...

    def get(self, path: str, *, cast_to: type[Any], options: Any = ...) -> Any:
        """GET below the base URL."""
        ...


@dataclass(frozen=True, slots=True)
class Consumption:
    """Of some requests. `joules` is the sum of those that are known; `unknown` says how many are not."""

    requests: int = 0
    unknown: int = 0
    joules: Joules = 0.0
    low: Joules = 0.0
    high: Joules = 0.0
    completion_tokens: int = 0
    is_final: bool = True
    methods: frozenset[str] = frozenset()
    """`measured`, `estimated`, `simulated`: of each that is in the sum."""

    def plus(self, record: Mapping[str, Any] | None) -> Consumption:
        """With one more, as `GET /v1/energy/{id}` gives it; None is one that the proxy does not know."""
        energy = {} if record is None else record["energy"]
        if energy.get("joules") is None:
            return replace(self, requests=self.requests + 1, unknown=self.unknown + 1)
        return Consumption(
            self.requests + 1,
            self.unknown,
            self.joules + energy["joules"],
            self.low + energy["low"],
            self.high + energy["high"],
            self.completion_tokens + ((record or {})["tokens"]["completion"] or 0),
            self.is_final and energy["status"] == "final",
            self.methods | {energy["method"]},
        )


def energy_of(reply: Any) -> dict[str, Any] | None:
    """The energy object of a reply, or of a stream's last chunk; None where there is none.

    `reply` is what the client returned: a chat or text completion, a chunk, a response, an embedding answer.
    """
    usage = getattr(reply, "usage", None) or getattr(getattr(reply, "response", None), "usage", None)
    energy = getattr(usage, "energy", None)
    return dict(energy) if isinstance(energy, Mapping) else None


class EnergyTracker:
    """What the requests within its block consumed; use `with` for a client, `async with` for an asynchronous one.

    Leaving the block waits, at most `final_seconds`, until the figures are final: one that is not is counted as it is then,
    and `is_final` says so.
    """

    def __init__(self, client: Client, *, final_seconds: Seconds = FINAL_SECONDS) -> None:
        self._client = client
        self._final_seconds = final_seconds
        self._ids: list[str] = []
        self._hooks: list[Callable[[Any], Any]] = client._client.event_hooks["response"]  # noqa: SLF001 - there is no public way
        self._hook: Callable[[Any], Any] = self._note
        self.total = Consumption()
        self.by_model: dict[str, Consumption] = {}

    def __enter__(self) -> Self:
        self._hooks.append(self._hook)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._hooks.remove(self._hook)
        deadline = time.monotonic() + self._final_seconds
        records = []
        for request_id in self._ids:
            record = self._ask(request_id)
            while _is_pending(record) and time.monotonic() < deadline:
                time.sleep(_POLL_SECONDS)
                record = self._ask(request_id)
            records.append(record)
        self._sum(records)

    async def __aenter__(self) -> Self:
        self._hook = self._note_later
        self._hooks.append(self._hook)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._hooks.remove(self._hook)
        deadline = time.monotonic() + self._final_seconds
        records = []
        for request_id in self._ids:
            record = await self._ask_later(request_id)
            while _is_pending(record) and time.monotonic() < deadline:
                await asyncio.sleep(_POLL_SECONDS)
                record = await self._ask_later(request_id)
            records.append(record)
        self._sum(records)

    def _note(self, response: Any) -> None:
        if _VERSION in response.headers:  # a reply of jevons, and not of another server that the client also speaks to
            self._ids.append(response.headers[_REQUEST_ID])

    async def _note_later(self, response: Any) -> None:
        self._note(response)

    def _ask(self, request_id: str) -> dict[str, Any] | None:
        with _unknown_is_none() as found:
            found.append(self._client.get(f"/energy/{request_id}", cast_to=object))
        return found[0] if found else None

    async def _ask_later(self, request_id: str) -> dict[str, Any] | None:
        with _unknown_is_none() as found:
            found.append(await self._client.get(f"/energy/{request_id}", cast_to=object))
        return found[0] if found else None

    def _sum(self, records: Iterable[dict[str, Any] | None]) -> None:
        by_model: defaultdict[str, Consumption] = defaultdict(Consumption)
        for record in records:
            self.total = self.total.plus(record)
            model = (record or {}).get("model") or "unknown"
            by_model[model] = by_model[model].plus(record)
        self.by_model = dict(by_model)


def _is_pending(record: dict[str, Any] | None) -> bool:
    return record is not None and (record["outcome"] is None or record["energy"]["status"] != "final")


@contextmanager
def _unknown_is_none() -> Iterator[list[dict[str, Any]]]:
    """Whoever is asked for an id that the proxy has forgotten, or never had, is told None."""
    from openai import NotFoundError  # noqa: PLC0415 - whoever has a client has it; nobody else should need it

    found: list[dict[str, Any]] = []
    try:
        yield found
    except NotFoundError:
        return
