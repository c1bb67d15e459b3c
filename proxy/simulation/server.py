"""A simulated model server: the OpenAI and Anthropic surface of vLLM over a simulated engine.

Besides that surface it serves `GET /simulation/truth/{request-id}`, the true joules of a request, and `GET /simulation/state`.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from aiohttp import ClientConnectionResetError, web

from ..errors import BadRequest, ModelNotFound, NotFound, RequestError, Unauthorized
from ..exchange import Endpoint, Reasoning, Tier
from .answers import does_think, write_answers
from .asked import Asked, Json, read_asked
from .chat_replies import ChatReply, CompletionReply, TranscriptionReply
from .delivery import REQUEST_ID_HEADER, deliver, json_response
from .engine import Engine
from .messages_reply import MessagesReply
from .prefix_cache import PrefixCache, whole_blocks
from .prompt_replies import embeddings_body, metrics_text, models_body, rerank_body
from .quirks import ErrorShape, Hang, Quirks
from .replies import Job, Reply, error_body
from .responses_reply import ResponsesReply
from .scheduler import Work

_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_BODY_BYTES: Final = 64 * 2**20
CONTEXT_TOKENS: Final = 131072
_REQUEST_ID: Final = web.RequestKey("request_id", str)
_FEW_FIELDS: Final = frozenset(
    {
        "model",
        "messages",
        "prompt",
        "input",
        "stream",
        "max_tokens",
        "temperature",
        "top_p",
        "seed",
        "stop",
        "tools",
        "tool_choice",
    }
    | {"logit_bias", "frequency_penalty", "query", "documents", "encoding_format"}
)


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came in, for tests to look at."""

    path: str
    headers: Mapping[str, str]
    body: bytes


