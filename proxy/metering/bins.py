"""Time cut into bins of equal length, and quantities spread over them.

Bin `k` is the time [k x width, (k + 1) x width) on the monotonic clock. Energy and work meet in bins: what a device consumed
in one is paid by the work that was done in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from ..units import Seconds


def spread(begin: Seconds, end: Seconds, width: Seconds) -> Iterator[tuple[int, float]]:
    """Yield (bin, share) for the time from `begin` to `end`; the shares sum to 1.

    An instant (`end <= begin`) falls into the one bin it lies in.
    """
    first, last = int(begin // width), int(end // width)
    if last <= first:
        yield (first if end >= begin else last), 1.0
        return
    span = end - begin
    left = 1.0
    for index in range(first, last):
        share = ((index + 1) * width - max(begin, index * width)) / span
        left -= share
        yield index, share
    yield last, max(0.0, left)


@dataclass(slots=True)
class BinnedIntegral:
    """The integral over each bin of a value that changes now and then: a device being busy, the share of a step."""

    width: Seconds
    value: float
    since: Seconds | None = None
    """Booked up to here; None before the first change."""
    bins: dict[int, float] = field(default_factory=dict)

    def change(self, at: Seconds, value: float) -> None:
        """Let the value be `value` from `at` on."""
        self.advance(at)
        self.value = value

    def advance(self, to: Seconds) -> None:
        """Book the current value up to `to`."""
        if self.since is None:
            self.since = to
        elif to > self.since:
            amount = self.value * (to - self.since)
            for index, share in spread(self.since, to, self.width):
                self.bins[index] = self.bins.get(index, 0.0) + amount * share
            self.since = to

    def take(self, index: int) -> float:
        """The integral over one bin, which is then forgotten."""
        self.advance((index + 1) * self.width)
        return self.bins.pop(index, 0.0)

    def mean(self, begin: Seconds, end: Seconds) -> float:
        """The mean from `begin` to `end`, each bin that is not forgotten counting as even; else the current value."""
        self.advance(end)
        since = self.since or end
        total = covered = 0.0
        for index, share in spread(begin, end, self.width):
            booked = min(self.width, since - index * self.width)
            if index in self.bins and booked > 0:
                total += share * self.bins[index] / booked
                covered += share
        return total / covered if covered else self.value
