"""What a client gets is what the upstream sent, byte for byte, but for the usage and its energy; and how a reply breaks off."""

import asyncio
import gzip
import json
import re

import pytest
from proxy_client import BODIES, CHAT
from scripted_upstream import chunk, http_reply, replies, stream_head, streams

from jevons.proxy.exchange import Reasoning
from jevons.proxy.simulation.quirks import Quirks, ReasoningCount, ReasoningField, StreamUsage

pytest_plugins = ["proxy_fixture"]

ENERGY = re.compile(rb',"energy":\{[^{}]*\}')
ASKING = {"/v1/chat/completions", "/v1/completions"}
SERVERS = {
    "vllm": Quirks(reasoning_field=ReasoningField.REASONING),
    "sglang": Quirks(reasoning_count=ReasoningCount.FLAT, reports_cached_tokens=False),
    "llama.cpp": Quirks(reasoning_count=ReasoningCount.NONE, pings=True, tokens_per_chunk=3),
    "ollama": Quirks(
        reasoning_field=ReasoningField.REASONING, reasoning_count=ReasoningCount.NONE, stream_usage=StreamUsage.ZEROS
    ),
    "transformers": Quirks(
        stream_usage=StreamUsage.FINISH_CHUNK, sends_done=False, refuses_unknown_fields=True, reasoning_count=ReasoningCount.NONE
    ),
    "openai": Quirks(reasoning_field=ReasoningField.THINK_TAGS, uses_crlf=True),
}


def without_usage_chunk(events):
    """The stream less the chunk that has no choice."""
    return re.sub(rb'data: \{[^\n]*"choices":\[\],[^\n]*\n\n|data: \{[^\r]*"choices":\[\],[^\r]*\r\n\r\n', b"", events)


def slowly(*events):
    """A script that streams each event in a block of its own."""

    async def script(call):
        await call.send(stream_head())
        for event in filter(None, events):
            await call.send(chunk(event))
            await asyncio.sleep(0.02)
        await call.send(chunk(b""))

    return script


def count(sent):
    """The tokens of the answer by the server's own last count."""
    return int(re.findall(rb'"(?:completion|output)_tokens":(\d+)', sent)[-1])


@pytest.fixture
async def tapped(start_upstream, start_tap, start_proxy):
    """A proxy before a simulated server whose every byte is kept: (proxy, server, tap)."""

    async def start(quirks, dialect="vllm", **options):
        upstream = await start_upstream(quirks=quirks, remembers=10, **options)
        tap = await start_tap(upstream)
        proxy = await start_proxy({"url": tap.url, "dialect": dialect})
        await proxy.ready()
        tap.take_body()
        return proxy, upstream.server, tap

    return start


@pytest.mark.parametrize("server", SERVERS)
async def test_a_stream_is_what_the_server_sent_and_energy(tapped, server):
    """Whatever the server and the endpoint: the client's bytes are the server's, less what only we asked for."""
    proxy, _, tap = await tapped(SERVERS[server], server, thinks=Reasoning.ALWAYS)
    for path, body in BODIES.items():
        for options in ({}, {"stream_options": {"include_usage": True}}):
            if options and (path not in ASKING or server == "transformers"):
                continue
            reply = await proxy.post(path, {**body, "max_tokens": 40, "stream": True, **options})
            assert reply.status == 200
            sent = tap.take_body()
            has_usage = bool(options) or path not in ASKING or server == "transformers"
            assert ENERGY.sub(b"", reply.body) == (sent if has_usage else without_usage_chunk(sent))
            assert len(ENERGY.findall(reply.body)) == has_usage
            record = await proxy.energy(reply.id)
            assert record["outcome"] == "ok"
            assert record["tokens"]["completion"] == count(sent) == 40


@pytest.mark.parametrize("server", SERVERS)
async def test_a_whole_reply_is_what_the_server_sent_and_energy(tapped, server):
    """The JSON is the server's, byte for byte, but for `usage.energy`."""
    proxy, _, tap = await tapped(SERVERS[server], server, thinks=Reasoning.ALWAYS)
    for path, body in BODIES.items():
        reply = await proxy.post(path, {**body, "max_tokens": 40})
        assert reply.status == 200
        sent = tap.take_body()
        assert ENERGY.sub(b"", reply.body) == sent
        assert reply.json["usage"]["energy"]["status"] == "provisional"
        assert (await proxy.energy(reply.id))["tokens"]["completion"] == count(sent) == 40


