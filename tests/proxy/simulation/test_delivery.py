"""The bytes of a stream, and the quirks of their way."""

import aiohttp
import pytest
from simulated_upstream import MODEL, chat, until

from jevons.proxy.exchange import Reasoning
from jevons.proxy.simulation.quirks import Quirks, ReasoningField, StreamUsage

pytest_plugins = ["simulation_fixture"]

CHAT = "/v1/chat/completions"


def choices_of(events):
    return [data["choices"][0] for _, data in events if data != "[DONE]" and data["choices"]]


def text_of(events, field="content"):
    return "".join(choice["delta"].get(field, "") for choice in choices_of(events))


async def test_one_token_is_one_chunk(start_upstream):
    """Beside the role chunk there are as many chunks as completion tokens, and the text is the JSON reply's."""
    upstream = await start_upstream()
    events = await upstream.stream(CHAT, chat(max_tokens=20, stream_options={"include_usage": True}))
    _, _, whole = await upstream.post(CHAT, chat(max_tokens=20))
    assert len(choices_of(events)) == 1 + 20
    assert text_of(events) == whole["choices"][0]["message"]["content"]
    _, usage_chunk = events[-2]
    assert usage_chunk["choices"] == []
    assert usage_chunk["usage"]["completion_tokens"] == 20
    assert events[-1] == (None, "[DONE]")


async def test_the_bytes_are_utf_8_and_not_escaped(start_upstream):
    """Letters beyond ASCII travel as themselves, so a proxy that cuts bytes anywhere will cut some of them."""
    upstream = await start_upstream(thinks=Reasoning.ALWAYS)
    body = {"model": MODEL, "stream": True, **chat()}
    async with upstream.session.post(upstream.url + CHAT, json=body) as response:
        raw = await response.read()
    assert not raw.isascii()
    assert b"\\u00" not in raw


async def test_merged_tokens_lose_nothing(start_upstream):
    """Seven tokens a chunk give a seventh of the chunks and the same text; thinking and answer stay apart."""
    upstream = await start_upstream(thinks=Reasoning.ALWAYS)
    single = await upstream.stream(CHAT, chat())
    upstream.server.quirks = Quirks(tokens_per_chunk=7)
    merged = await upstream.stream(CHAT, chat())
    for field in ("content", "reasoning_content"):
        assert text_of(merged, field) == text_of(single, field)
    assert len(choices_of(merged)) < len(choices_of(single)) / 6


@pytest.mark.parametrize(
    ("usage", "where"),
    [
        (StreamUsage.ASKED, []),
        (StreamUsage.FINISH_CHUNK, [(9, 5)]),
        (StreamUsage.ZEROS, [(0, 0)] * 5 + [(9, 5)]),
        (StreamUsage.NEVER, []),
    ],
)
async def test_usage_where_the_server_puts_it(start_upstream, usage, where):
    """Without being asked, usage is in the finish chunk, in all of them as zeros, or nowhere."""
    upstream = await start_upstream(quirks=Quirks(stream_usage=usage, reports_cached_tokens=False))
    events = await upstream.stream(CHAT, chat("Hello there how", max_tokens=5))
    usages = [data["usage"] for _, data in events if data != "[DONE]" and "usage" in data]
    assert [(one["prompt_tokens"], one["completion_tokens"]) for one in usages] == where


async def test_think_tags_stay_in_the_content(start_upstream):
    """A server without a parser streams its tags as content."""
    upstream = await start_upstream(thinks=Reasoning.ALWAYS, quirks=Quirks(reasoning_field=ReasoningField.THINK_TAGS))
    events = await upstream.stream(CHAT, chat())
    assert text_of(events).startswith("<think>")
    assert "</think>" in text_of(events)


async def test_pings_and_crlf(start_upstream):
    """A comment comes first and lines end in CR LF where the server is like that."""
    upstream = await start_upstream(quirks=Quirks(pings=True, uses_crlf=True, sends_done=False))
    body = {"model": MODEL, "stream": True, **chat(max_tokens=2)}
    async with upstream.session.post(upstream.url + CHAT, json=body) as response:
        raw = await response.read()
    assert raw.startswith(b": ping\n\ndata: ")
    assert raw.count(b"\r\n\r\n") == 3
    assert b"[DONE]" not in raw


async def test_a_wait_between_chunks_lets_the_engine_run_ahead(start_upstream):
    """A slow network delays chunks, not tokens: the engine is done while the stream still comes."""
    upstream = await start_upstream(quirks=Quirks(seconds_between_chunks=0.05))
    engine = upstream.server.engine
    body = {"model": MODEL, "stream": True, **chat(max_tokens=10)}
    async with upstream.session.post(upstream.url + CHAT, json=body) as response:
        seen = await response.content.readuntil(b"\n\n")
        await until(lambda: not engine.scheduler.running)
        assert b'finish_reason":null' in seen
        assert (await response.read()).endswith(b"[DONE]\n\n")
    assert list(engine.cancelled) == []


@pytest.mark.parametrize("tokens", [1, 5])
async def test_a_server_that_dies_in_a_stream(start_upstream, tokens):
    """So many tokens come, then the connection closes without an end; the request leaves the engine."""
    upstream = await start_upstream(quirks=Quirks(dies_after_tokens=tokens))
    body = {"model": MODEL, "stream": True, **chat()}
    async with upstream.session.post(upstream.url + CHAT, json=body) as response:
        pieces = [await response.content.readuntil(b"\n\n") for _ in range(1 + tokens)]
        with pytest.raises(aiohttp.ClientPayloadError):
            pieces.append(await response.content.read())
    raw = b"".join(pieces)
    assert raw.count(b'"content":') == 1 + tokens
    assert b"[DONE]" not in raw
    assert len(upstream.server.engine.cancelled) == 1


async def test_a_server_that_dies_before_its_answer(start_upstream):
    """Without a stream the connection closes before anything came."""
    upstream = await start_upstream(quirks=Quirks(dies_after_tokens=3))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await upstream.post(CHAT, chat())
    assert len(upstream.server.engine.cancelled) == 1
