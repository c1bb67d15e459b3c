"""Providers as litellm's adapters speak to them, on a local port: OpenAI's, Ollama's own chat and Anthropic's messages."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import anthropic_messages
import pytest
from aiohttp import web

from jevons.proxy.upstreams.litellm_library import find_problem

PROBLEM = find_problem()
needs_litellm = pytest.mark.skipif(PROBLEM is not None, reason=f"{PROBLEM} (`make test-litellm` has it)")
USAGE = {"prompt_tokens": 50, "completion_tokens": 70, "total_tokens": 120}


class Provider:
    """Answers by the last message: a status, `long`, `break`, or anything else."""

    def __init__(self):
        self.calls = []
        self.has_left = asyncio.Event()
        self.url = ""

    @asynccontextmanager
    async def running(self):
        """Listen until the block is left."""
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._openai)
        app.router.add_post("/api/chat", self._ollama)
        app.router.add_post(anthropic_messages.PATH, self._anthropic)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _read(self, request):
        body = await request.json()
        self.calls.append((request.headers.get("authorization") or request.headers.get("x-api-key"), body))
        return body, body["messages"][-1]["content"]

    async def _openai(self, request):
        body, word = await self._read(request)
        if isinstance(word, str) and word.isdigit():
            error = {"error": {"message": f"no, and the key is {request.headers['authorization']}", "type": "x", "code": "y"}}
            return web.json_response(error, status=int(word), headers={"retry-after": "7"})
        if not body.get("stream"):
            message = {"role": "assistant", "content": "hello there"}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            whole = {"id": "x", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
            return web.json_response({**whole, "usage": USAGE})
        return await self._stream(request, word, "text/event-stream", _openai_chunk, _OPENAI_END)

    async def _ollama(self, request):
        body, word = await self._read(request)
        end = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": "hello there"}}
        end |= {"done": True, "done_reason": "stop", "prompt_eval_count": 50, "eval_count": 70}
        if not body.get("stream"):
            return web.json_response(end)
        end["message"]["content"] = ""
        return await self._stream(request, word, "application/x-ndjson", _ollama_chunk, json.dumps(end).encode() + b"\n")

    async def _anthropic(self, request):
        body, content = await self._read(request)
        assert request.headers["anthropic-version"] == "2023-06-01"
        word = content if isinstance(content, str) else content[-1].get("text", "")
        if word.isdigit():
            return anthropic_messages.refusal(int(word), request.headers)
        if not body.get("stream"):
            return anthropic_messages.whole(body)
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        try:
            await anthropic_messages.stream(body, response.write, 100_000 if word == "long" else 4, breaks=word == "break")
        except (ConnectionError, asyncio.CancelledError):
            self.has_left.set()
            raise
        return response

    async def _stream(self, request, word, kind, chunk, end):
        response = web.StreamResponse(headers={"content-type": kind})
        await response.prepare(request)
        try:
            for number in range(100_000 if word == "long" else 4):
                await response.write(chunk(f"w{number} "))
                await asyncio.sleep(0.01)
                if word == "break" and number == 1:
                    request.transport.close()
                    return response
        except (ConnectionError, asyncio.CancelledError):
            self.has_left.set()
            raise
        await response.write(end)
        return response


def _openai_chunk(text, finish=None, **more):
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    chunk = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


_OPENAI_END = _openai_chunk("", "stop") + _openai_chunk("", choices=[], usage=USAGE) + b"data: [DONE]\n\n"


def _ollama_chunk(text):
    message = {"role": "assistant", "content": text}
    return json.dumps({"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": False}).encode() + b"\n"
