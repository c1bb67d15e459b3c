"""The metrics for Prometheus: what has been counted request by request, and one snapshot of metering per scrape.

Nothing is global: the counters live in a registry of their own, and the label values are those that the configuration names,
all of them made at the start, since a counter that has counted nothing is 0 and not absent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import cache
from itertools import product
from typing import Final, TypeAlias, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from jevons.proxy.exchange import DeviceState, EnergyStatus, MeteringState, Method, Record
from jevons.proxy.units import JOULES_PER_KWH

from . import catalogue
from .catalogue import OTHER, Metric
from .exporter import Sources

_CREATED: Final = "_created"

Labelled = TypeVar("Labelled", Counter, Gauge, Histogram)
Series: TypeAlias = tuple[tuple[str, ...], float | None]
"""Label values, and the value; None is unknown, and not served."""


class PrometheusExporter(Collector):
    """Counts, and renders what it counted. Of one thread: call and render it in the event loop."""

    def __init__(self, sources: Sources) -> None:
        self._metering = sources.metering
        self._version = sources.version
        self._upstreams = frozenset(sources.upstreams)
        self._policies = frozenset(sources.policies)
        self._registry = CollectorRegistry(auto_describe=False)
        upstreams = tuple(sources.upstreams)
        self._requests = self._counter(catalogue.REQUESTS, (*upstreams, OTHER), catalogue.OUTCOME.values)
        self._tokens = self._counter(catalogue.TOKENS, upstreams, catalogue.TOKEN_TYPE.values)
        self._decisions = self._counter(catalogue.ROUTE_DECISIONS, sources.policies, catalogue.DECISION.values)
        self._not_honoured = self._counter(catalogue.SWITCH_NOT_HONOURED, upstreams)
        self._reloads = self._counter(catalogue.CONFIG_RELOAD, catalogue.RELOAD_OUTCOME.values)
        self._energy = self._histogram(catalogue.REQUEST_ENERGY, upstreams)
        self._estimated = self._counter(catalogue.ESTIMATED_ENERGY, upstreams)
        self._first_token = self._histogram(catalogue.TIME_TO_FIRST_TOKEN, upstreams)
        self._output_token = self._histogram(catalogue.TIME_PER_OUTPUT_TOKEN, upstreams)
        self._duration = self._histogram(catalogue.REQUEST_DURATION, upstreams)
        self._series = cache(_series)
        """A series by its metric and labels; there are no more of them than the configuration names."""
        metric = catalogue.IN_FLIGHT
        self._in_flight = Gauge(metric.name, metric.help, metric.label_names, registry=self._registry)
        for upstream in upstreams:
            self._in_flight.labels(upstream)

    def export(self, record: Record) -> None:
        """Observe the energy of a request, now that it is final; what is unknown, or may still change, is not observed."""
        if record.energy.status is not EnergyStatus.FINAL or record.energy.joules is None:
            return
        upstream = self._upstream(record.upstream)
        if record.energy.method is Method.ESTIMATED:
            self._series(self._estimated, upstream).inc(record.energy.joules)
        else:
            self._series(self._energy, upstream).observe(record.energy.joules)

    def answered(self, record: Record) -> None:
        """Count a request that has ended, its tokens and its times; its energy may not be final yet."""
        if record.outcome is None:
            return
        upstream = self._upstream(record.upstream)
        self._series(self._requests, upstream, record.outcome.value).inc()
        self._count_tokens(record)
        if record.time_to_first_token_seconds is not None:
            self._series(self._first_token, upstream).observe(record.time_to_first_token_seconds)
        if record.duration_seconds is not None:
            self._series(self._duration, upstream).observe(record.duration_seconds)
        if (seconds := _seconds_per_output_token(record)) is not None:
            self._series(self._output_token, upstream).observe(seconds)

    def request_started(self, upstream: str) -> None:
        """One more that the upstream works on."""
        self._series(self._in_flight, self._upstream(upstream)).inc()

    def request_ended(self, upstream: str) -> None:
        """One less."""
        self._series(self._in_flight, self._upstream(upstream)).dec()

    def route_decided(self, policy: str, decision: str) -> None:
        """Count a decision: `direct`, `reasoning`, `pinned`, `unsure` or `rejected`."""
        self._series(self._decisions, policy if policy in self._policies else OTHER, decision).inc()

    def switch_not_honoured(self, upstream: str) -> None:
        """Count an answer whose thinking was not as it had been switched."""
        self._series(self._not_honoured, self._upstream(upstream)).inc()

    def config_reloaded(self, *, is_ok: bool) -> None:
        """Count a reload of the configuration."""
        self._series(self._reloads, "ok" if is_ok else "failed").inc()

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The scrape and its content type: OpenMetrics where the `Accept` header asks for it, else the classic text."""
        encode, content_type = choose_encoder(accept)
        return encode(self), content_type

    def collect(self) -> Iterator[Family]:
        """Every family once, with metering taken in one go. Creation times, a series more per counter, are left out."""
        yield from _metering_families(self._metering())
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith(_CREATED)]
            yield family
        yield _family(catalogue.BUILD_INFO, [((self._version,), 1.0)])

    def _upstream(self, name: str | None) -> str:
        return name if name in self._upstreams else OTHER

    def _count_tokens(self, record: Record) -> None:
        for attempt in record.attempts:
            for kind, tokens in attempt.usage.as_json().items():
                if tokens:
                    self._series(self._tokens, self._upstream(attempt.upstream), kind).inc(tokens)

    def _counter(self, metric: Metric, *values: Sequence[str]) -> Counter:
        counter = Counter(metric.name, metric.help, metric.label_names, registry=self._registry)
        for labels in product(*values):
            counter.labels(*labels)
        return counter

    def _histogram(self, metric: Metric, upstreams: Sequence[str]) -> Histogram:
        histogram = Histogram(metric.name, metric.help, metric.label_names, registry=self._registry, buckets=metric.buckets)
        for upstream in upstreams:
            histogram.labels(upstream)
        return histogram


