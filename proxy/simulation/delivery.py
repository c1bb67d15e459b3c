"""From the engine's tokens to the client's bytes, as a stream or as one object, with the quirks of the way."""

from __future__ import annotations

import asyncio
import json
from typing import Final

from aiohttp import web

from .answers import Token
from .asked import Json
from .engine import Ticket
from .quirks import Hang, Quirks
from .replies import Event, Job, Reply, encode_event

REQUEST_ID_HEADER: Final = "X-Request-Id"


async def deliver(request: web.Request, ticket: Ticket, job: Job, reply: Reply) -> web.StreamResponse:
    """Send the reply as its tokens come, or whole once they are all there."""
    if job.asked.stream and job.quirks.hang is not Hang.BEFORE_HEADERS:
        return await _stream(request, ticket, job, reply)
    sent = 0
    async for _index in ticket:
        sent += 1
        await _die_if_due(request, job.quirks, sent)
    return json_response(reply.whole())


def json_response(body: Json, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """JSON in UTF-8, not escaped, without spare spaces: the bytes that FastAPI sends."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return web.json_response(text=text, status=status, headers=headers)


async def _stream(request: web.Request, ticket: Ticket, job: Job, reply: Reply) -> web.StreamResponse:
    headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache", REQUEST_ID_HEADER: job.id}
    response = web.StreamResponse(headers=headers)
    await response.prepare(request)
    if job.quirks.pings:
        await response.write(b": ping\n\n")
    buffers: list[list[Token]] = [[] for _ in job.answers]
    sent = [0] * len(job.answers)
    async for index in ticket:
        events = [] if any(sent) else reply.opening()
        tokens = job.answers[index].tokens
        buffers[index].append(tokens[sent[index]])
        sent[index] += 1
        is_last = sent[index] == len(tokens)
        if is_last or len(buffers[index]) >= job.quirks.tokens_per_chunk:
            if any(count > len(buffer) for count, buffer in zip(sent, buffers, strict=True)):
                await asyncio.sleep(job.quirks.seconds_between_chunks)
            events += reply.chunk(index, buffers[index], is_last=is_last)
            buffers[index] = []
        await _write(response, events, job.quirks)
        await _die_if_due(request, job.quirks, sum(sent))
    await _write(response, reply.closing(), job.quirks)
    await response.write_eof()
    return response


async def _write(response: web.StreamResponse, events: list[Event], quirks: Quirks) -> None:
    if events:
        await response.write(b"".join(encode_event(event, uses_crlf=quirks.uses_crlf) for event in events))


async def _die_if_due(request: web.Request, quirks: Quirks, sent: int) -> None:
    """Close the socket in the middle of everything; what is in it still goes out. Losing it cancels this very request."""
    if quirks.dies_after_tokens is not None and sent >= quirks.dies_after_tokens:
        if request.transport is not None:
            request.transport.close()
        await asyncio.Event().wait()
