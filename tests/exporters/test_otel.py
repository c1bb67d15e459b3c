"""Tests of OpenTelemetry against a receiver that decodes what it is sent."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs
from otlp_receiver import attributes, otlp_receiver

from jevons.exporters.otel import OtelExporter, OtelSettings, attributes_of
from jevons.proxy.exchange import (
    Endpoint,
    Energy,
    EnergyStatus,
    Method,
    Outcome,
    Plan,
    Reason,
    Record,
    Target,
    Upstream,
    Usage,
)
from jevons.proxy.metering_state import DeviceState, MeteringState

CHAT = Upstream("chat", "http://127.0.0.1:1/v1", "llama")
RECORD = Record(
    "r1",
    "alice",
    Endpoint.CHAT,
    1_700_000_000.0,
    upstream="chat",
    model="llama",
    plan=Plan((Target(CHAT),), (Reason("rules", "proofs", "direct"),), "direct"),
    usage=Usage(prompt=10, cached=4, reasoning=None, completion=21),
    energy=Energy(12.0, 11.0, 13.0, Method.MEASURED, EnergyStatus.FINAL, "gpu", ("resolution",)),
    outcome=Outcome.OK,
    time_to_first_token_seconds=0.5,
    duration_seconds=2.5,
    prompt="a secret of the client",
)
READ = DeviceState(
    "GPU-1",
    "Card",
    is_up=True,
    reason=None,
    watts=250.0,
    counter_joules=10.0,
    settled_joules=10.0,
    accounts={"attributed": 6.0, "idle": 4.0},
)
GONE = replace(READ, device="GPU-2", is_up=False, reason="gone", watts=None, accounts={"attributed": 1.0, "idle": 0.0})
STATE = MeteringState(devices=(READ, GONE))


async def sent(*records, **settings):
    """What the receiver has after an exporter's whole life."""
    async with otlp_receiver() as receiver:
        made = OtelExporter(OtelSettings(endpoint=receiver.url, **settings), metering=lambda: STATE, version="1.2")
        async with made:
            for record in records:
                made.export(record)
    return receiver


async def test_a_request_is_a_span_with_its_energy():
    """Under the convention's names where there are any; its times are the request's."""
    receiver = await sent(RECORD)
    [span] = receiver.spans
    assert span.name == "chat llama"
    assert span.start_time_unix_nano == 1_700_000_000_000_000_000
    assert span.end_time_unix_nano - span.start_time_unix_nano == 2_500_000_000
    found = attributes(span)
    assert found["gen_ai.request.model"] == "llama"
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (10, 21)
    assert (found["jevons.energy.joules"], found["jevons.energy.method"]) == (12.0, "measured")
    assert found["jevons.energy.quality"] == ["resolution"]
    assert found["jevons.route"] == "rules:proofs;to=chat"
    assert receiver.resources[0]["service.name"] == "jevons"
    assert receiver.resources[0]["service.version"] == "1.2"


async def test_unknown_is_absent_and_the_prompt_is_in_none():
    """No 0 in the place of what nobody knows."""
    found = attributes_of(structs.replace(RECORD, energy=Energy(), usage=Usage()))
    assert not {"jevons.energy.joules", "jevons.energy.method", "gen_ai.usage.output_tokens"} & set(found)
    receiver = await sent(RECORD, structs.replace(RECORD, energy=Energy()))
    assert "secret" not in str(receiver.spans) + str(receiver.metrics)
    [point] = receiver.metrics["jevons.request.energy"].histogram.data_points
    assert (point.count, point.sum) == (1, 12.0)


async def test_the_clients_trace_goes_on():
    """The span is a child of the one that the client named."""
    trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    receiver = await sent(
        structs.replace(RECORD, traceparent=f"00-{trace}-{parent}-01"), structs.replace(RECORD, traceparent="nonsense")
    )
    by_trace = {span.trace_id.hex(): span.parent_span_id.hex() for span in receiver.spans}
    assert by_trace[trace] == parent
    assert "" in by_trace.values()


@pytest.mark.parametrize("outcome", [Outcome.UPSTREAM_ERROR, Outcome.REJECTED, Outcome.CLIENT_ERROR])
async def test_a_failure_is_an_error(outcome):
    """With its kind; a client that left is none."""
    receiver = await sent(structs.replace(RECORD, outcome=outcome), structs.replace(RECORD, outcome=Outcome.CANCELLED))
    failed, cancelled = receiver.spans
    assert attributes(failed)["error.type"] == outcome.value
    assert failed.status.code == 2
    assert cancelled.status.code == 0


async def test_devices_are_counted_by_account():
    """Joules as a counter in base units; power only where it can be read; the histograms by their names."""
    receiver = await sent(RECORD)
    energy = {
        (attributes(point)["hw.id"], attributes(point)["jevons.account"]): point.as_double
        for point in receiver.metrics["hw.energy"].sum.data_points
    }
    assert energy == {("GPU-1", "attributed"): 6.0, ("GPU-1", "idle"): 4.0, ("GPU-2", "attributed"): 1.0, ("GPU-2", "idle"): 0.0}
    assert receiver.metrics["hw.energy"].unit == "J"
    assert receiver.metrics["hw.energy"].sum.is_monotonic
    [power] = receiver.metrics["hw.power"].gauge.data_points
    assert (attributes(power)["hw.id"], power.as_double) == ("GPU-1", 250.0)
    points = receiver.metrics["gen_ai.client.token.usage"].histogram.data_points
    tokens = {attributes(point)["gen_ai.token.type"]: point.sum for point in points}
    assert tokens == {"input": 10, "output": 21}
    assert receiver.metrics["gen_ai.client.operation.duration"].histogram.data_points[0].sum == 2.5
    assert receiver.metrics["gen_ai.server.time_to_first_token"].histogram.data_points[0].sum == 0.5


async def test_headers_are_sent_along():
    """Such as a collector's token."""
    receiver = await sent(RECORD, headers={"authorization": "Bearer t"})
    assert {headers["Authorization"] for headers in receiver.headers} == {"Bearer t"}
    assert "Bearer t" not in repr(OtelSettings(endpoint="http://x", headers={"authorization": "Bearer t"}))


@pytest.mark.filterwarnings("ignore")
async def test_nobody_there_loses_spans_and_nothing_else():
    """An exporter whose receiver is gone neither raises nor hangs for long."""
    async with OtelExporter(OtelSettings(endpoint="http://127.0.0.1:9"), metering=lambda: STATE, version="1") as made:
        made.export(RECORD)
