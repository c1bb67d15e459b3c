"""OpenTelemetry: a span of every request with its energy, and metrics, sent over OTLP/HTTP.

Names follow the GenAI and hardware conventions where there are any; for energy there is none yet, and `jevons.*` is ours: all
of them stand in the tables below and nowhere else. Spans and points are sent by threads of the SDK, from queues of fixed size.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self

from opentelemetry import metrics as api
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from jevons.proxy.exchange import Endpoint, EnergyStatus, Outcome, Record
from jevons.proxy.metering_state import MeteringState
from jevons.proxy.units import Seconds

OPERATIONS: Final = {
    Endpoint.CHAT: "chat",
    Endpoint.RESPONSES: "chat",
    Endpoint.MESSAGES: "chat",
    Endpoint.COMPLETIONS: "text_completion",
    Endpoint.EMBEDDINGS: "embeddings",
}
"""`gen_ai.operation.name`; other endpoints go by their path."""
SEND_SECONDS: Final = 3
"""How long one sending may take, repetitions included, and so the end of the process."""
_NANOSECONDS: Final = 1_000_000_000
_JOULES: Final = (0.1, 0.5, 1, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000, 50_000, 100_000)

Attributes = dict[str, AttributeValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class OtelSettings:
    """Where to send. `endpoint` is the base, such as http://127.0.0.1:4318; `headers` may hold a token."""

    endpoint: str
    service_name: str = "jevons"
    interval_seconds: Seconds = 10.0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class OtelExporter:
    """Sends what has ended. `async with` around its life; `run` keeps the devices' figures fresh, from the event loop."""

    def __init__(self, settings: OtelSettings, *, metering: Callable[[], MeteringState], version: str) -> None:
        self._settings = settings
        self._metering = metering
        self._state = MeteringState()
        resource = Resource.create({"service.name": settings.service_name, "service.version": version})
        base, headers = settings.endpoint.rstrip("/"), dict(settings.headers)
        self._traces = TracerProvider(resource=resource, shutdown_on_exit=False)
        spans = OTLPSpanExporter(f"{base}/v1/traces", headers=headers, timeout=SEND_SECONDS)
        self._traces.add_span_processor(BatchSpanProcessor(spans))
        points = OTLPMetricExporter(f"{base}/v1/metrics", headers=headers, timeout=SEND_SECONDS)
        reader = PeriodicExportingMetricReader(points, export_interval_millis=settings.interval_seconds * 1000)
        self._meters = MeterProvider([reader], resource, shutdown_on_exit=False)
        self._tracer = self._traces.get_tracer("jevons", version)
        self._propagator = TraceContextTextMapPropagator()
        self._add_instruments(self._meters.get_meter("jevons", version))

    def _add_instruments(self, meter: api.Meter) -> None:
        self._tokens = meter.create_histogram("gen_ai.client.token.usage", "{token}")
        self._duration = meter.create_histogram("gen_ai.client.operation.duration", "s")
        self._first_token = meter.create_histogram("gen_ai.server.time_to_first_token", "s")
        self._energy = meter.create_histogram("jevons.request.energy", "J", explicit_bucket_boundaries_advisory=_JOULES)
        meter.create_observable_counter("hw.energy", [self._observe_energy], "J")
        meter.create_observable_gauge("hw.power", [self._observe_power], "W")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Send what is left, for a few seconds at most."""
        self._state = self._metering()
        meters = asyncio.to_thread(self._meters.shutdown, SEND_SECONDS * 1000)
        await asyncio.gather(asyncio.to_thread(self._traces.shutdown), meters)

    async def run(self) -> None:
        """Take the devices' figures as often as they are sent; the SDK's thread finds them ready."""
        while True:
            self._state = self._metering()
            await asyncio.sleep(self._settings.interval_seconds)

    def export(self, record: Record) -> None:
        """One span, and the histograms."""
        attributes = attributes_of(record)
        start = int(record.started_at * _NANOSECONDS)
        parent = self._propagator.extract({"traceparent": record.traceparent}) if record.traceparent else None
        name = " ".join(filter(None, (OPERATIONS.get(record.endpoint, record.endpoint.value), record.model)))
        span = self._tracer.start_span(name, parent, SpanKind.CLIENT, attributes, start_time=start)
        if record.outcome in {Outcome.UPSTREAM_ERROR, Outcome.REJECTED, Outcome.CLIENT_ERROR}:
            span.set_attribute("error.type", record.outcome.value)
            span.set_status(Status(StatusCode.ERROR))
        span.end(start + int((record.duration_seconds or 0.0) * _NANOSECONDS))
        self._record_metrics(record, {key: attributes[key] for key in _METRIC_ATTRIBUTES if key in attributes})

    def _record_metrics(self, record: Record, attributes: Attributes) -> None:
        for kind, tokens in (("input", record.usage.prompt), ("output", record.usage.completion)):
            if tokens is not None:
                self._tokens.record(tokens, {**attributes, "gen_ai.token.type": kind})
        if record.duration_seconds is not None:
            self._duration.record(record.duration_seconds, attributes)
        if record.time_to_first_token_seconds is not None:
            self._first_token.record(record.time_to_first_token_seconds, attributes)
        if record.energy.joules is not None and record.energy.status is EnergyStatus.FINAL:
            method = str(record.energy.method)
            self._energy.record(record.energy.joules, {**attributes, "jevons.energy.method": method})

    def _observe_energy(self, _: api.CallbackOptions) -> Iterable[api.Observation]:
        for device in self._state.devices:
            for account, joules in device.accounts.items():
                yield api.Observation(joules, {"hw.id": device.device, "hw.name": device.name, "jevons.account": account})

    def _observe_power(self, _: api.CallbackOptions) -> Iterable[api.Observation]:
        for device in self._state.devices:
            if device.watts is not None:
                yield api.Observation(device.watts, {"hw.id": device.device, "hw.name": device.name})


_METRIC_ATTRIBUTES: Final = ("gen_ai.operation.name", "gen_ai.request.model", "jevons.upstream")


def attributes_of(record: Record) -> Attributes:
    """Of a span. What is unknown is absent; there is no prompt among them."""
    energy, usage = record.energy, record.usage
    found: dict[str, AttributeValue | None] = {
        "gen_ai.operation.name": OPERATIONS.get(record.endpoint, record.endpoint.value),
        "gen_ai.request.model": record.model,
        "gen_ai.usage.input_tokens": usage.prompt,
        "gen_ai.usage.output_tokens": usage.completion,
        "jevons.usage.cached_tokens": usage.cached,
        "jevons.usage.reasoning_tokens": usage.reasoning,
        "jevons.request_id": record.request_id,
        "jevons.upstream": record.upstream,
        "jevons.tenant": str(record.tenant),
        "jevons.route": record.plan.route or None,
        "jevons.decision": record.plan.decision or None,
        "jevons.outcome": None if record.outcome is None else record.outcome.value,
        "jevons.energy.joules": energy.joules,
        "jevons.energy.low": energy.low,
        "jevons.energy.high": energy.high,
        "jevons.energy.method": None if energy.method is None else energy.method.value,
        "jevons.energy.status": energy.status.value,
        "jevons.energy.scope": energy.scope,
        "jevons.energy.quality": energy.quality or None,
        "jevons.energy.gco2e": energy.gco2e,
    }
    return {name: value for name, value in found.items() if value is not None}