@pytest.mark.parametrize("server", SERVERS)
async def test_thoughts_are_counted_apart(tapped, server):
    """In its own field or between tags, counted by the server or not: a stream's reasoning tokens are known."""
    proxy, _, tap = await tapped(SERVERS[server], server, thinks=Reasoning.ALWAYS)
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "stream": True})
    sent = tap.take_body()
    thoughts = re.findall(rb'"reasoning(?:_content)?":"', sent) or re.findall(rb'"content":"', sent.partition(b"</think>")[0])[1:]
    tokens = (await proxy.energy(reply.id))["tokens"]
    assert tokens["completion"] == count(sent)
    assert tokens["reasoning"] == pytest.approx(len(thoughts) * SERVERS[server].tokens_per_chunk, abs=5)


ODD_JSON = (
    '{"id":"x","choices":[ {"index" : 0,"message":{"content":"caf\\u00e9 ☕ \\ud83d\\ude00 \\u007f","tiny":1e-7,"exact":1.0,'
    '"big":123456789012345678901234567890,"twice":{"a":1,"a":2}} } ],"nothing":null,'
    '"usage":{"prompt_tokens":3,"total_tokens":7,"completion_tokens":4,"cost":0.10}}'
).encode()


async def test_values_that_python_would_rewrite_stay_as_they_were(start_scripted, start_proxy):
    """Escapes, floats, big integers, repeated names and white space within values come through as they came."""
    upstream = await start_scripted(replies(http_reply(ODD_JSON)))
    proxy = await start_proxy(upstream)
    reply = await proxy.post(CHAT, BODIES[CHAT])
    assert ENERGY.sub(b"", reply.body) == ODD_JSON
    assert (await proxy.energy(reply.id))["tokens"]["completion"] == 4


@pytest.mark.parametrize("body", [b'{"id": "x",  "choices": []}', b"Hello", b"[1, 2]", b"", b'{"usage": null }'])
async def test_a_reply_without_usage_is_not_touched(start_scripted, start_proxy, body):
    """Where there is no usage to put the energy into, the bytes are the server's."""
    upstream = await start_scripted(replies(http_reply(body)))
    proxy = await start_proxy(upstream)
    reply = await proxy.post(CHAT, BODIES[CHAT])
    assert (reply.status, reply.body) == (200, body)


ODD_STREAM = (
    b": a comment\n\nid: 7\nevent: x\nretry: 3\n\n"
    b'data: {"choices": [{"index": 0, "delta": {"content": "caf\xc3\xa9 \\u2615", "tiny": 1e-7}}]}\n\n'
    b'data: {"choices":[{"delta":{"content":"\\"usage\\":{\\"error\\""},"index":0}]}\r\n\r\n'
    b'data:{"choices":[{"delta":{},"index":0,"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


@pytest.mark.parametrize("size", [1, 7, 4096])
async def test_a_stream_comes_through_however_it_is_cut(start_scripted, start_proxy, size):
    """Comments, fields of every kind and all line ends arrive as they were sent, in blocks of any size."""
    blocks = [ODD_STREAM[start : start + size] for start in range(0, len(ODD_STREAM), size)]
    upstream = await start_scripted(streams(*blocks))
    proxy = await start_proxy(upstream)
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "stream": True})
    assert reply.body == ODD_STREAM
    record = await proxy.energy(reply.id)
    assert record["tokens"]["completion"] == 2
    assert "tokens_estimated" in record["energy"]["quality"]


async def test_events_are_passed_on_as_they_come(start_scripted, start_proxy):
    """An event reaches the client while the server still thinks about the next."""
    event = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'

    async def script(call):
        await call.send(stream_head(), chunk(event))
        await call.forever()

    proxy = await start_proxy(await start_scripted(script))
    async with proxy.dial() as client:
        await client.post(CHAT, {**BODIES[CHAT], "stream": True})
        await client.reply_head()
        assert await client.reader.readexactly(len(chunk(event))) == chunk(event)


async def test_usage_in_every_chunk_is_read_to_its_last(tapped):
    """`continuous_usage_stats`: the bytes stay, the last count holds, and energy is on the chunks that end something."""
    proxy, _, tap = await tapped(Quirks())
    options = {"include_usage": True, "continuous_usage_stats": True}
    for n in (1, 2):
        body = {**BODIES[CHAT], "max_tokens": 20, "stream": True, "stream_options": options, "n": n}
        reply = await proxy.post(CHAT, body, {"x-jevons-energy": "final"})
        assert ENERGY.sub(b"", reply.body) == tap.take_body()
        assert (await proxy.energy(reply.id))["tokens"]["completion"] == 20 * n
        energies = [json.loads(found.removeprefix(b',"energy":')) for found in ENERGY.findall(reply.body)]
        assert len(energies) == n + 1
        assert energies[-1]["status"] == "final"


