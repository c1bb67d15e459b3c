"""The sections for what happens when servers fail or are busy."""

from __future__ import annotations

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from .sections import Section
from .upstreams.breaker import BreakerLimits
from .upstreams.retries import SHARE

_LIMITS = BreakerLimits()


class FaultsSection(Section):
    """When a server is left alone, and how much is tried again."""

    failures: PositiveInt = Field(
        _LIMITS.failures, description="In a row, from which a server is ejected; a client's errors are none"
    )
    eject_seconds: PositiveFloat = Field(
        _LIMITS.seconds, description="For how long, the first time; twice as long each further time"
    )
    most_eject_seconds: PositiveFloat = Field(_LIMITS.most_seconds, description="For how long at most")
    retry_share: NonNegativeFloat = Field(SHARE, le=1.0, description="Second tries per request that the budget allows; 0: none")


class QueueSection(Section):
    """Who may wait for a busy upstream."""

    requests: NonNegativeInt = Field(128, description="How many; one more is told 429")
    seconds: PositiveFloat = Field(30.0, description="How long; then it is told 503")
