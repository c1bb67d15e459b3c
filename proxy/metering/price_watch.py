"""The last resort against traffic past the proxy: a price that has risen too far for too long. Pure.

Where a model server does not say what it serves, energy that others caused raises what ours pays per unit of work. A price
that stays above 1.5 times its own average has no explanation in a model whose coefficients are off by some tens of per cent:
what exceeds the average is then charged to nobody, and that it is so is said. Less than half as much traffic again as ours
does not show this way.
"""

from __future__ import annotations

import math
from typing import Final

from ..units import Joules, Seconds

RATIO: Final = 1.5
SUSTAINED_SECONDS: Final[Seconds] = 10.0
LEARNED_SECONDS: Final[Seconds] = 60.0
"""Of busy time, before the average says anything."""
_AVERAGE_SECONDS: Final[Seconds] = 600.0
_RECENT_SECONDS: Final[Seconds] = 5.0
_SLOWER: Final = 10.0
"""By so much an average learns more slowly from prices that it doubts: an engine that has changed is believed in the end."""


class _Fading:
    """A price over about so many seconds of busy time, as a ratio of sums that forget."""

    def __init__(self, seconds: Seconds) -> None:
        self._seconds = seconds
        self._joules = self._predicted = 0.0

    def see(self, joules: Joules, predicted: Joules, seconds: Seconds, *, slower: float = 1.0) -> None:
        kept = math.exp(-seconds / self._seconds / slower)
        self._joules = self._joules * kept + joules / slower
        self._predicted = self._predicted * kept + predicted / slower

    @property
    def price(self) -> float:
        return self._joules / self._predicted if self._predicted > 0.0 else 0.0


class PriceWatch:
    """The price of the work on one device, and whether it can be believed."""

    def __init__(self) -> None:
        self._average = _Fading(_AVERAGE_SECONDS)
        self._recent = _Fading(_RECENT_SECONDS)
        self._learned: Seconds = 0.0
        self._above: Seconds = 0.0
        """For how long of busy time the price has been too high."""

    @property
    def is_suspicious(self) -> bool:
        """Whether the price has been too high for too long."""
        return self._above >= SUSTAINED_SECONDS

    def excess(self, joules: Joules, predicted: Joules, seconds: Seconds) -> Joules:
        """Take one bin's busy energy, predicted work and busy time; returns what of the energy is beyond belief, often 0."""
        if predicted <= 0.0 or seconds <= 0.0:
            return 0.0
        self._recent.see(joules, predicted, seconds)
        average = self._average.price
        is_learned = self._learned >= LEARNED_SECONDS
        is_above = is_learned and self._recent.price > RATIO * average
        self._above = self._above + seconds if is_above else 0.0
        self._average.see(joules, predicted, seconds, slower=_SLOWER if is_above else 1.0)
        self._learned += seconds
        return max(0.0, joules - average * predicted) if self.is_suspicious else 0.0
