"""Which idle connection serves the next request. Pure: it decides and returns what to close, the caller does it.

The one that was used last is taken first, so that the others can grow old and go.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Generic, Protocol, TypeVar

from ..units import Seconds

KEEPALIVE_SECONDS: Final = 4.0
"""Less than the five after which uvicorn, under vLLM and SGLang, closes: or requests would race into a closing connection."""


class Poolable(Protocol):
    """What a pool must know of a connection."""

    idle_since: Seconds

    @property
    def is_open(self) -> bool:
        """Whether a request may be sent."""
        ...


C = TypeVar("C", bound=Poolable)


class Pool(Generic[C]):
    """The idle connections to one server."""

    def __init__(self, keepalive_seconds: Seconds = KEEPALIVE_SECONDS) -> None:
        self._keepalive_seconds = keepalive_seconds
        self._idle: deque[C] = deque()

    def __len__(self) -> int:
        return len(self._idle)

    def take(self, now: Seconds) -> C | None:
        """An open connection that is young enough; None where there is none."""
        while self._idle:
            connection = self._idle[-1]
            if connection.is_open:
                return self._idle.pop() if now - connection.idle_since <= self._keepalive_seconds else None
            self._idle.pop()
        return None

    def put(self, connection: C, now: Seconds) -> list[C]:
        """Keep a connection whose reply has ended; returns those that are too old, to be closed."""
        idle, old = self._idle, []
        while idle and (not idle[0].is_open or now - idle[0].idle_since > self._keepalive_seconds):
            old.append(idle.popleft())
        connection.idle_since = now
        idle.append(connection)
        return old

    def clear(self) -> list[C]:
        """All of them, to be closed."""
        all_of_them = list(self._idle)
        self._idle.clear()
        return all_of_them
