"""The main listener: OpenAI's surface, an allow-list of paths. Anything else is 404."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from aiohttp import web

from ..errors import BadRequest, BodyTooLarge, ModelNotFound, NotFound, RequestError, RequestTimedOut, UnsupportedEncoding
from ..exchange import Endpoint, Request, Upstream
from ..passage import Downstream
from ..pipeline import Pipeline
from ..records import RecordStore, record_json
from ..units import Seconds
from ..wire.parsing import parse
from ..wire.replies import UNREADABLE
from .connection import FastDownstream, FastPath, Incoming
from .downstream import AiohttpDownstream
from .edge import REQUEST_ID, TENANT, Keyring, admit, edge, new_request_id

PARSE_IN_THREAD_BYTES: Final = 1024 * 1024
"""Bodies above this are parsed off the loop, so that nobody else's tokens wait for them."""
_FIELD: Final = re.compile(r"(?:field `|at `\$\.)([^`]*)`$")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may send."""

    body_bytes: int = 32 * 1024 * 1024
    header_seconds: Seconds = 15.0
    body_seconds: Seconds = 120.0


class Feedback(msgspec.Struct, forbid_unknown_fields=True):
    """The body of `POST /v1/feedback`."""

    request_id: str
    score: float


class Surface:
    """The handlers of the main listener."""

    def __init__(self, pipeline: Pipeline, records: RecordStore, upstreams: Mapping[str, Upstream], limits: Limits) -> None:
        self._pipeline = pipeline
        self._records = records
        self._limits = limits
        self._models = _models(upstreams)

    def app(self, keys: Keyring | None) -> web.Application:
        """The aiohttp application."""
        app = web.Application(middlewares=[edge(keys, self._pipeline.version)], client_max_size=self._limits.body_bytes)
        for endpoint in Endpoint:
            app.router.add_post(endpoint.value, self._infer_slow)
        app.router.add_get("/v1/models", self._list_models, allow_head=False)
        app.router.add_get("/v1/models/{model:.+}", self._get_model, allow_head=False)
        app.router.add_get("/v1/energy/{request_id}", self._get_energy, allow_head=False)
        app.router.add_post("/v1/feedback", self._take_feedback)
        return app

    def fast_path(self, keys: Keyring | None, slow: Callable[[], asyncio.Protocol]) -> FastPath:
        """What a connection needs to serve plain inference requests; `slow` makes one that aiohttp serves."""
        return FastPath(
            paths=frozenset(endpoint.value.encode() for endpoint in Endpoint),
            admit=lambda headers: admit(headers.get("via", ""), headers, keys),
            handle=self._infer_fast,
            slow=slow,
            body_limit_bytes=self._limits.body_bytes,
            header_seconds=self._limits.header_seconds,
            body_seconds=self._limits.body_seconds,
        )

    async def _infer_fast(self, incoming: Incoming, downstream: FastDownstream) -> None:
        request_id = new_request_id()
        try:
            await self._infer(incoming, request_id, downstream)
        except RequestError as error:
            headers = {"content-type": "application/json", "x-request-id": request_id, "x-jevons-version": self._pipeline.version}
            await downstream.reply(error.status, {**headers, **error.headers}, error.body())

    async def _infer_slow(self, http: web.Request) -> web.StreamResponse:
        incoming = Incoming(http.path, http.headers, await self._read(http), http[TENANT])
        downstream = AiohttpDownstream(http)
        await self._infer(incoming, http[REQUEST_ID], downstream)
        if downstream.response is None:
            # The client left before anything could be said to it: aiohttp wants a response all the same.
            return web.Response(status=499)
        return downstream.response

    async def _infer(self, incoming: Incoming, request_id: str, downstream: Downstream) -> None:
        content_type = incoming.headers.get("content-type", "")
        if not (content_type.isascii() and content_type.isprintable()):
            raise BadRequest("The content type must be printable ASCII.", param="content-type")

        def parse_it() -> Request:
            return parse(
                Endpoint(incoming.path),
                content_type,
                incoming.body,
                request_id=request_id,
                tenant=incoming.tenant,
                headers=incoming.headers,
                started_at=time.time(),
            )

        is_big = len(incoming.body) > PARSE_IN_THREAD_BYTES
        await self._pipeline.handle(await asyncio.to_thread(parse_it) if is_big else parse_it(), downstream)

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

    async def _list_models(self, http: web.Request) -> web.Response:
        return _json(http, {"object": "list", "data": list(self._models.values())})

    async def _get_model(self, http: web.Request) -> web.Response:
        model = http.match_info["model"]
        if model not in self._models:
            raise ModelNotFound(model[:200])
        return _json(http, self._models[model])

    async def _get_energy(self, http: web.Request) -> web.Response:
        record = self._pipeline.record(http.match_info["request_id"], http[TENANT])
        if record is None:
            raise NotFound("No such request is known: its id is wrong, or it has been forgotten.", param="request_id")
        return _json(http, record_json(record))

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
        if not self._records.feedback(feedback.request_id, http[TENANT], feedback.score):
            raise NotFound("No finished request has this id.", param="request_id")
        return _json(http, {"request_id": feedback.request_id, "score": feedback.score})


def _models(upstreams: Mapping[str, Upstream]) -> dict[str, dict[str, object]]:
    """`auto`, the upstreams' names, and their models, each once."""
    created = int(time.time())
    names = ["auto", *upstreams, *(upstream.model for upstream in upstreams.values())]
    return {name: {"id": name, "object": "model", "created": created, "owned_by": "jevons"} for name in names}


def _json(http: web.Request, value: object) -> web.Response:
    headers = {"content-type": "application/json", "x-request-id": http[REQUEST_ID]}
    return web.Response(headers=headers, body=msgspec.json.encode(value))
