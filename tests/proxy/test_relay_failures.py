"""How a reply breaks off, and what is told of it: errors in OpenAI's shape, and no clean end of half an answer."""

import asyncio
import json
from itertools import product

import openai
import pytest
from proxy_client import BODIES, CHAT
from scripted_upstream import chunk, http_reply, replies, stream_head, streams, unchunk
from simulated_upstream import parse_events, until

from jevons.proxy.simulation.quirks import ErrorShape, Hang, Quirks

pytest_plugins = ["proxy_fixture"]

FIRST = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":null}]}\n\n'
LAST = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


async def stream_raw(proxy, path=CHAT, **fields):
    """What a socket sees of a stream until it is closed: (body, whether it came to its end, id)."""
    async with proxy.dial() as client:
        await client.post(path, {**BODIES[path], "stream": True, **fields}, {"connection": "close"})
        status, headers = await client.reply_head()
        assert status == 200
        async with asyncio.timeout(5):
            return *unchunk(await client.reader.read(-1)), headers["x-request-id"]


def breaks_off(*blocks):
    """A script that streams these blocks and closes without the last chunk."""

    async def script(call):
        await call.send(stream_head(), *map(chunk, blocks))
        await asyncio.sleep(0.05)  # what has not been read when a connection breaks is lost
        call.writer.close()

    return script


def told(path, body):
    """The error in the last event of a broken stream: (type or code, message)."""
    name, data = parse_events(body)[-1]
    if path == "/v1/messages":
        assert (name, data["type"]) == ("error", "error")
        return data["error"]["type"], data["error"]["message"]
    if path == "/v1/responses":
        assert (name, data["type"]) == ("error", "error")
        return data["code"], data["message"]
    assert data.keys() == {"error"}
    return data["error"]["code"], data["error"]["message"]


@pytest.mark.parametrize("path", BODIES)
async def test_an_upstream_that_dies_in_mid_stream_gives_an_error_and_no_clean_end(start_upstream, start_proxy, path):
    """The client gets what there was, an error event of its own kind, and a connection that closes without the last chunk."""
    upstream = await start_upstream(quirks=Quirks(dies_after_tokens=8))
    proxy = await start_proxy(upstream)
    body, is_whole, request_id = await stream_raw(proxy, path)
    assert not is_whole
    assert told(path, body) == ("upstream_error", "Upstream 'chat' broke off its reply: the connection was closed.")
    record = await proxy.settled(request_id)
    assert record["outcome"] == "upstream_error"
    assert record["tokens"]["completion"] == 8
    assert record["energy"]["joules"] > 0
    assert await proxy.in_flight() == 0


async def test_the_openai_client_notices_that_the_upstream_died(start_upstream, start_proxy):
    """It raises, and does not take half an answer for all of it."""
    upstream = await start_upstream(quirks=Quirks(dies_after_tokens=8))
    proxy = await start_proxy(upstream)
    async with openai.AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key="none", max_retries=0) as client:
        stream = await client.chat.completions.create(model="auto", messages=BODIES[CHAT]["messages"], stream=True)
        with pytest.raises(openai.APIError, match="broke off its reply"):
            async for _ in stream:
                pass


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ([FIRST], "ended its stream in the middle of the answer."),
        ([], "ended its stream in the middle of the answer."),
        ([FIRST, b'data: {"error": "out of "memory""}\n\n'], 'in the middle of the answer: out of "memory'),
    ],
    ids=["no-end", "nothing", "unescaped-error"],
)
async def test_a_stream_that_ends_in_the_middle_is_broken(start_scripted, start_proxy, blocks, reason):
    """An upstream that closes in good order without having finished has not finished."""
    proxy = await start_proxy(await start_scripted(streams(*blocks)))
    body, is_whole, request_id = await stream_raw(proxy)
    assert not is_whole
    assert body.startswith(b"".join(blocks))
    assert reason in json.loads(body.rpartition(b"data: ")[2])["error"]["message"]
    assert (await proxy.energy(request_id))["outcome"] == "upstream_error"


async def test_half_an_event_is_not_passed_on(start_scripted, start_proxy):
    """What was cut off in the middle of an event is dropped: the error stands on a line of its own."""
    proxy = await start_proxy(await start_scripted(breaks_off(FIRST, b'data: {"cho')))
    body, is_whole, _ = await stream_raw(proxy)
    assert body.startswith(FIRST + b'data: {"error":')
    assert not is_whole


async def test_an_event_too_long_to_hold_is_ended_before_the_error(start_scripted, start_proxy):
    """A line of five megabytes is passed on as it comes; where it breaks off, the error still is an event."""
    long = b'data: {"choices":[{"delta":{"content":"' + b"x" * (5 * 2**20)
    proxy = await start_proxy(await start_scripted(breaks_off(long)))
    body, _, _ = await stream_raw(proxy)
    assert body.startswith(long + b'\n\ndata: {"error":')


@pytest.mark.parametrize("shape", ["said", "said-and-done"])
async def test_an_error_that_the_server_streams_is_passed_on(start_scripted, start_proxy, shape):
    """The server's own words reach the client, and the request has failed whether the stream then ends well or not."""
    error = b'data: {"error":{"message":"out of memory","type":"server_error","param":null,"code":500}}\n\n'
    blocks = [FIRST, error, DONE] if shape == "said-and-done" else [FIRST, error]
    proxy = await start_proxy(await start_scripted(streams(*blocks)))
    body, is_whole, request_id = await stream_raw(proxy)
    assert body.startswith(b"".join(blocks))
    assert is_whole == (shape == "said-and-done")
    assert (await proxy.energy(request_id))["outcome"] == "upstream_error"


