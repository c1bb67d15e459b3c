"""Time cut into bins of equal length, and quantities spread over them.

Bin `k` is the time [k x width, (k + 1) x width) on the monotonic clock. Energy and work meet in bins: what a device consumed
in one is paid by the work that was done in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..units import Seconds


def spread(begin: Seconds, end: Seconds, width: Seconds) -> Sequence[tuple[int, float]]:
    """Every (bin, share) of the time from `begin` to `end`; the shares sum to 1.

    An instant (`end <= begin`) falls into the one bin that `end` lies in.
    """
    first, last = int(begin // width), int(end // width)
    if last <= first:
        return ((last, 1.0),)
    span = end - begin
    left = 1.0
    shares: list[tuple[int, float]] = []
    for index in range(first, last):
        share = ((index + 1) * width - max(begin, index * width)) / span
        left -= share
        shares.append((index, share))
    shares.append((last, max(0.0, left)))
    return shares


@dataclass(slots=True)
class BinnedIntegral:
    """The integral over each bin of a value that changes now and then, such as the share of a step."""

    width: Seconds
    value: float
    since: Seconds | None = None
    """Booked up to here; None before the first change."""
    began: Seconds = 0.0
    bins: dict[int, float] = field(default_factory=dict)
    _index: int = 0
    """The bin that it is booked up to, and where that ends."""
    _edge: Seconds = 0.0

    def change(self, at: Seconds, value: float) -> None:
        """Let the value be `value` from `at` on."""
        self.advance(at)
        self.value = value

    def advance(self, to: Seconds) -> None:
        """Book the current value up to `to`."""
        since, bins = self.since, self.bins
        if since is None:
            self.since = self.began = to
        elif to > since:
            amount = self.value * (to - since)
            if to < self._edge:  # which is most often so
                bins[self._index] = bins.get(self._index, 0.0) + amount
            else:
                for index, share in spread(since, to, self.width):
                    bins[index] = bins.get(index, 0.0) + amount * share
                self._index = int(to // self.width)
                self._edge = (self._index + 1) * self.width
            self.since = to

    def take(self, index: int) -> float:
        """The integral over one bin, which is then forgotten."""
        self.advance((index + 1) * self.width)
        return self.bins.pop(index, 0.0)

    def mean(self, begin: Seconds, end: Seconds) -> float:
        """The mean from `begin` to `end`, each bin that is not forgotten counting as even; else the current value."""
        self.advance(end)
        since = end if self.since is None else self.since
        total = covered = 0.0
        for index, share in spread(begin, end, self.width):
            booked = min(since, (index + 1) * self.width) - max(self.began, index * self.width)
            if index in self.bins and booked > 0:
                total += share * self.bins[index] / booked
                covered += share
        return total / covered if covered else self.value


class BusyTime:
    """When somebody was in flight: stretches of time.

    Told in order; where several processes tell of theirs, one may be told of some milliseconds late.
    """

    def __init__(self) -> None:
        self._in_flight = 0
        self._began: Seconds = 0.0
        self._last_end: Seconds = 0.0
        self._stretches: deque[tuple[Seconds, Seconds]] = deque()
        """Those that are over."""

    def begin(self, now: Seconds) -> None:
        """One more is in flight."""
        self._in_flight += 1
        if self._in_flight > 1:
            self._began = min(self._began, now)
            return
        self._began = now
        if self._stretches and self._stretches[-1][1] >= now:
            self._began = min(now, self._stretches.pop()[0])

    def end(self, now: Seconds) -> None:
        """One less."""
        self._in_flight -= 1
        self._last_end = max(self._last_end, now)
        if self._in_flight == 0 and self._last_end > self._began:
            self._stretches.append((self._began, self._last_end))

    def seconds(self, begin: Seconds, end: Seconds) -> Seconds:
        """How much of the time from `begin` to `end` was busy; whoever is in flight now is taken to be so until `end`."""
        busy = max(0.0, end - max(begin, self._began)) if self._in_flight else 0.0
        for since, until in reversed(self._stretches):
            if until <= begin:
                break
            busy += max(0.0, min(until, end) - max(since, begin))
        return min(busy, max(0.0, end - begin))

    def forget(self, before: Seconds) -> None:
        """Nobody will ask for the time before."""
        while self._stretches and self._stretches[0][1] <= before:
            self._stretches.popleft()
