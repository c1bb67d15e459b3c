"""Whole replies that are asked for as streams: the client sees no difference, and metering sees the tokens."""

import json

import pytest
from proxy_client import BODIES, CHAT
from scripted_upstream import http_reply, in_turn, replies, streams

from jevons.proxy.simulation.quirks import Quirks, StreamUsage

pytest_plugins = ["proxy_fixture"]

WHOLE = {
    "id": "w",
    "object": "chat.completion",
    "created": 1,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Yes."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


def event(**fields):
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def reassembled(upstream):
    return {"url": upstream.url, "reassemble": True}


def comparable(reply):
    """A reply without what differs from one to the next: its identity, its energy, and what the server had cached."""
    reply = {name: value for name, value in reply.items() if name not in {"id", "created"}}
    reply["usage"] = {name: count for name, count in reply["usage"].items() if name not in {"energy", "prompt_tokens_details"}}
    return reply


def streamed(upstream):
    return [json.loads(one.body).get("stream", False) for one in upstream.server.received]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
async def test_the_client_sees_no_difference(start_upstream, start_proxy, path):
    """The first reply is asked for as it is, the next as a stream; both say what the server says to the same request."""
    upstream = await start_upstream(remembers=9)
    proxy = await start_proxy(reassembled(upstream))
    body = {**BODIES[path], "stream": False}
    replies = [await proxy.post(path, body) for _ in range(3)]
    assert streamed(upstream) == [False, True, True]
    first, *others = [comparable(reply.json) for reply in replies]
    assert others == [first, first]
    assert {reply.headers["content-type"].split(";")[0] for reply in replies} == {"application/json"}
    energy = (await proxy.settled(replies[-1].id))["energy"]
    assert energy["joules"] > 0
    assert "tokens_estimated" not in energy["quality"]


async def test_off_unless_asked_for(start_upstream, start_proxy):
    """Without the switch every request goes as the client sent it."""
    upstream = await start_upstream(remembers=9)
    proxy = await start_proxy(upstream)
    for _ in range(3):
        await proxy.post(CHAT, BODIES[CHAT])
    assert streamed(upstream) == [False, False, False]


async def test_streams_stay_streams(start_upstream, start_proxy):
    """A client that streams gets its stream."""
    upstream = await start_upstream(remembers=9)
    proxy = await start_proxy(reassembled(upstream))
    await proxy.post(CHAT, BODIES[CHAT])
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "stream": True})
    assert reply.headers["content-type"].startswith("text/event-stream")


async def test_a_server_without_usage_in_streams_is_left_alone(start_upstream, start_proxy):
    """A stream that cannot say what the whole reply says is the last one: from then on replies are asked for whole."""
    upstream = await start_upstream(remembers=9, quirks=Quirks(refuses_unknown_fields=True))
    proxy = await start_proxy(reassembled(upstream))
    for _ in range(4):
        assert (await proxy.post(CHAT, BODIES[CHAT])).status == 200
    assert streamed(upstream)[-1] is False


async def test_usage_in_the_last_chunk_will_do(start_upstream, start_proxy):
    """A server that sends its usage unasked, with the finish reason, is reassembled as well."""
    upstream = await start_upstream(remembers=9, quirks=Quirks(stream_usage=StreamUsage.FINISH_CHUNK))
    proxy = await start_proxy(reassembled(upstream))
    first, second = [(await proxy.post(CHAT, BODIES[CHAT])).json for _ in range(2)]
    assert streamed(upstream) == [False, True]
    assert comparable(second) == comparable(first)


async def test_a_server_that_does_not_stream_is_believed(start_scripted, start_proxy):
    """Asked for a stream and answering whole, a server's reply goes through as it is."""
    upstream = await start_scripted(replies(http_reply(json.dumps(WHOLE).encode())))
    proxy = await start_proxy(reassembled(upstream))
    for _ in range(2):
        assert comparable((await proxy.post(CHAT, BODIES[CHAT])).json) == comparable(WHOLE)


@pytest.mark.parametrize(
    "events",
    [
        (event(choices=[{"index": 0, "delta": {"content": "Y"}}]), event(error={"message": "out of memory"})),
        (event(choices=[{"index": 0, "delta": {"content": "Y"}}]),),
    ],
)
async def test_a_stream_that_fails_is_an_error(start_scripted, start_proxy, events):
    """What would have been half an answer is a 502, as it is for a whole reply that breaks off."""
    upstream = await start_scripted(in_turn(replies(http_reply(json.dumps(WHOLE).encode())), streams(*events)))
    proxy = await start_proxy(reassembled(upstream))
    assert (await proxy.post(CHAT, BODIES[CHAT])).status == 200
    assert (await proxy.post(CHAT, BODIES[CHAT])).status == 502