@pytest.mark.parametrize("path", BODIES)
async def test_a_stream_that_falls_silent_is_given_up(start_upstream, start_proxy, path):
    """After `idle_seconds` without a byte: an error event that says so, no clean end, and the server is let go."""
    upstream = await start_upstream(quirks=Quirks(hang=Hang.BEFORE_FIRST_CHUNK))
    proxy = await start_proxy({"url": upstream.url, "timeouts": {"idle_seconds": 0.1}})
    body, is_whole, request_id = await stream_raw(proxy, path)
    assert not is_whole
    code, message = told(path, body)
    assert code in {"upstream_timeout", "upstream_error"}
    assert message == "Upstream 'chat' sent nothing for 0.1 s."
    async with asyncio.timeout(1):
        await until(lambda: request_id in upstream.server.engine.cancelled)


def half(call_body):
    """A JSON reply that is shorter than it says."""
    return http_reply(call_body).removesuffix(call_body[-5:])


async def hangs(call):
    """A script that never answers."""
    await call.forever()


async def hangs_in_the_middle(call):
    """A script that never ends its answer."""
    await call.send(half(b'{"id":"x","choices":[]}'))
    await call.forever()


async def dies(call):
    """A script that closes without a word."""
    call.writer.close()


async def dies_in_the_middle(call):
    """A script that closes within its answer."""
    await call.send(half(b'{"id":"x","choices":[]}'))
    call.writer.close()


async def dies_in_chunks(call):
    """A script that closes within an answer of unknown length."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    await call.send(head, chunk(b'{"id":"x",'))
    call.writer.close()


@pytest.mark.parametrize(
    ("script", "status", "code", "message"),
    [
        (dies, 502, "upstream_error", "Upstream 'chat' broke off before it answered: the connection was closed."),
        (dies_in_the_middle, 502, "upstream_error", "Upstream 'chat' broke off its reply: the connection was closed."),
        (dies_in_chunks, 502, "upstream_error", "Upstream 'chat' broke off its reply: the connection was closed."),
        (hangs, 504, "upstream_timeout", "Upstream 'chat' did not answer in 0.2 s."),
        (hangs_in_the_middle, 504, "upstream_timeout", "Upstream 'chat' sent nothing for 0.1 s."),
        (replies(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), 502, "upstream_error", None),
        (
            replies(http_reply(b"", 307, headers="location: http://127.0.0.1:1/elsewhere\r\n")),
            502,
            "upstream_error",
            "Upstream 'chat' answered 307, which is no answer: is its url right?",
        ),
    ],
    ids=["dies", "dies-in-json", "dies-in-chunks", "hangs", "hangs-in-json", "no-http", "redirects"],
)
@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_reply_that_never_comes_is_an_error(start_scripted, start_proxy, script, status, code, message, stream):
    """Before the client has seen anything, what goes wrong behind us is a 502 or 504 in OpenAI's shape, and is charged."""
    upstream = await start_scripted(script)
    proxy = await start_proxy({"url": upstream.url, "timeouts": {"first_byte_seconds": 0.2, "idle_seconds": 0.1}})
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "stream": stream})
    assert reply.status == status
    assert reply.error["code"] == code
    assert reply.error["type"] == "upstream_error"
    assert message is None or reply.error["message"] == message
    assert reply.headers["x-jevons-upstream"] == "chat"
    record = await proxy.energy(reply.id)
    assert record["outcome"] == "upstream_error"
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["upstream_error"]
    assert await proxy.in_flight() == 0


@pytest.mark.parametrize("status", [400, 404, 429, 503])
async def test_the_servers_errors_keep_their_status(start_upstream, start_proxy, status):
    """Whatever words a server has for it, the client gets OpenAI's shape, the status, and when to come again."""
    upstream = await start_upstream()
    proxy = await start_proxy(upstream)
    for shape, (path, body), stream in product(ErrorShape, BODIES.items(), (True, False)):
        upstream.server.quirks = Quirks(error_status=status, error_shape=shape, retry_after_seconds=7)
        reply = await proxy.post(path, {**body, "stream": stream})
        assert reply.status == status
        assert reply.json["error"]["message"] == "simulated failure"
        if path != "/v1/messages" or shape is not ErrorShape.OPENAI:  # Anthropic's own shape, which its clients know
            assert reply.error["type"]
        assert reply.headers["content-type"] == "application/json"
        assert reply.headers["retry-after"] == "7"
        assert (await proxy.energy(reply.id))["outcome"] == ("client_error" if status < 500 else "upstream_error")


async def test_an_error_that_is_a_page_becomes_words(start_scripted, start_proxy):
    """HTML from whatever stands in between is told as text."""
    page = b"<html><head><title>502 Bad Gateway</title></head><body><h1>nginx is sorry</h1></body></html>"
    proxy = await start_proxy(await start_scripted(replies(http_reply(page, 502, "text/html"))))
    reply = await proxy.post(CHAT, BODIES[CHAT])
    assert (reply.status, reply.error["message"]) == (502, "nginx is sorry")
    assert reply.headers["content-type"] == "application/json"
