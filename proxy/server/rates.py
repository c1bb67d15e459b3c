"""How often a key may ask: a bucket that refills steadily, looked at before a body is read."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import ceil
from typing import Final

from ..errors import RateLimited

BURST_SECONDS: Final = 10.0
"""What has not been asked for in so long may be asked for at once."""
_PER_MINUTE: Final = 60.0
_ROUNDING: Final = 1e-9


class Rates:
    """One bucket per key that has a limit; the keys are those of the keys file, so there are no more."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}
        """Requests left, and when that was so."""

    def take(self, key: str, requests_per_minute: float) -> None:
        """Count one request; raises RateLimited, with the seconds until there is room for the next, where there is none."""
        per_second = requests_per_minute / _PER_MINUTE
        most = max(1.0, per_second * BURST_SECONDS)
        now = self._clock()
        left, since = self._buckets.get(key, (most, now))
        left = min(most, left + (now - since) * per_second)
        if left < 1.0 - _ROUNDING:
            self._buckets[key] = (left, now)
            seconds = ceil((1.0 - left) / per_second)
            message = f"This key may ask {requests_per_minute:g} times a minute; there is room again in {seconds} s."
            raise RateLimited(message, headers={"retry-after": str(seconds)})
        self._buckets[key] = (max(0.0, left - 1.0), now)