@pytest.mark.parametrize("has_last", [True, False])
async def test_the_first_answer_to_end_does_not_end_the_request(start_scripted, start_proxy, has_last):
    """Two answers side by side, each with the usage so far on its last chunk: the request goes on, and the last count holds."""
    first = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}],"usage":{"completion_tokens":1}}\n\n'
    more = b'data: {"choices":[{"index":1,"delta":{"content":"b"},"finish_reason":null}]}\n\n'
    second = b'data: {"choices":[{"index":1,"delta":{"content":"c"},"finish_reason":"stop"}],"usage":{"completion_tokens":3}}\n\n'
    last = b'data: {"choices":[],"usage":{"completion_tokens":4}}\n\n' if has_last else b""
    proxy = await start_proxy(await start_scripted(slowly(first, more, second, last)))
    async with asyncio.timeout(5):
        body = {**BODIES[CHAT], "n": 2, "stream": True, "stream_options": {"include_usage": True}}
        reply = await proxy.post(CHAT, body, {"x-jevons-energy": "final"})
    assert ENERGY.sub(b"", reply.body) == first + more + second + last
    record = await proxy.settled(reply.id)
    assert record["tokens"]["completion"] == (4 if has_last else 3)
    last_energy = json.loads(ENERGY.findall(reply.body)[-1].removeprefix(b',"energy":'))
    assert last_energy["status"] == ("final" if has_last else "provisional")


async def test_tokens_of_a_silent_server_are_counted_and_said_to_be(tapped):
    """A server that never sends usage: the stream's deltas are counted and flagged; of a JSON reply nothing is claimed."""
    proxy, _, tap = await tapped(Quirks(stream_usage=StreamUsage.NEVER))
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 30, "stream": True})
    assert reply.body == tap.take_body()
    record = await proxy.settled(reply.id)
    assert record["tokens"] == {"prompt": None, "cached": None, "reasoning": None, "completion": 30}
    assert "tokens_estimated" in record["energy"]["quality"]
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 30})
    assert reply.body == tap.take_body()
    record = await proxy.settled(reply.id)
    assert record["tokens"] == {"prompt": None, "cached": None, "reasoning": None, "completion": None}
    assert "tokens_estimated" in record["energy"]["quality"]


async def test_a_reply_streams_where_the_server_streams_unasked(start_scripted, start_proxy):
    """Whether it is a stream is read off the reply; energy is added where the usage is."""
    events = (
        b'event: response.created\ndata: {"type":"response.created","response":{"id":"resp_1","usage":null}}\n\n'
        b'data: {"type":"response.output_text.delta","delta":"Hi"}\n\n'
        b'data: {"type":"response.completed","response":{"id":"resp_1","usage":{"input_tokens":3,"output_tokens":1}}}\n\n'
    )
    proxy = await start_proxy(await start_scripted(streams(events)))
    reply = await proxy.post("/v1/responses", BODIES["/v1/responses"])
    assert reply.headers["content-type"] == "text/event-stream"
    assert ENERGY.sub(b"", reply.body) == events
    assert len(ENERGY.findall(reply.body)) == 1
    assert (await proxy.energy(reply.id))["tokens"]["completion"] == 1


async def test_a_compressed_reply_is_unpacked(start_scripted, start_proxy):
    """A server that compresses although it was asked not to: the client gets what it can read."""
    packed = gzip.compress(ODD_JSON)
    proxy = await start_proxy(await start_scripted(replies(http_reply(packed, headers="content-encoding: gzip\r\n"))))
    reply = await proxy.post(CHAT, BODIES[CHAT])
    assert "content-encoding" not in reply.headers
    assert ENERGY.sub(b"", reply.body) == ODD_JSON


async def test_only_a_streamed_answer_has_a_first_token(tapped):
    """Of a reply that came whole nobody knows when its first token was there."""
    proxy, _, _ = await tapped(Quirks())
    await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 5})
    assert (await proxy.metrics())["jevons_time_to_first_token_seconds_count"]["chat",] == 0
    await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 5, "stream": True})
    assert (await proxy.metrics())["jevons_time_to_first_token_seconds_count"]["chat",] == 1