class SimulatedServer:
    """One model behind its HTTP surface. `quirks` and `context_tokens` may be changed between requests."""

    def __init__(
        self,
        engine: Engine,
        *,
        model: str,
        thinks: Reasoning = Reasoning.NEVER,
        quirks: Quirks | None = None,
        owned_by: str = "vllm",
        api_key: str | None = None,
        remembers: int = 0,
        lengths: Mapping[Tier, Mapping[str, int]] | None = None,
        has_metrics: bool = True,
    ) -> None:
        """`lengths`: how many tokens an answer has, thinking included, by last user turn; of others as the simulation likes.

        Apart for answers that begin with thinking and for those that do not.
        """
        self.engine = engine
        self.model = model
        self.thinks = thinks
        self.quirks = quirks or Quirks()
        self.owned_by = owned_by
        self.context_tokens = CONTEXT_TOKENS
        self.received: deque[Received] = deque(maxlen=remembers)
        """The latest requests to reach a model."""
        self._api_key = api_key
        self._lengths = lengths or {}
        self._has_metrics = has_metrics
        self._created = int(time.time())
        self._prefixes = PrefixCache()
        self._responses: deque[str] = deque(maxlen=1024)
        """The ids that `previous_response_id` may name."""

    @asynccontextmanager
    async def running(self, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
        """Serve, engine included, until the block is left; gives the root of its address, without `/v1`."""
        # Without handler_cancellation a client that leaves would not stop its request: the engine would go on for nobody.
        runner = web.AppRunner(self._application(), handler_cancellation=True, shutdown_timeout=1.0, access_log=None)
        async with self.engine:
            await runner.setup()
            try:
                site = web.TCPSite(runner, host, port)
                await site.start()
                yield f"http://{host}:{runner.addresses[0][1]}"
            finally:
                await runner.cleanup()

    def _application(self) -> web.Application:
        application = web.Application(client_max_size=MAX_BODY_BYTES, middlewares=[self._guard])
        generating = (Endpoint.CHAT, Endpoint.COMPLETIONS, Endpoint.RESPONSES, Endpoint.MESSAGES)
        application.add_routes(
            [
                *(web.post(endpoint.value, self._generate) for endpoint in generating),
                web.post(Endpoint.TRANSCRIPTIONS.value, self._transcribe),
                web.post(Endpoint.COUNT_TOKENS.value, self._count_tokens),
                web.post(Endpoint.EMBEDDINGS.value, self._read_only),
                *(web.post(path, self._read_only) for path in ("/rerank", "/v1/rerank", "/v2/rerank")),
                web.get("/v1/models", self._models),
                web.get("/health", self._health),
                web.get("/version", self._version),
                web.get("/metrics", self._metrics),
                web.get("/simulation/truth/{request_id}", self._truth),
                web.get("/simulation/state", self._state),
            ]
        )
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Give every request an id, check its key, and word every error as the server would."""
        request_id = request.headers.get(REQUEST_ID_HEADER) or uuid.uuid4().hex
        request[_REQUEST_ID] = request_id
        endpoint = _endpoint(request)
        try:
            self._authorize(request)
            response = await handler(request)
        except RequestError as error:
            response = json_response(error_body(error, self.quirks.error_shape, endpoint), status=error.status)
        except web.HTTPNotFound:
            response = json_response({"detail": "Not Found"}, status=404)
        if not response.prepared:
            response.headers[REQUEST_ID_HEADER] = request_id
        return response

    def _authorize(self, request: web.Request) -> None:
        if self._api_key is not None and request.path.startswith("/v1/"):
            given = request.headers.get("Authorization", "").removeprefix("Bearer ") or request.headers.get("X-Api-Key")
            if given != self._api_key:
                raise Unauthorized("Unauthorized")

    # What reaches the model

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        body = await self._receive(request)
        if failure := self._failure(_endpoint(request), body):
            return failure
        asked = self._admit(read_asked(Endpoint(request.path), body))
        previous = body.get("previous_response_id")
        if previous is not None and previous not in self._responses:
            raise NotFound(f"Response with id '{previous}' not found.", param="response_id")
        job = self._job(request, asked)
        reply = _reply(job)
        if isinstance(reply, ResponsesReply) and body.get("store") is not False:
            self._responses.append(reply.response_id)
        return await self._answer(request, job, reply)

    async def _transcribe(self, request: web.Request) -> web.StreamResponse:
        if failure := self._failure(Endpoint.TRANSCRIPTIONS, {}):
            return failure
        form = await request.post()
        sound = form.get("file")
        if not isinstance(sound, web.FileField):
            raise BadRequest("file is required", param="file")
        seconds = 1 + len(sound.file.read()) // 32_000  # 16 kHz, 16 bit
        asked = Asked(
            Endpoint.TRANSCRIPTIONS,
            str(form.get("model")),
            (("<sound>",) * 50 * seconds,),
            stream=str(form.get("stream")).lower() == "true",
        )
        job = self._job(request, self._admit(asked))
        return await self._answer(request, job, TranscriptionReply(job))

    async def _read_only(self, request: web.Request) -> web.StreamResponse:
        """Embeddings and rerank: the prompt is read, nothing is decoded."""
        endpoint = _endpoint(request) or Endpoint.RERANK
        body = await self._receive(request)
        if failure := self._failure(endpoint, body):
            return failure
        job = self._job(request, self._admit(read_asked(endpoint, body)))
        works = [Work(len(prompt), 0) for prompt in job.asked.prompts]
        with self.engine.submit(job.id, works, is_held=self.quirks.hang is not Hang.NEVER) as ticket:
            async for _index in ticket:
                pass
        if endpoint is Endpoint.EMBEDDINGS:
            return json_response(embeddings_body(job, body.get("encoding_format")))
        return json_response(rerank_body(job, body.get("documents"), body.get("top_n")))

    async def _answer(self, request: web.Request, job: Job, reply: Reply) -> web.StreamResponse:
        works = [
            Work(len(prompt), len(job.answers[number * job.asked.n + copy].tokens), _cached(job, len(prompt), copy))
            for number, prompt in enumerate(job.asked.prompts)
            for copy in range(job.asked.n)
        ]
        with self.engine.submit(job.id, works, is_held=job.quirks.hang is not Hang.NEVER) as ticket:
            try:
                return await deliver(request, ticket, job, reply)
            except ClientConnectionResetError:  # the client has left, and the write was quicker than the news of it
                raise asyncio.CancelledError from None

    # What comes before it

    async def _receive(self, request: web.Request) -> Json:
        raw = await request.read()
        if self.received.maxlen:
            self.received.append(Received(request.path, dict(request.headers), raw))
        try:
            body = json.loads(raw)
        except ValueError as error:
            raise BadRequest(f"JSON decode error: {error}") from error
        if not isinstance(body, dict):
            raise BadRequest("the body must be a JSON object")
        return body

    def _failure(self, endpoint: Endpoint | None, body: Json) -> web.Response | None:
        """The error that a quirk demands."""
        quirks = self.quirks
        if quirks.error_status is not None:
            retry = {} if quirks.retry_after_seconds is None else {"Retry-After": str(quirks.retry_after_seconds)}
            fields = error_body(RequestError("simulated failure"), quirks.error_shape, endpoint, quirks.error_status)
            return json_response(fields, status=quirks.error_status, headers=retry)
        if quirks.refuses_unknown_fields and (unknown := body.keys() - _FEW_FIELDS):
            error = BadRequest(f"Unexpected keys in the request: {sorted(unknown)}")
            return json_response(error_body(error, ErrorShape.DETAIL), status=422)
        return None

    def _admit(self, asked: Asked) -> Asked:
        if asked.model != self.model:
            raise ModelNotFound(asked.model)
        longest = max(map(len, asked.prompts))
        if longest + (asked.max_tokens or 0) > self.context_tokens:
            limit = f"This model's maximum context length is {self.context_tokens} tokens"
            raise BadRequest(f"{limit}, but the prompt has {longest} and asks for {asked.max_tokens or 0} more.")
        tier = Tier.REASONING if does_think(asked, self.thinks, self.quirks) else Tier.DIRECT
        length = self._lengths.get(tier, {}).get(asked.last_text)
        return asked if length is None else replace(asked, min_tokens=length, max_tokens=min(length, asked.max_tokens or length))

    def _job(self, request: web.Request, asked: Asked) -> Job:
        cached = self._prefixes.match(list(asked.prompts[0])) if len(asked.prompts) == 1 else 0
        answers = write_answers(asked, self.thinks, self.quirks) if asked.endpoint.generates else []
        can_think = self.thinks is not Reasoning.NEVER
        return Job(request[_REQUEST_ID], int(time.time()), asked, answers, cached, self.quirks, can_think)

    # What the server says of itself

    async def _count_tokens(self, request: web.Request) -> web.Response:
        asked = self._admit(read_asked(Endpoint.COUNT_TOKENS, await self._receive(request)))
        return json_response({"input_tokens": asked.prompt_tokens})

    async def _models(self, _request: web.Request) -> web.Response:
        body = models_body(self.model, created=self._created, owned_by=self.owned_by, context_tokens=self.context_tokens)
        return json_response(body)

    async def _health(self, _request: web.Request) -> web.Response:
        return web.Response()

    async def _version(self, _request: web.Request) -> web.Response:
        if self.owned_by != "vllm":
            raise web.HTTPNotFound
        return json_response({"version": "0.0.0+simulated"})

    async def _metrics(self, _request: web.Request) -> web.Response:
        if not self._has_metrics:
            raise web.HTTPNotFound
        return web.Response(text=metrics_text(self.engine.scheduler, self.model))

    async def _truth(self, request: web.Request) -> web.Response:
        request_id = request.match_info["request_id"]
        joules = self.engine.scheduler.truth.get(request_id)
        if joules is None:
            raise NotFound(f"no request {request_id!r} was ever here")
        return json_response({"request_id": request_id, "joules": joules})

    async def _state(self, _request: web.Request) -> web.Response:
        scheduler = self.engine.scheduler
        state = {"model": self.model, "running": scheduler.running, "waiting": scheduler.waiting, "steps": scheduler.steps}
        return json_response({**state, "joules": scheduler.joules, "cancelled": list(self.engine.cancelled)})


def _endpoint(request: web.Request) -> Endpoint | None:
    """None for what is no model's business; rerank answers at several paths."""
    path = "/v1/rerank" if request.path in {"/rerank", "/v2/rerank"} else request.path
    return Endpoint(path) if path in {endpoint.value for endpoint in Endpoint} else None


def _reply(job: Job) -> Reply:
    match job.asked.endpoint:
        case Endpoint.CHAT:
            return ChatReply(job)
        case Endpoint.COMPLETIONS:
            return CompletionReply(job)
        case Endpoint.RESPONSES:
            return ResponsesReply(job)
        case Endpoint.MESSAGES:
            return MessagesReply(job)
        case _:
            return TranscriptionReply(job)


def _cached(job: Job, prompt_tokens: int, copy: int) -> int:
    """What of a prompt need not be read again: for the second of `n` answers that is every whole block of it."""
    return whole_blocks(prompt_tokens) if copy else min(job.cached_tokens, prompt_tokens - 1)
