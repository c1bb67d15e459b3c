"""What an attacker may send, on raw sockets against the whole proxy on both loops.

Nothing reaches a model server that was hidden in something else, nobody gets the answer of another, the others are served on.
"""

import asyncio
import json
import re
from contextlib import asynccontextmanager, suppress

import pytest
from proxy_client import Proxy, dial, running
from scripted_upstream import ScriptedUpstream, chunk, http_reply, stream_head
from simulated_upstream import MODEL, until
from smuggling import ANSWERED, CHAT, HIDDEN, REFUSED, asking, post

from jevons.proxy.app import App
from jevons.proxy.config import Config
from jevons.proxy.upstreams import client as client_module
from jevons.proxy.upstreams.gather import Gatherer

pytest_plugins = ["lean_fixture", "simulation_fixture"]


async def echo(call):
    """Answer with what was asked."""
    text = call.json["messages"][0]["content"]
    await call.send(http_reply(json.dumps({"id": "x", "choices": [{"message": {"content": text}}]}).encode()))


@asynccontextmanager
async def proxied(gpu, script=echo, **config):
    """The whole proxy before a scripted server: both."""
    async with ScriptedUpstream(script).running() as upstream:
        section = {
            "name": "chat",
            "model": MODEL,
            "dialect": "vllm",
            "devices": [f"simulated:{gpu.path}"],
            "url": f"{upstream.url}/v1",
        }
        listeners = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "drain_seconds": 1}
        app = App(Config.model_validate({**listeners, "upstreams": [section], **config}))
        async with running(app) as addresses:
            yield Proxy(app, addresses.main, addresses.admin, None), upstream


async def all_that_comes(proxy, *parts):
    """What comes back before the connection closes: with a reset where something was sent ahead that nobody will read."""
    raw = b""
    async with proxy.dial() as client:
        for part in parts:
            client.writer.write(part)
            await asyncio.sleep(0)
        with suppress(ConnectionResetError):
            while data := await client.reader.read(65536):
                raw += data
    return raw


def streaming():
    """A request for a stream, the last on its connection."""
    body = asking("outer", stream=True)
    head = f"POST {CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    return head.encode() + body


async def trickle(proxy, request, size):
    """The same, sent in pieces of this size until the answer is there."""
    async with proxy.dial() as client:
        reading = asyncio.create_task(client.reader.read(-1))
        for start in range(0, len(request), size):
            if not reading.done():
                client.writer.write(request[start : start + size])
                await asyncio.sleep(0.0005)
        return await reading


async def is_serving(proxy):
    """Whether somebody else is served."""
    async with proxy.dial() as client:
        client.writer.write(post("somebody else"))
        return (await client.reply()).json["choices"][0]["message"]["content"] == "somebody else"


def answers(raw):
    """The texts of all answers, in their order."""
    return re.findall(rb'"content": "([a-z0-9 ]*)"', raw)


def test_what_is_refused(run, simulated_gpu):
    """Once, with a 4xx, and the connection closes; nothing of it reaches a model server."""

    async def scenario():
        async with proxied(simulated_gpu) as (proxy, upstream):
            for name, request in REFUSED.items():
                raw = await all_that_comes(proxy, request)
                assert re.fullmatch(rb"HTTP/1\.[01] 4.*", raw, re.DOTALL), name
                assert len(re.findall(rb"HTTP/1\.[01] \d", raw)) == 1, name
                assert b'"error"' in raw, name
                assert upstream.calls == [], name
            assert await is_serving(proxy)

    run(scenario())


def test_what_is_refused_in_small_pieces(run, simulated_gpu):
    """Where it is cut makes no difference."""

    async def scenario():
        async with proxied(simulated_gpu) as (proxy, upstream):
            for name, request in REFUSED.items():
                size = 13 if len(request) < 10_000 else 5000
                raw = await trickle(proxy, request, size)
                assert re.fullmatch(rb"HTTP/1\.[01] 4.*", raw, re.DOTALL), name
                assert upstream.calls == [], name
            assert await is_serving(proxy)

    run(scenario())


