"""What a check is: how much of everything it runs, and what it comes to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Final

from ...units import Seconds
from .world import World

STEADY_STREAMS: Final = 15
"""Those beside which one request more is looked at."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    identical: int = 16
    identical_tokens: int = 800
    """Long, since requests never begin quite at once: who is first has steps of its own, and rightly pays for them."""
    alone: int = 5
    marginal: int = 30
    stage_seconds: Seconds = 4.0
    rest_seconds: Seconds = 1.5
    """Before and after a request that is to be alone: the board calms down."""
    bypass_rounds: int = 6
    lengths: tuple[int, ...] = (16, 128, 1024, 2048)
    """Tokens of an answer, from a short one to one that thinks."""
    tokens_alone: int = 1024
    """Of each length so many answers, one after the other, that they have as many tokens together; one at least."""
    most_beside: int = 8
    """Answers of each length in company, at most."""


SHORT: Final = Scale(
    batches=(1, 2, 4, 8, 16, 32),
    identical=8,
    alone=1,
    marginal=3,
    stage_seconds=1.5,
    bypass_rounds=2,
    lengths=(16, 128, 1024),
    tokens_alone=128,
    most_beside=2,
)
"""Enough to see that all of it runs."""
QUICK: Final = replace(
    SHORT,
    batches=(1, 4, 16, 32),
    identical_tokens=300,
    marginal=2,
    stage_seconds=1.2,
    rest_seconds=0.6,
    lengths=(16, 128),
)
"""The same for a simulated board, which is calm at once."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check: `value` must not exceed `limit`, or must exceed it where `is_floor`."""

    name: str
    title: str
    value: float
    limit: float
    detail: str
    is_floor: bool = False
    figures: dict[str, object] = field(default_factory=dict)

    @property
    def is_passed(self) -> bool:
        """Whether it holds; not a number never does."""
        return self.value > self.limit if self.is_floor else self.value <= self.limit


Check = Callable[[World, Scale], Awaitable[Outcome]]
