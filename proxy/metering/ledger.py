"""One device's book: its counter, when it was busy, and the four accounts of what has settled."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterator
from typing import Final

from ..units import Joules, Seconds, Watts
from .bins import BusyTime, spread
from .counter import BinEnergy, DeviceCounter
from .evidence import ExpectedPrice
from .lag import MOST_SECONDS, LagSearch
from .meter import Device
from .price_watch import PriceWatch

ACCOUNTS: Final = ("attributed", "idle", "bypass", "unresolved")
_IDLE_SETTLED_SECONDS: Final = 2.0
_IDLE_BINS_KEPT: Final = 240


class DeviceLedger:
    """One device: its counter, when it was busy, and the four accounts of what has settled."""

    def __init__(self, device: Device, bin_seconds: Seconds) -> None:
        self.busy = BusyTime()
        is_searched = device.counter_lag_seconds == 0.0 and device.update_seconds is None and device.scope != "cpu"
        lag = LagSearch(0.0, self.busy.seconds) if is_searched else None
        self.counter = DeviceCounter(device, bin_seconds=bin_seconds, divide=self._divide, lag=lag)
        self.accounts: dict[str, Joules] = dict.fromkeys(ACCOUNTS, 0.0)
        self.carried: dict[str, Joules] = {}
        """What of the accounts an earlier process has settled."""
        self.expected = ExpectedPrice()
        self.price_watch: PriceWatch | None = None
        """Tells a price that cannot be; where there is none all prices are believed."""
        self.idle_watts: Watts | None = None
        """The median power of recent bins after two seconds with nobody in flight; None until one has been seen."""
        self._lowest_watts: Watts | None = None
        """Of the bins with nobody in flight so far: what idle power is taken to be until it is known."""
        self._is_known = False
        """Whether the bin before was measured, and this one therefore from its beginning."""
        self.width = bin_seconds
        self.oldest_open = 0
        """The first bin that has not settled; 0 before any is open."""
        self._idle_bins = 0
        """Consecutive bins with nobody in flight."""
        self._idle_seen: deque[Watts] = deque(maxlen=_IDLE_BINS_KEPT)

    @property
    def resting_watts(self) -> Watts | None:
        """The idle power, or what stands in for it: the least that a bin with nobody in flight has drawn so far."""
        return self._lowest_watts if self.idle_watts is None else self.idle_watts

    def _divide(self, begin: Seconds, end: Seconds, joules: Joules) -> Iterator[tuple[int, float]]:
        """Energy over time: the idle part draws the idle power, the busy part the rest; even while that is unknown.

        A busy device draws no less than an idle one: where the idle power says so, it is out by noise, and time decides.
        """
        busy = self.busy.seconds(begin, end)
        idle = end - begin - busy
        watts = self.resting_watts
        if watts is None or busy <= 0.0 or idle <= 0.0 or joules <= 0.0:
            yield from spread(begin, end, self.width)
            return
        idle_share = min(idle / (end - begin), watts * idle / joules)
        left, last = 1.0, int(end // self.width)
        for index in range(int(begin // self.width), last):
            since, until = max(begin, index * self.width), (index + 1) * self.width
            busy_here = self.busy.seconds(since, until)
            share = idle_share * (until - since - busy_here) / idle + (1 - idle_share) * busy_here / busy
            left -= share
            yield index, share
        yield last, max(0.0, left)

    def forget(self, before: Seconds) -> None:
        """That has settled; when it was busy is asked for a little longer, to find the counter's lag."""
        self.busy.forget(before - MOST_SECONDS)

    def idle_joules(self, joules: Joules, busy_seconds: Seconds) -> Joules:
        """The part of one bin's energy that nobody pays: idle power for the idle time, and at most its share of the time.

        Pro rata until there is an idle power, and where all of the bin drew less than that: a busy device draws no less
        than an idle one, and whoever was served has taken more than nothing.
        """
        watts, idle_seconds = self.resting_watts, max(0.0, self.width - busy_seconds)
        if busy_seconds <= 0.0:
            return joules
        pro_rata = joules * idle_seconds / self.width
        return pro_rata if watts is None else min(pro_rata, watts * idle_seconds)

    def learn_idle(self, energy: BinEnergy, busy_seconds: Seconds, *, is_known: bool) -> None:
        """Learn the idle power from a bin that was idle, and had been for a while."""
        self._idle_bins = 0 if busy_seconds > 0 else self._idle_bins + 1
        is_whole, self._is_known = is_known and self._is_known and not energy.flags, is_known
        if is_whole and self._idle_bins and self.idle_watts is None:
            watts = energy.joules / self.width
            self._lowest_watts = watts if self._lowest_watts is None else min(self._lowest_watts, watts)
        if is_known and not energy.flags and self._idle_bins * self.width > _IDLE_SETTLED_SECONDS:
            self._idle_seen.append(energy.joules / self.width)
            self.idle_watts = statistics.median(self._idle_seen)
