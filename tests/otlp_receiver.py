"""A receiver of OTLP over HTTP, as a collector has one: it decodes what it is sent, and keeps it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from gzip import decompress

from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def value_of(value):
    """A value of an attribute as Python has it."""
    kind = value.WhichOneof("value")
    return [value_of(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)


def attributes(item):
    """Those of a span, a point or a resource."""
    return {each.key: value_of(each.value) for each in item.attributes}


class Receiver:
    """What came: spans, metrics by name, and the headers that came with them."""

    def __init__(self):
        self.url = ""
        self.spans = []
        self.metrics = {}
        self.resources = []
        self.headers = []

    def app(self):
        app = web.Application()
        app.router.add_post("/v1/traces", self._take_traces)
        app.router.add_post("/v1/metrics", self._take_metrics)
        return app

    async def _take_traces(self, request):
        message = ExportTraceServiceRequest.FromString(await self._read(request))
        for resource in message.resource_spans:
            self.resources.append(attributes(resource.resource))
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]
        return web.Response()

    async def _take_metrics(self, request):
        message = ExportMetricsServiceRequest.FromString(await self._read(request))
        for resource in message.resource_metrics:
            for scope in resource.scope_metrics:
                self.metrics |= {metric.name: metric for metric in scope.metrics}
        return web.Response()

    async def _read(self, request):
        self.headers.append(dict(request.headers))
        body = await request.read()
        return decompress(body) if body[:2] == b"\x1f\x8b" else body


@asynccontextmanager
async def otlp_receiver() -> AsyncIterator[Receiver]:
    """One that listens."""
    receiver = Receiver()
    async with TestServer(receiver.app()) as server:
        receiver.url = f"http://127.0.0.1:{server.port}"
        yield receiver
