"""What a dashboard needs beside the counts: which upstreams there are and whether they answer, the price and the PUE."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family

from jevons.proxy.exchange import Upstream
from jevons.proxy.observed import BudgetState, LineState, ServerState
from jevons.proxy.units import JOULES_PER_KWH

from . import catalogue
from . import catalogue_routing as routing
from .metric import OTHER, Metric

ALL_HOLDERS: Final = "all"
"""Whose a budget is that counts everybody's joules together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The configuration as far as it is shown, and the state of the servers."""

    upstreams: Sequence[Upstream] = ()
    are_up: Callable[[], Mapping[str, bool]] = field(default=dict)
    """By upstream; absent where one has not been asked yet."""
    count_tasks: Callable[[], int] = lambda: 0
    """Of the event loop."""
    pue: float = 1.0
    price_per_kwh: float | None = None
    ledger_dropped: Callable[[], int] = int
    """Rows that the ledger could not take; without a ledger there are none."""
    holdout: Callable[[], Mapping[str, float]] = field(default=dict)
    """`requests`, `joules`, of the pairs `pairs`, `pairs_routed` and `pairs_reasoning`, and of the saving `estimate`, `low` and
    `high`; absent where they are not known."""

    budgets: Callable[[], Sequence[BudgetState]] = field(default=tuple)
    tenants: Callable[[], Collection[str]] = field(default=tuple)
    """Those who may be named; whoever else has used of a budget is in `other`."""
    servers: Callable[[], Sequence[ServerState]] = field(default=tuple)
    lines: Callable[[], Sequence[LineState]] = field(default=tuple)
    """Who waits for each upstream."""

    def families(self) -> Iterator[Family]:
        """One family each; what is unknown is left out."""
        dropped = catalogue.LEDGER_DROPPED
        yield CounterMetricFamily(dropped.name, dropped.help, value=self.ledger_dropped())
        yield from self._holdout()
        yield _gauge(catalogue.LOOP_TASKS, {(): float(self.count_tasks())})
        yield _gauge(catalogue.UPSTREAM_UP, {(name,): float(is_up) for name, is_up in self.are_up().items()})
        yield from self._faults()
        yield from self._budgets()
        yield _gauge(catalogue.UPSTREAM_INFO, {(each.name, each.model, each.reasoning.value): 1.0 for each in self.upstreams})
        yield _gauge(catalogue.PUE, {(): self.pue})
        yield _gauge(catalogue.PRICE, {} if self.price_per_kwh is None else {(): self.price_per_kwh / JOULES_PER_KWH})

    def _holdout(self) -> Iterator[Family]:
        found = self.holdout()
        counts = ((routing.HOLDOUT_REQUESTS, "requests"), (routing.HOLDOUT_ENERGY, "joules"), (routing.HOLDOUT_PAIRS, "pairs"))
        for metric, name in counts:
            yield _counter(metric, {(): found.get(name, 0.0)})
        arms: dict[tuple[str, ...], float] = {(arm,): found.get(f"pairs_{arm}", 0.0) for arm in routing.PAIR_ARM.values}
        yield _counter(routing.HOLDOUT_PAIR_ENERGY, arms)
        bounds = [bound for bound in routing.SAVING_BOUND.values if bound in found]
        yield _gauge(routing.MEASURED_SAVING, {(bound,): found[bound] for bound in bounds})

    def _budgets(self) -> Iterator[Family]:
        used: dict[tuple[str, ...], float] = {}
        limits: dict[tuple[str, ...], float] = {}
        known = {ALL_HOLDERS, *self.tenants()}
        for one in self.budgets():
            labels = (one.name, one.holder if one.holder.partition("/")[0] in known else OTHER)
            used[labels] = used.get(labels, 0.0) + one.used_joules
            limits[labels] = limits.get(labels, 0.0) + one.limit_joules
        yield _gauge(routing.BUDGET_USED, used)
        yield _gauge(routing.BUDGET_LIMIT, limits)

    def _faults(self) -> Iterator[Family]:
        servers, lines = self.servers(), self.lines()
        yield _gauge(catalogue.SERVER_EJECTED, {(one.server,): one.ejected for one in servers})
        yield _counter(catalogue.SERVER_EJECTIONS, {(one.server,): one.ejections for one in servers})
        yield _gauge(catalogue.QUEUE, {(line.upstream,): float(line.waiting) for line in lines})
        refused: dict[tuple[str, ...], float] = {
            (line.upstream, why): n for line in lines for why, n in (("full", line.full), ("late", line.late))
        }
        yield _counter(catalogue.QUEUE_REFUSED, refused)
        yield _counter(catalogue.RETRIES, {(line.upstream,): line.retries for line in lines})


def _counter(metric: Metric, series: Mapping[tuple[str, ...], float]) -> CounterMetricFamily:
    family = CounterMetricFamily(metric.name, metric.help, labels=metric.label_names)
    for labels, value in series.items():
        family.add_metric(labels, value)
    return family


def _gauge(metric: Metric, series: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.label_names)
    for labels, value in series.items():
        family.add_metric(labels, value)
    return family
