"""Anthropic's Messages API on a local port, for litellm's adapter: whole and streamed, text and a tool's call, errors.

The shapes are those of the provider's public documentation, version 2023-06-01: messages, streaming messages, errors.
"""

from __future__ import annotations

import asyncio
import json

from aiohttp import web

PATH = "/v1/messages"
USAGE = {"input_tokens": 50, "output_tokens": 70, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
TOOL = {"city": "Lima"}
"""What the tool is called with."""
KINDS = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
KINDS |= {500: "api_error", 529: "overloaded_error"}


def refusal(status, headers):
    """An error; its message repeats the key, as no provider should."""
    message = f"no, and the key is {headers.get('x-api-key')}"
    body = {"type": "error", "error": {"type": KINDS.get(status, "api_error"), "message": message}, "request_id": "req_1"}
    return web.json_response(body, status=status, headers={"retry-after": "7"})


def whole(body):
    """A whole message: a text, and where the request has tools a call of the first."""
    content = [{"type": "text", "text": "hello there"}]
    if body.get("tools"):
        content.append({"type": "tool_use", "id": "toolu_1", "name": body["tools"][0]["name"], "input": TOOL})
    return web.json_response(_message(body, content, _reason(body), USAGE))


async def stream(body, write, words, *, breaks=False):
    """A streamed one of that many words: content blocks begin, grow and end, then come the reason and the usage.

    One that `breaks` ends with an event that says so, behind its words.
    """
    await write(_event("message_start", message=_message(body, [], None, {**USAGE, "output_tokens": 1})))
    await write(_event("content_block_start", index=0, content_block={"type": "text", "text": ""}) + _event("ping"))
    for number in range(words):
        await write(_event("content_block_delta", index=0, delta={"type": "text_delta", "text": f"w{number} "}))
        await asyncio.sleep(0.01)
    if breaks:
        await write(_event("error", error={"type": "overloaded_error", "message": "Overloaded"}))
        return
    await write(_event("content_block_stop", index=0))
    if body.get("tools"):
        name = body["tools"][0]["name"]
        await write(
            _event("content_block_start", index=1, content_block={"type": "tool_use", "id": "toolu_1", "name": name, "input": {}})
        )
        text = json.dumps(TOOL)
        for part in ("", text[:6], text[6:]):
            await write(_event("content_block_delta", index=1, delta={"type": "input_json_delta", "partial_json": part}))
        await write(_event("content_block_stop", index=1))
    await write(_event("message_delta", delta={"stop_reason": _reason(body), "stop_sequence": None}, usage={"output_tokens": 70}))
    await write(_event("message_stop"))


def _message(body, content, reason, usage):
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": content}
    return {**head, "stop_reason": reason, "stop_sequence": None, "usage": usage}


def _reason(body):
    return "tool_use" if body.get("tools") else "end_turn"


def _event(kind, **fields):
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()
