"""The metrics for Prometheus: what has been counted request by request, and one snapshot of metering per scrape.

Nothing is global. The label values are those that the configuration names, all of them made at the start, since a counter that
has counted nothing is 0 and not absent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import TypeAlias

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from jevons.proxy.exchange import EnergyStatus, Method, Record
from jevons.proxy.metering_state import DeviceState, MeteringState
from jevons.proxy.units import JOULES_PER_KWH

from . import catalogue
from . import catalogue_routing as routing
from .exporter import Sources
from .metric import OTHER, Metric
from .quality import Quality
from .tally import Amounts, Labels, Spreads

Series: TypeAlias = tuple[tuple[str, ...], float | None]
"""Label values, and the value; None is unknown, and not served."""


class PrometheusExporter(Collector):
    """Counts, and renders what it counted. Of one thread: call and render it in the event loop."""

    def __init__(self, sources: Sources) -> None:
        self._metering = sources.metering
        self._clock = sources.clock
        self._version = sources.version
        self._upstreams = frozenset(sources.upstreams)
        self._policies = frozenset(sources.policies)
        self._tallies: list[Amounts | Spreads] = []
        upstreams = tuple(sources.upstreams)
        self._requests = self._counter(catalogue.REQUESTS, (*upstreams, OTHER), catalogue.OUTCOME.values)
        self._tokens = self._counter(catalogue.TOKENS, upstreams, catalogue.TOKEN_TYPE.values)
        self._decisions = self._counter(routing.ROUTE_DECISIONS, sources.policies, routing.DECISION.values)
        self._not_honoured = self._counter(routing.SWITCH_NOT_HONOURED, upstreams)
        self._surroundings = sources.surroundings
        self._tenants = frozenset(sources.tenants)
        self._tenant_energy = self._counter(catalogue.TENANT_ENERGY, (*sources.tenants, OTHER))
        self._tenant_requests = self._counter(catalogue.TENANT_REQUESTS, (*sources.tenants, OTHER))
        self._route_energy = self._counter(routing.ROUTE_ENERGY, sources.policies, routing.DECISION.values)
        self._reloads = self._counter(catalogue.CONFIG_RELOAD, catalogue.RELOAD_OUTCOME.values)
        self._energy = self._histogram(catalogue.REQUEST_ENERGY, upstreams)
        self._estimated = self._counter(catalogue.ESTIMATED_ENERGY, upstreams)
        self._cost = self._counter(catalogue.UPSTREAM_COST, upstreams)
        self._first_token = self._histogram(catalogue.TIME_TO_FIRST_TOKEN, upstreams)
        self._output_token = self._histogram(catalogue.TIME_PER_OUTPUT_TOKEN, upstreams)
        self._duration = self._histogram(catalogue.REQUEST_DURATION, upstreams)
        self._in_flight = self._counter(catalogue.IN_FLIGHT, upstreams)
        self._quality = Quality()
        self._tallies += self._quality.tallies

    def export(self, record: Record) -> None:
        """Observe the energy of a request, now that it is final; what is unknown, or may still change, is not observed."""
        if len(record.attempts) > 1:
            self._quality.settled(record)
        if record.energy.status is not EnergyStatus.FINAL or record.energy.joules is None:
            return
        joules = record.energy.joules
        upstream = record.upstream if record.upstream in self._upstreams else OTHER
        self._tenant_energy[(record.tenant if record.tenant in self._tenants else OTHER,)].value += joules
        if (decisive := record.plan.decisive) is not None:
            policy = decisive.policy if decisive.policy in self._policies else OTHER
            self._route_energy[policy, record.plan.decision].value += joules
        if record.energy.method is Method.ESTIMATED:
            self._estimated[(upstream,)].value += joules
        else:
            self._energy[(upstream,)].observe(joules)

    def answered(self, record: Record) -> None:
        """Count a request that has ended, its tokens and its times; its energy may not be final yet."""
        if record.outcome is None:
            return
        upstream = record.upstream if record.upstream in self._upstreams else OTHER
        self._requests[upstream, record.outcome].value += 1.0
        self._tenant_requests[(record.tenant if record.tenant in self._tenants else OTHER,)].value += 1.0
        self._count_tokens(record)
        if len(record.attempts) > 1:
            self._quality.answered(record)
        if record.time_to_first_token_seconds is not None:
            self._first_token[(upstream,)].observe(record.time_to_first_token_seconds)
        if record.duration_seconds is not None:
            self._duration[(upstream,)].observe(record.duration_seconds)
        if record.stream and (seconds := _seconds_per_output_token(record)) is not None:
            self._output_token[(upstream,)].observe(seconds)

    def request_started(self, upstream: str) -> None:
        """One more that the upstream works on."""
        self._in_flight[(upstream if upstream in self._upstreams else OTHER,)].value += 1.0

    def request_ended(self, upstream: str) -> None:
        """One less."""
        self._in_flight[(upstream if upstream in self._upstreams else OTHER,)].value -= 1.0

    def route_decided(self, policy: str, decision: str) -> None:
        """Count a decision: `direct`, `reasoning`, `pinned`, `unsure` or `rejected`."""
        self._decisions[policy if policy in self._policies else OTHER, decision].value += 1.0

    def switch_not_honoured(self, upstream: str) -> None:
        """Count an answer whose thinking was not as it had been switched."""
        self._not_honoured[(self._upstream(upstream),)].inc()

    def scored(self, record: Record, score: float) -> None:
        """Count what a client thinks of an answer, from 0 to 1."""
        self._quality.scored(record, score)

    def take_changes(self) -> list[tuple[int, Labels, float, tuple[int, ...]]]:
        """What was counted since this was last asked, for another process that shows the whole."""
        return [(place, *change) for place, tally in enumerate(self._tallies) for change in tally.take()]

    def add_changes(self, changes: Iterable[tuple[int, Labels, float, tuple[int, ...]]]) -> None:
        """Count what another process has counted."""
        for place, labels, value, counts in changes:
            self._tallies[place].add((labels, value, counts))

    def set_in_flight(self, upstream: str, attempts: int) -> None:
        """So many are in flight there, in all processes."""
        self._in_flight[(self._upstream(upstream),)].value = attempts

    def know(self, *, upstreams: Iterable[str], policies: Iterable[str], tenants: Iterable[str]) -> None:
        """Further names, which a reload of the configuration brought; those that it dropped keep what they have counted."""
        self._upstreams |= frozenset(upstreams)
        self._policies |= frozenset(policies)
        self._tenants |= frozenset(tenants)

    def config_reloaded(self, *, is_ok: bool) -> None:
        """Count a reload of the configuration."""
        self._reloads[("ok" if is_ok else "failed",)].inc()

    def take(self) -> Callable[[str], tuple[bytes, str]]:
        """One snapshot, taken now. What comes back renders it, in any thread."""
        return _Taken(tuple(self.collect())).render

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The same in one go."""
        return self.take()(accept)

    def collect(self) -> Iterator[Family]:
        """Every family once, with metering taken in one go."""
        yield from _metering_families(self._metering())
        yield _family(catalogue.SNAPSHOT_TIME, [((), self._clock())])
        for tally in self._tallies:
            yield tally.family()
        yield from self._surroundings.families()
        yield _family(catalogue.BUILD_INFO, [((self._version,), 1.0)])

    def _upstream(self, name: str) -> str:
        return name if name in self._upstreams else OTHER

    def _count_tokens(self, record: Record) -> None:
        for attempt in record.attempts:
            upstream, usage = attempt.upstream if attempt.upstream in self._upstreams else OTHER, attempt.usage
            if attempt.cost_usd is not None:
                self._cost[(upstream,)].value += attempt.cost_usd
            counts = (usage.prompt, usage.cached, usage.reasoning, usage.completion)
            for kind, tokens in zip(catalogue.TOKEN_TYPE.values, counts, strict=True):
                if tokens:
                    self._tokens[upstream, kind].value += tokens

    def _counter(self, metric: Metric, *values: Sequence[str]) -> Amounts:
        amounts = Amounts(metric, *values)
        self._tallies.append(amounts)
        return amounts

    def _histogram(self, metric: Metric, upstreams: Sequence[str]) -> Spreads:
        spreads = Spreads(metric, upstreams)
        self._tallies.append(spreads)
        return spreads


def _seconds_per_output_token(record: Record) -> float | None:
    """From the first token to the last over the steps between, in one of the sequences that ran side by side."""
    first, whole, tokens = record.time_to_first_token_seconds, record.duration_seconds, record.usage.completion
    if not record.stream or first is None or whole is None or tokens is None:
        return None
    steps = tokens / max(1, record.sequences) - 1
    return (whole - first) / steps if steps >= 1 and whole >= first else None


class _Taken(Collector):
    """The families of one snapshot."""

    def __init__(self, families: tuple[Family, ...]) -> None:
        self._families = families

    def collect(self) -> Iterable[Family]:
        """Them."""
        return self._families

    def render(self, accept: str) -> tuple[bytes, str]:
        """The scrape and its content type: OpenMetrics where the `Accept` header asks for it, else the classic text."""
        encode, content_type = choose_encoder(accept)
        return encode(self), content_type


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
