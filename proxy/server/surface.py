"""The main listener: OpenAI's surface, an allow-list of paths. Anything else is 404."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

import msgspec
from aiohttp import web

from ..errors import BadRequest, BodyTooLarge, ModelNotFound, NotFound, RequestError, RequestTimedOut, UnsupportedEncoding
from ..exchange import Endpoint, Request, Upstream
from ..identity import Identity
from ..pipeline import Pipeline
from ..records import RecordStore, record_json
from ..units import Seconds
from ..wire.media import MediaRule
from ..wire.parsing import parse
from ..wire.replies import UNREADABLE
from .connection import FastPath, Incoming
from .downstream import AiohttpDownstream
from .edge import IDENTITY, REQUEST_ID, Door, RequestIds, edge
from .fast_downstream import FastDownstream
from .openapi import openapi_bytes

PARSE_IN_THREAD_BYTES: Final = 128 * 1024
"""Bodies above this, which take a millisecond, are parsed off the loop, so that nobody else's tokens wait for them."""
_ENDPOINTS: Final = {endpoint.value: endpoint for endpoint in Endpoint}
_FIELD: Final = re.compile(r"(?:field `|at `\$\.)([^`]*)`$")


_ANY_MEDIA: Final = MediaRule()


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may send."""

    body_bytes: int = 32 * 1024 * 1024
    header_seconds: Seconds = 15.0
    body_seconds: Seconds = 120.0
    media: MediaRule = _ANY_MEDIA


class Feedback(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/feedback`."""

    request_id: str
    score: float


class Archive(Protocol):
    """Where requests are found that memory has forgotten."""

    async def find(self, request_id: str, tenant: str) -> dict[str, object] | None:
        """What `record_json` gives for a request of this tenant; None where there is none."""
        ...

    def feedback(self, request_id: str, tenant: str, score: float) -> None:
        """Keep a score."""
        ...


