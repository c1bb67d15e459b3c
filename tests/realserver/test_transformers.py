"""The real OpenAI client, the real proxy and a real model server: `transformers serve` on random weights."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import openai
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Server
    from openai.types.chat import ChatCompletionChunk

pytestmark = [pytest.mark.realserver, pytest.mark.timeout(300)]

MESSAGES = [{"role": "user", "content": "Say hello."}]
CHAT = {"messages": MESSAGES, "temperature": 0, "max_tokens": 24}
COMPLETION = {"prompt": "Say hello.", "temperature": 0, "max_tokens": 24}
RESPONSE = {"input": "Say hello.", "temperature": 0, "max_output_tokens": 24}

SETTLED_WITHIN_SECONDS = 20.0

# What differs between any two replies of one server, and what the proxy may change or add.
VARYING = (
    (re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), b"ID"),
    (re.compile(rb'"created(_at)?":[0-9.]+'), b'"created":0'),
    (re.compile(rb'"model":"[^"]*"'), b'"model":"M"'),
)
ENERGY = re.compile(rb',\s*"energy":\s*\{[^{}]*\}')


@pytest.fixture
def client(jevons: Server) -> Iterator[openai.OpenAI]:
    """An OpenAI client of the proxy."""
    with openai.OpenAI(base_url=jevons.base_url, api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def unmetered_client(unmetered_jevons: Server) -> Iterator[openai.OpenAI]:
    """An OpenAI client of the proxy that has no device."""
    with openai.OpenAI(base_url=unmetered_jevons.base_url, api_key="none", max_retries=0) as client:
        yield client


def post(server: Server, path: str, model: str, body: dict[str, object]) -> tuple[int, bytes]:
    """Status and bytes of one reply."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    with contextlib.closing(connection):
        connection.request("POST", path, json.dumps({"model": model, **body}), {"content-type": "application/json"})
        reply = connection.getresponse()
        return reply.status, reply.read()


def comparable(reply: bytes) -> bytes:
    """A reply without what differs between any two."""
    for pattern, instead in VARYING:
        reply = pattern.sub(instead, reply)
    return reply


def record(client: openai.OpenAI, request_id: str) -> dict[str, object]:
    """What the proxy says of one request, once its energy has settled."""
    deadline = time.monotonic() + SETTLED_WITHIN_SECONDS
    while True:
        found: dict[str, object] = client.get(f"/energy/{request_id}", cast_to=object)  # type: ignore[assignment]
        if found["energy"]["status"] == "final" or time.monotonic() > deadline:  # type: ignore[index]
            return found
        time.sleep(0.1)


def energy_of(chunks: list[ChatCompletionChunk]) -> dict[str, object]:
    """The energy object of the one chunk that carries usage."""
    (usage,) = [chunk.usage for chunk in chunks if chunk.usage]
    energy: dict[str, object] = usage.model_extra["energy"]
    return energy


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/chat/completions", {**CHAT, "chat_template_kwargs": {"enable_thinking": False}}),
        ("/v1/chat/completions", {**CHAT, "stream": True, "stream_options": {"include_usage": True}}),
        ("/v1/chat/completions", {**CHAT, "stream": True}),
        ("/v1/completions", COMPLETION),
        ("/v1/completions", {**COMPLETION, "stream": True}),
        ("/v1/responses", {**RESPONSE, "stream": False}),
        ("/v1/responses", {**RESPONSE, "stream": True}),
        ("/v1/responses", RESPONSE),
    ],
    ids=[
        "chat",
        "chat-direct",
        "chat-stream",
        "chat-stream-unasked",
        "completions",
        "completions-stream-unasked",
        "responses",
        "responses-stream",
        "responses-default",
    ],
)
def test_only_energy_is_added(jevons: Server, model_server: Server, path: str, body: dict[str, object]) -> None:
    """The reply is the server's own, byte for byte, with one energy object in its usage, which this server sends unasked."""
    direct_status, direct = post(model_server, path, model_server.model, body)
    status, proxied = post(jevons, path, "tiny", body)
    without, added = ENERGY.subn(b"", proxied)
    assert (status, direct_status) == (200, 200)
    assert comparable(without) == comparable(direct)
    assert added == 1


def test_a_json_reply_tells_its_energy(client: openai.OpenAI) -> None:
    """Usage carries simulated joules with bounds, and the headers name upstream, route and request."""
    raw = client.chat.completions.with_raw_response.create(model="tiny", **CHAT)
    usage = raw.parse().usage
    energy = usage.model_extra["energy"]
    assert usage.completion_tokens == CHAT["max_tokens"]
    assert energy["method"] == "simulated"
    assert energy["low"] <= energy["joules"] <= energy["high"]
    assert energy["joules"] > 0
    assert raw.headers["x-jevons-upstream"] == "tiny"
    assert raw.headers["x-request-id"]
    assert float(raw.headers["x-jevons-energy-joules"]) > 0