def test_what_is_odd_but_right(run, simulated_gpu):
    """It is answered once, whole or byte by byte, and reaches the model server once, as itself."""

    async def scenario():
        async with proxied(simulated_gpu) as (proxy, upstream):
            for name, request in ANSWERED.items():
                for size in (len(request), 1):
                    upstream.calls.clear()
                    async with proxy.dial() as client:
                        for start in range(0, len(request), size):
                            client.writer.write(request[start : start + size])
                            await asyncio.sleep(0)
                        status, headers = await client.reply_head()
                        if status == 100:
                            status, headers = await client.reply_head()
                        assert status == 200, name
                        body = await client.reader.readexactly(int(headers["content-length"]))
                    assert answers(body) == [b"outer"], name
                    assert [call.json["messages"][0]["content"] for call in upstream.calls] == ["outer"], name
                    assert all(" ".join(call.headers.values()).isascii() for call in upstream.calls), name

    run(scenario())


@pytest.mark.parametrize("is_cut", [False, True])
@pytest.mark.parametrize(
    "first",
    [
        post("first"),
        b"GET /v1/nothing HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nfirst",
        post("first", path="/v1/nothing"),
    ],
)
def test_requests_sent_ahead(run, simulated_gpu, first, is_cut):
    """Each gets its own answer in its turn, or the connection closes behind the first; never another's."""

    async def scenario():
        async with proxied(simulated_gpu) as (proxy, upstream):
            rest = [post("second"), post("third", b"connection: close\r\n")]
            raw = await all_that_comes(proxy, *([first, *rest] if is_cut else [first + b"".join(rest)]))
            expected = [b"first", b"second", b"third"] if first == post("first") else []
            got = answers(raw)
            assert got == expected[: len(got)]
            assert raw.count(b"HTTP/1.1 ") == max(1, len(got))
            assert len(upstream.calls) == len(got)
            assert await is_serving(proxy)

    run(scenario())


def test_a_hidden_request_in_a_body_is_body(run, simulated_gpu):
    """Of a GET, of a path that is not there, of a request that is answered before its body is there."""

    async def scenario():
        async with proxied(simulated_gpu) as (proxy, upstream):
            for start in (
                "GET /v1/models",
                "POST /v1/nothing",
                f"POST {CHAT}",
                "GET /v1/energy/x",
                "OPTIONS *",
                "POST /v1/feedback",
            ):
                head = f"{start} HTTP/1.1\r\nhost: test\r\ncontent-length: {len(HIDDEN)}\r\n\r\n".encode()
                async with proxy.dial() as client:
                    client.writer.write(head + HIDDEN[:50])
                    await asyncio.sleep(0.01)
                    client.writer.write(HIDDEN[50:] + b"GET / HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n")
                    raw = await client.reader.read(-1)
                assert b'"SMUGGLED"' not in raw
                assert upstream.calls == []

    run(scenario())


def test_headers_cannot_be_injected(run, simulated_gpu):
    """Neither into the request to the model server nor into our reply, by a value that says to end the line."""

    async def scenario():
        async with proxied(simulated_gpu) as (proxy, upstream):
            for name in ("x-request-id", "user-agent", "traceparent", "content-type", "x-jevons-tier", "x-jevons-session"):
                for value in (
                    b"a\rx-evil: 1",
                    b"a\nx-evil: 1",
                    b"a\x00",
                    b"a\r\n x-evil: 1",
                    b"a%0d%0ax-evil: 1",
                    b"a\xe2\x80\xa8x-evil: 1",
                ):
                    raw = await all_that_comes(proxy, post("outer", name.encode() + b": " + value + b"\r\nconnection: close\r\n"))
                    assert raw.startswith((b"HTTP/1.1 200", b"HTTP/1.1 400"))
                    assert b"\nx-evil" not in raw
            assert all("x-evil" not in call.headers for call in upstream.calls)

    run(scenario())


def test_a_model_server_that_splits_its_answer(run, simulated_gpu):
    """What it sends behind its reply reaches nobody, and the next request gets its own."""
    evil = http_reply(b'{"id":"x","choices":[{"message":{"content": "evil"}}]}', headers="set-cookie: evil\r\n")

    async def script(call):
        text = call.json["messages"][0]["content"]
        answer = http_reply(json.dumps({"id": "x", "choices": [{"message": {"content": text}}]}).encode(), headers="x-a: b\r\n")
        await call.send(answer + evil)

    async def scenario():
        async with proxied(simulated_gpu, script) as (proxy, upstream), proxy.dial() as client:
            for number in range(5):
                client.writer.write(post(f"question {number}"))
                reply = await client.reply()
                assert answers(reply.body) == [f"question {number}".encode()]
                assert "set-cookie" not in reply.headers
            assert len({call.connection for call in upstream.calls}) == 5

    run(scenario())