class Surface:
    """The handlers of the main listener."""

    def __init__(
        self,
        pipeline: Pipeline,
        records: RecordStore,
        upstreams: Mapping[str, Upstream],
        limits: Limits,
        *,
        archive: Archive | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._records = records
        self._limits = limits
        self._archive = archive
        self._upstreams = upstreams
        self._models = _models(upstreams)
        self._ids = RequestIds()

    def show(self, upstreams: Mapping[str, Upstream]) -> None:
        """List these models from now on."""
        self._upstreams = upstreams
        self._models = _models(upstreams)

    def app(self, door: Door) -> web.Application:
        """The aiohttp application."""
        app = web.Application(middlewares=[edge(door, self._pipeline.version)], client_max_size=self._limits.body_bytes)
        for endpoint in Endpoint:
            app.router.add_post(endpoint.value, self._infer_slow)
        app.router.add_get("/v1/models", self._list_models, allow_head=False)
        app.router.add_get("/v1/models/{model:.+}", self._get_model, allow_head=False)
        app.router.add_get("/v1/energy/{request_id}", self._get_energy, allow_head=False)
        app.router.add_post("/v1/feedback", self._take_feedback)
        app.router.add_get("/openapi.json", self._show_openapi, allow_head=False)
        return app

    def fast_path(self, door: Door, slow: Callable[[], asyncio.Protocol]) -> FastPath:
        """What a connection needs to serve plain inference requests; `slow` makes one that aiohttp serves."""
        return FastPath(
            paths=frozenset(endpoint.value.encode() for endpoint in Endpoint),
            admit=door.admit,
            handle=self._infer_fast,
            slow=slow,
            body_limit_bytes=self._limits.body_bytes,
            header_seconds=self._limits.header_seconds,
            body_seconds=self._limits.body_seconds,
        )

    async def _infer_fast(self, incoming: Incoming, downstream: FastDownstream) -> None:
        request_id = self._ids.take()
        is_big = len(incoming.body) > PARSE_IN_THREAD_BYTES
        try:
            request = await asyncio.to_thread(self._parse, incoming, request_id) if is_big else self._parse(incoming, request_id)
            await self._pipeline.handle(request, downstream)
        except RequestError as error:
            headers = {"content-type": "application/json", "x-request-id": request_id, "x-jevons-version": self._pipeline.version}
            await downstream.reply(error.status, {**headers, **error.headers}, error.body())

    async def _infer_slow(self, http: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in http.headers.items()}
        incoming = Incoming(http.path, headers, await self._read(http), http[IDENTITY])
        downstream = AiohttpDownstream(http)
        request_id = http[REQUEST_ID]
        is_big = len(incoming.body) > PARSE_IN_THREAD_BYTES
        request = await asyncio.to_thread(self._parse, incoming, request_id) if is_big else self._parse(incoming, request_id)
        await self._pipeline.handle(request, downstream)
        if downstream.response is None:
            # The client left before anything could be said to it: aiohttp wants a response all the same.
            return web.Response(status=499)
        return downstream.response

    def _parse(self, incoming: Incoming, request_id: str) -> Request:
        content_type = incoming.headers.get("content-type", "")
        if content_type != "application/json" and not (content_type.isascii() and content_type.isprintable()):
            raise BadRequest("The content type must be printable ASCII.", param="content-type")
        endpoint = _ENDPOINTS[incoming.path]
        if self._limits.media.hosts is not None and endpoint is not Endpoint.TRANSCRIPTIONS:
            self._limits.media.check(incoming.body)
        return parse(
            endpoint,
            content_type,
            incoming.body,
            request_id=request_id,
            identity=incoming.identity,
            headers=incoming.headers,
            started_at=time.time(),
        )

    async def _read(self, http: web.Request) -> bytes:
        if http.headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedEncoding("Compressed bodies are not accepted: send the request as it is.")
        too_large = BodyTooLarge(f"The body is larger than {self._limits.body_bytes} bytes.")
        if (http.content_length or 0) > self._limits.body_bytes:
            raise too_large
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                return await http.read()
        except TimeoutError:
            raise RequestTimedOut(f"The body did not arrive in {self._limits.body_seconds:g} s.") from None
        except web.HTTPRequestEntityTooLarge:
            raise too_large from None

    async def _show_openapi(self, _: web.Request) -> web.Response:
        return web.Response(body=self._openapi, content_type="application/json")

    @cached_property
    def _openapi(self) -> bytes:
        """Made once, when it is first asked for: reading the page takes the loop some milliseconds."""
        return openapi_bytes(self._pipeline.version)

    async def _list_models(self, http: web.Request) -> web.Response:
        return _json(http, {"object": "list", "data": list(self._models_of(http[IDENTITY]).values())})

    async def _get_model(self, http: web.Request) -> web.Response:
        model = http.match_info["model"]
        models = self._models_of(http[IDENTITY])
        if model not in models:
            raise ModelNotFound(model[:200])
        return _json(http, models[model])

    def _models_of(self, identity: Identity) -> dict[str, dict[str, object]]:
        """Those that its key may use."""
        allowed = identity.models
        if allowed is None:
            return self._models
        return _models({name: each for name, each in self._upstreams.items() if name in allowed or each.model in allowed})

    async def _get_energy(self, http: web.Request) -> web.Response:
        request_id, tenant = http.match_info["request_id"], http[IDENTITY].tenant
        record = self._pipeline.record(request_id, tenant)
        found = await self._recall(request_id, tenant) if record is None else record_json(record)
        if found is None:
            raise NotFound("No such request is known: its id is wrong, or it has been forgotten.", param="request_id")
        return _json(http, found)

    async def _recall(self, request_id: str, tenant: str) -> dict[str, object] | None:
        return None if self._archive is None else await self._archive.find(request_id, tenant)

    async def _take_feedback(self, http: web.Request) -> web.Response:
        body = await self._read(http)
        try:
            feedback = msgspec.json.decode(body, type=Feedback)
        except UNREADABLE as error:
            field = _FIELD.search(str(error)) if isinstance(error, msgspec.ValidationError) else None
            message = f"Expected {{request_id: string, score: number}}: {error}."
            raise BadRequest(message, param=field.group(1) if field else None) from None
        if not 0.0 <= feedback.score <= 1.0:
            raise BadRequest("`score` must lie between 0 and 1.", param="score")
        tenant = http[IDENTITY].tenant
        is_known = self._records.feedback(feedback.request_id, tenant, feedback.score)
        if not is_known and await self._recall(feedback.request_id, tenant) is None:
            raise NotFound("No finished request has this id.", param="request_id")
        if self._archive is not None:
            self._archive.feedback(feedback.request_id, tenant, feedback.score)
        return _json(http, {"request_id": feedback.request_id, "score": feedback.score})


def _models(upstreams: Mapping[str, Upstream]) -> dict[str, dict[str, object]]:
    """`auto`, the upstreams' names, and their models, each once."""
    created = int(time.time())
    names = ["auto", *upstreams, *(upstream.model for upstream in upstreams.values())]
    return {name: {"id": name, "object": "model", "created": created, "owned_by": "jevons"} for name in names}


def _json(http: web.Request, value: object) -> web.Response:
    headers = {"content-type": "application/json", "x-request-id": http[REQUEST_ID]}
    return web.Response(headers=headers, body=msgspec.json.encode(value))
