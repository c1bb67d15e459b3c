"""Counters that cost an addition: a request touches a dozen of them, and only the scrape needs them as Prometheus has them.

`prometheus_client` guards each value with a lock and asks at each step whether it may count. These belong to one thread, the
event loop's; they become families of that library, which renders them, when they are collected.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate, product
from typing import Final, TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.utils import floatToGoString

from .metric import Metric

Labels: TypeAlias = tuple[str, ...]
"""Label values, in the order of the metric's labels."""

Change: TypeAlias = tuple[Labels, float, tuple[int, ...]]
"""Of one series: its labels, by how much it grew, and of a histogram by how much each bucket."""

_INFINITE: Final = "+Inf"


class Amount:
    """One series of a counter or a gauge."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """So much more."""
        self.value += amount

    def dec(self, amount: float = 1.0) -> None:
        """So much less: of a gauge."""
        self.value -= amount


class Spread:
    """One series of a histogram: how many observations fell into each bucket, and their sum."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """One more; a value on a bound is within it."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Amounts(dict[Labels, Amount]):
    """All series of one counter or gauge: those of every combination of `values`, and what else is asked for."""

    def __init__(self, metric: Metric, *values: Sequence[str]) -> None:
        super().__init__((labels, Amount()) for labels in product(*values))
        self._metric = metric

    def __missing__(self, labels: Labels) -> Amount:
        """A series that nobody has foreseen."""
        amount = self[labels] = Amount()
        return amount

    def take(self) -> Iterator[Change]:
        """What was counted since this was last asked, which begins anew; nothing of a gauge."""
        if self._metric.kind == "counter":
            for labels, amount in self.items():
                if amount.value:
                    yield labels, amount.value, ()
                    amount.value = 0.0

    def add(self, change: Change) -> None:
        """Count what was counted elsewhere."""
        labels, value, _ = change
        self[tuple(labels)].inc(value)

    def family(self) -> Family:
        """As Prometheus has it."""
        metric = self._metric
        kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        family = kind(metric.name, metric.help, labels=metric.label_names)
        for labels, amount in self.items():
            family.add_metric(labels, amount.value)
        return family


class Spreads(dict[Labels, Spread]):
    """All series of one histogram."""

    def __init__(self, metric: Metric, *values: Sequence[str]) -> None:
        super().__init__((labels, Spread(metric.buckets)) for labels in product(*values))
        self._metric = metric

    def __missing__(self, labels: Labels) -> Spread:
        """A series that nobody has foreseen."""
        spread = self[labels] = Spread(self._metric.buckets)
        return spread

    def take(self) -> Iterator[Change]:
        """What was observed since this was last asked, which begins anew."""
        for labels, spread in self.items():
            if any(spread.counts):
                yield labels, spread.total, tuple(spread.counts)
                spread.counts, spread.total = [0] * len(spread.counts), 0.0

    def add(self, change: Change) -> None:
        """Count what was observed elsewhere."""
        labels, total, counts = change
        spread = self[tuple(labels)]
        spread.total += total
        spread.counts = [own + more for own, more in zip(spread.counts, counts, strict=True)]

    def family(self) -> Family:
        """As Prometheus has it: each bucket holds those below it too."""
        metric = self._metric
        family = HistogramMetricFamily(metric.name, metric.help, labels=metric.label_names)
        bounds = [*map(floatToGoString, metric.buckets), _INFINITE]
        for labels, spread in self.items():
            buckets = list(zip(bounds, accumulate(map(float, spread.counts)), strict=True))
            family.add_metric(labels, buckets=buckets, sum_value=spread.total)
        return family