@pytest.mark.parametrize("value", ["a\x0bb", "a\x7fb", "caf\xe9"])
def test_a_model_servers_header_cannot_break_ours(run, simulated_gpu, value):
    """One that is not plain text is left out."""

    async def script(call):
        await call.send(http_reply(b"{}", headers=f"retry-after: {value}\r\nx-ratelimit-a: ok\r\n"))

    async def scenario():
        async with proxied(simulated_gpu, script) as (proxy, _), proxy.dial() as client:
            client.writer.write(post("outer"))
            reply = await client.reply()
            assert reply.status in {200, 502}
            assert "retry-after" not in reply.headers

    run(scenario())


def test_a_model_servers_own_status_passes(run, simulated_gpu):
    """Also one that has no name."""

    async def script(call):
        await call.send(http_reply(b"overloaded", 529))

    async def scenario():
        async with proxied(simulated_gpu, script) as (proxy, _), proxy.dial() as client:
            client.writer.write(post("outer"))
            reply = await client.reply()
            assert (reply.status, "overloaded" in reply.error["message"]) == (529, True)

    run(scenario())


def test_a_client_that_does_not_read(run, simulated_gpu):
    """The proxy holds little of a stream of fifty megabytes; the client reads on, and gets all of it."""
    line = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"x" * 2**16)
    count = 800
    sent = []

    async def script(call):
        await call.send(stream_head())
        for number in range(count):
            await call.send(chunk(line))
            sent.append(number)
        await call.send(chunk(b"data: [DONE]\n\n"), chunk(b""))

    async def scenario():
        async with proxied(simulated_gpu, script) as (proxy, upstream), proxy.dial() as client:
            client.writer.transport.pause_reading()
            client.writer.write(streaming())
            await until(lambda: upstream.calls)
            while True:
                before = len(sent)
                await asyncio.sleep(0.1)
                if before and len(sent) == before:
                    break
            assert before < count // 2  # what the kernel's buffers and ours hold
            assert await is_alive(proxy)
            client.writer.transport.resume_reading()
            total = 0
            while block := await client.reader.read(2**20):
                total += len(block)
            assert total > count * len(line)
            assert len(sent) == count

    run(scenario())


async def is_alive(proxy):
    """Whether others get through."""
    async with dial(proxy.url) as client:
        client.writer.write(b"GET /v1/models HTTP/1.1\r\nhost: test\r\n\r\n")
        return (await client.reply_head())[0] == 200


def test_a_long_line_passes(run, simulated_gpu):
    """An event of ten megabytes, in whatever pieces, as it is."""
    line = b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % (b"x" * 10 * 2**20)

    async def script(call):
        await call.send(
            stream_head(), chunk(line[:1000]), chunk(line[1000:-1]), chunk(line[-1:]), chunk(b"data: [DONE]\n\n"), chunk(b"")
        )

    async def scenario():
        async with proxied(simulated_gpu, script) as (proxy, _):
            raw = await all_that_comes(proxy, streaming())
            assert raw.count(b"x" * 1000) >= 9000
            assert raw.endswith(b"0\r\n\r\n")

    run(scenario())


@pytest.mark.parametrize(("gather_milliseconds", "ticks"), [(0, []), (4, [0.004])])
def test_gathering_can_be_switched_off(run, simulated_gpu, monkeypatch, gather_milliseconds, ticks):
    """0 is each token at once, always: then there is nobody who gathers. Else the tick is as long as is said."""
    made = []

    def make(loop, *, tick_seconds):
        made.append(tick_seconds)
        return Gatherer(loop, tick_seconds=tick_seconds)

    monkeypatch.setattr(client_module, "Gatherer", make)

    async def script(call):
        await call.send(stream_head(), chunk(b"data: 1\n\n"), chunk(b"data: [DONE]\n\n"), chunk(b""))

    async def scenario():
        async with proxied(simulated_gpu, script, gather_milliseconds=gather_milliseconds) as (proxy, _):
            assert (await all_that_comes(proxy, streaming())).endswith(b"0\r\n\r\n")
            assert made == ticks

    run(scenario())


def test_connect_opens_nothing(run, simulated_gpu):
    """What comes behind it is no request."""

    async def scenario():
        async with proxied(simulated_gpu) as (proxy, upstream):
            async with proxy.dial() as client:
                client.writer.write(b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nhost: test\r\n\r\n" + HIDDEN)
                assert (await client.reply_head())[0] == 404
            assert await is_serving(proxy)
            assert [call.json["messages"][0]["content"] for call in upstream.calls] == ["somebody else"]

    run(scenario())
