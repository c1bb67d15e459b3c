"""Which replica gets the next request: the one with the least work outstanding, counted in tokens.

A server that fails fast has nothing outstanding, and least-outstanding alone would send it everything. So the work of a failed
request stays on its account as if it were still being done, and fades over more time than an answer takes: a server that fails
gets less than its share, not more, long before its breaker opens.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable
from typing import Final

from ..exchange import Request, Upstream, Usage
from ..units import Seconds
from .breaker import Breaker

PROMPT_TOKENS_PER_TOKEN: Final = 16.0
"""Of a prompt, so many tokens are about the work of one that is generated: they are computed together."""
USUAL_TOKENS: Final = 300.0
"""Of an answer, until one has been seen."""
LEAST_MEMORY_SECONDS: Final[Seconds] = 10.0
MOST_REST_SECONDS: Final[Seconds] = 60.0
_WEIGHT: Final = 0.1
"""Of the newest answer in an average."""


class Station:
    """One server as the balance sees it."""

    __slots__ = ("_failed", "_failed_at", "breaker", "last", "requests", "rests_until", "upstream", "work")

    def __init__(self, upstream: Upstream, breaker: Breaker) -> None:
        self.upstream = upstream
        """As the server is asked: with its own name and address."""
        self.breaker = breaker
        self.requests = 0
        """That it is at work for."""
        self.work = 0.0
        """Of these, in tokens."""
        self.last = 0
        """Which request of all went to it last: who has waited longest wins among equals."""
        self.rests_until: Seconds = 0.0
        """It said that it is busy until then."""
        self._failed = 0.0
        self._failed_at: Seconds = 0.0

    def load(self, now: Seconds, memory_seconds: Seconds) -> float:
        """The work outstanding, that of failed requests included, in tokens."""
        if not self._failed:
            return self.work
        return self.work + self._failed * math.exp((self._failed_at - now) / memory_seconds)

    def failed(self, work: float, now: Seconds, memory_seconds: Seconds) -> None:
        """A request of so much work has failed."""
        self._failed = self.load(now, memory_seconds) - self.work + work
        self._failed_at = now

    def rest(self, now: Seconds, seconds: Seconds) -> None:
        """It is not asked for so long where there are others."""
        self.rests_until = now + min(seconds, MOST_REST_SECONDS)


class Answers:
    """What an answer of one upstream usually takes: averages that forget."""

    __slots__ = ("seconds", "tokens")

    def __init__(self) -> None:
        self.tokens = USUAL_TOKENS
        self.seconds: Seconds | None = None
        """None until there was one."""

    def learn(self, usage: Usage, sequences: int, seconds: Seconds) -> None:
        """One has come to its end."""
        if usage.completion:
            self.tokens += _WEIGHT * (usage.completion / max(1, sequences) - self.tokens)
        self.seconds = seconds if self.seconds is None else self.seconds + _WEIGHT * (seconds - self.seconds)

    def work(self, request: Request) -> float:
        """What a request may be, in tokens."""
        tokens = self.tokens if request.max_tokens is None else min(self.tokens, request.max_tokens)
        generated = tokens * request.sequences if request.endpoint.generates else 0.0
        return 1.0 + generated + request.prompt.tokens / PROMPT_TOKENS_PER_TOKEN

    @property
    def memory_seconds(self) -> Seconds:
        """How long a failure weighs: twice an answer's time, so that who fails has no less on its account than who works."""
        return max(LEAST_MEMORY_SECONDS, 2.0 * (self.seconds or 0.0))


def least_loaded(stations: Iterable[Station], tried: Container[Station], now: Seconds, memory_seconds: Seconds) -> Station | None:
    """Of those that have not been tried, the one with the least to do; None where there is none."""
    left = [station for station in stations if station not in tried]
    return min(left, key=lambda station: (station.load(now, memory_seconds), station.last), default=None)