def test_a_stream_tells_its_energy_where_usage_was_asked_for(client: openai.OpenAI) -> None:
    """The chunk with the usage carries the energy; the text is that of the reply in one piece."""
    with client.chat.completions.create(model="tiny", stream=True, stream_options={"include_usage": True}, **CHAT) as stream:
        chunks = list(stream)
    streamed = "".join(chunk.choices[0].delta.model_extra.get("reasoning_content") or "" for chunk in chunks if chunk.choices)
    whole = client.chat.completions.create(model="tiny", **CHAT).choices[0].message.model_extra["reasoning_content"]
    assert streamed.strip() == whole
    assert energy_of(chunks)["method"] == "simulated"
    assert energy_of(chunks)["joules"] > 0


def test_the_record_counts_reasoning_apart(client: openai.OpenAI) -> None:
    """The record, once final, has the server's token counts, and counts the reasoning that the server does not."""
    raw = client.chat.completions.with_raw_response.create(model="tiny", stream=True, **CHAT)
    with raw.parse() as stream:
        chunks = list(stream)
    (usage,) = [chunk.usage for chunk in chunks if chunk.usage]
    found = record(client, raw.headers["x-request-id"])
    assert found["outcome"] == "ok"
    assert found["upstream"] == "tiny"
    assert found["tokens"]["prompt"] == usage.prompt_tokens
    assert found["tokens"]["completion"] == usage.completion_tokens
    assert 0 < found["tokens"]["reasoning"] <= usage.completion_tokens
    assert found["energy"]["status"] == "final"
    assert found["energy"]["joules"] > 0


def test_the_tier_switches_thinking(client: openai.OpenAI) -> None:
    """On a model that can do both, the tier decides whether the answer thinks first."""
    replies = {
        tier: client.chat.completions.create(model="auto", extra_headers={"x-jevons-tier": tier}, **CHAT).choices[0].message
        for tier in ("direct", "reasoning")
    }
    assert replies["direct"].content
    assert not replies["direct"].model_extra.get("reasoning_content")
    assert replies["reasoning"].model_extra["reasoning_content"]


def test_switched_off_thinking_counts_no_reasoning(client: openai.OpenAI) -> None:
    """The blank reasoning that the server streams with thinking off, a piece of its template, is no reasoning."""
    raw = client.chat.completions.with_raw_response.create(
        model="auto", stream=True, extra_headers={"x-jevons-tier": "direct"}, **CHAT
    )
    with raw.parse() as stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert text.strip()
    assert not record(client, raw.headers["x-request-id"])["tokens"]["reasoning"]


def test_a_refused_field_is_an_openai_error(client: openai.OpenAI) -> None:
    """The server's 422 keeps its status and its words, in the shape that OpenAI clients know."""
    with pytest.raises(openai.UnprocessableEntityError, match="top_k") as refused:
        client.chat.completions.create(model="tiny", extra_body={"top_k": 3}, **CHAT)
    assert set(refused.value.body) >= {"message", "type", "code"}


def test_what_the_server_does_not_serve_is_not_found(client: openai.OpenAI) -> None:
    """An endpoint this server lacks gives its 404 as an OpenAI error."""
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="tiny", input="hello")


def test_a_client_that_leaves_is_recorded_as_cancelled(client: openai.OpenAI) -> None:
    """A stream closed in its middle is cancelled; its tokens are counted from the chunks and flagged so."""
    raw = client.chat.completions.with_raw_response.create(model="tiny", stream=True, **{**CHAT, "max_tokens": 3500})
    with raw.parse() as stream:
        for _, _chunk in zip(range(20), stream, strict=False):
            pass
    found = record(client, raw.headers["x-request-id"])
    assert found["outcome"] == "cancelled"
    assert 0 < found["tokens"]["completion"] < 3500
    assert "tokens_estimated" in found["energy"]["quality"]
    assert found["energy"]["joules"] > 0


def test_streams_side_by_side_all_pay(client: openai.OpenAI) -> None:
    """Eight streams at once each have their own answer and their own joules."""

    def ask(number: int) -> tuple[str, float]:
        body = {**CHAT, "messages": [{"role": "user", "content": f"Count to {number}."}]}
        raw = client.chat.completions.with_raw_response.create(model="tiny", stream=True, **body)
        with raw.parse() as stream:
            tokens = sum(chunk.usage.completion_tokens for chunk in stream if chunk.usage)
        assert tokens == CHAT["max_tokens"]
        request_id = raw.headers["x-request-id"]
        return request_id, record(client, request_id)["energy"]["joules"]

    with ThreadPoolExecutor(8) as pool:
        answers = dict(pool.map(ask, range(8)))
    assert len(answers) == 8
    assert all(joules > 0 for joules in answers.values())


def test_unknown_energy_is_null(unmetered_client: openai.OpenAI) -> None:
    """Without a device to read the joules are null and no header claims any; the tokens are there all the same."""
    raw = unmetered_client.chat.completions.with_raw_response.create(model="tiny", **CHAT)
    usage = raw.parse().usage
    energy = usage.model_extra["energy"]
    assert usage.completion_tokens == CHAT["max_tokens"]
    assert (energy["joules"], energy["low"], energy["high"], energy["method"]) == (None, None, None, None)
    assert "x-jevons-energy-joules" not in raw.headers