def _series(metric: Labelled, *labels: str) -> Labelled:
    """One series of a metric: finding it takes longer than counting in it."""
    return metric.labels(*labels)


def _seconds_per_output_token(record: Record) -> float | None:
    """From the first token to the last over the steps between, in one of the sequences that ran side by side."""
    first, whole, tokens = record.time_to_first_token_seconds, record.duration_seconds, record.usage.completion
    if not record.stream or first is None or whole is None or tokens is None:
        return None
    steps = tokens / max(1, record.sequences) - 1
    return (whole - first) / steps if steps >= 1 and whole >= first else None


def _metering_families(state: MeteringState) -> Iterator[Family]:
    devices = state.devices
    yield _family(catalogue.DEVICE_ENERGY, [((each.device,), each.settled_joules) for each in devices])
    yield _family(catalogue.ACCOUNTED_ENERGY, [series for each in devices for series in _accounts(each)])
    yield _family(catalogue.DEVICE_COUNTER, [((each.device,), each.counter_joules) for each in devices])
    yield _family(catalogue.SETTLE_LAG, [((), state.settle_lag_seconds)])
    yield _family(catalogue.DEVICE_POWER, [((each.device,), each.watts) for each in devices])
    yield _family(catalogue.METER_UP, [((each.device,), float(each.is_up)) for each in devices])
    yield _family(catalogue.DEVICE_INFO, [((each.device, each.name), 1.0) for each in devices])
    yield _family(catalogue.COUNTER_POWER_RATIO, [((each.device,), each.counter_power_ratio) for each in devices])
    terms = [(name, term, value) for name, each in state.coefficients.items() for term, value in asdict(each).items()]
    yield _family(catalogue.COEFFICIENT, [((name, term), value) for name, term, value in terms])
    yield from _bypass_families(state)
    intensity = state.intensity
    per_joule = [((intensity.source,), intensity.gco2e_per_kwh / JOULES_PER_KWH)] if intensity else []
    yield _family(catalogue.CARBON_INTENSITY, per_joule)
    yield _family(catalogue.CARBON_INTENSITY_TIME, [((intensity.source,), intensity.at)] if intensity else [])


def _bypass_families(state: MeteringState) -> Iterator[Family]:
    upstreams = state.bypass.items()
    yield _family(catalogue.ENGINE_METRICS_UP, [((name,), float(each.is_watched)) for name, each in upstreams])
    watched = [(name, each.tokens) for name, each in upstreams if each.is_watched]
    tokens = [((name, kind), count) for name, counts in watched for kind, count in counts.items()]
    yield _family(catalogue.BYPASS_TOKENS, tokens)
    suspected = [((each.device,), float(each.is_bypass_suspected)) for each in state.devices]
    yield _family(catalogue.BYPASS_SUSPECTED, suspected)


def _accounts(state: DeviceState) -> list[Series]:
    return [((state.device, account), state.accounts[account]) for account in catalogue.ACCOUNT.values]


def _family(metric: Metric, series: Sequence[Series]) -> Family:
    """A family of what a snapshot holds; what is unknown is left out."""
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.label_names)
    for labels, value in series:
        if value is not None:
            family.add_metric(labels, value)
    return family
