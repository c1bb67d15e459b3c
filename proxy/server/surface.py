"""The main listener: OpenAI's surface, an allow-list of paths. Anything else is 404."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from aiohttp import web

from ..errors import BadRequest, BodyTooLarge, ModelNotFound, NotFound, RequestTimedOut, UnsupportedEncoding
from ..exchange import Endpoint, Request, Upstream
from ..pipeline import Pipeline
from ..records import RecordStore, record_json
from ..units import Seconds
from ..wire.parsing import parse
from .downstream import AiohttpDownstream
from .edge import REQUEST_ID, TENANT, Keyring, edge

PARSE_IN_THREAD_BYTES: Final = 1024 * 1024
"""Bodies above this are parsed off the loop, so that nobody else's tokens wait for them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client may send."""

    body_bytes: int = 32 * 1024 * 1024
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
        app = web.Application(middlewares=[edge(keys)], client_max_size=self._limits.body_bytes)
        for endpoint in Endpoint:
            app.router.add_post(endpoint.value, self._infer)
        app.router.add_get("/v1/models", self._list_models, allow_head=False)
        app.router.add_get("/v1/models/{model:.+}", self._get_model, allow_head=False)
        app.router.add_get("/v1/energy/{request_id}", self._get_energy, allow_head=False)
        app.router.add_post("/v1/feedback", self._take_feedback)
        return app

    async def _infer(self, http: web.Request) -> web.StreamResponse:
        body = await self._read(http)
        request = await self._parse(http, body)
        downstream = AiohttpDownstream(http)
        await self._pipeline.handle(request, downstream)
        if downstream.response is None:
            # The client left before anything could be said to it: aiohttp wants a response all the same.
            return web.Response(status=499)
        return downstream.response

    async def _read(self, http: web.Request) -> bytes:
        if http.headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedEncoding("Compressed bodies are not accepted: send the request as it is.")
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                return await http.read()
        except TimeoutError:
            raise RequestTimedOut(f"The body did not arrive in {self._limits.body_seconds:g} s.") from None
        except web.HTTPRequestEntityTooLarge:
            raise BodyTooLarge(f"The body is larger than {self._limits.body_bytes} bytes.") from None

    @staticmethod
    async def _parse(http: web.Request, body: bytes) -> Request:
        def parse_it() -> Request:
            return parse(
                Endpoint(http.path),
                http.headers.get("content-type", ""),
                body,
                request_id=http[REQUEST_ID],
                tenant=http[TENANT],
                headers=http.headers,
                started_at=time.time(),
            )

        return await asyncio.to_thread(parse_it) if len(body) > PARSE_IN_THREAD_BYTES else parse_it()

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
        try:
            feedback = msgspec.json.decode(await self._read(http), type=Feedback)
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise BadRequest(f"Expected {{request_id: string, score: number}}: {error}") from None
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
