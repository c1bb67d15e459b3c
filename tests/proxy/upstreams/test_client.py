"""The upstream leg alone, over real HTTP: what is sent, how long is waited, which connections are kept and which closed."""

import asyncio
import os
import socket
import ssl
from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace

import aiohttp
import pytest
from proxy_client import free_port
from scripted_upstream import bare_server, chunk, http_reply, in_turn, replies, speaks_ssh, stream_head, streams
from simulated_upstream import until

from jevons.proxy.errors import UpstreamError, UpstreamTimedOut, UpstreamUnavailable
from jevons.proxy.exchange import Endpoint, Timeouts, Upstream
from jevons.proxy.server.eager import start_at_once
from jevons.proxy.upstreams import reply as reply_module
from jevons.proxy.upstreams.client import UpstreamClient, describe

pytest_plugins = ["proxy_fixture"]

OK = http_reply(b'{"id":"x"}')


@pytest.fixture
async def client():
    """Connections to upstreams, closed in the end."""
    async with UpstreamClient() as client:
        yield client


def upstream_at(url, **fields):
    """An upstream that is waited for shortly."""
    timeouts = Timeouts(connect_seconds=0.2, first_byte_seconds=0.2, idle_seconds=0.1)
    return Upstream("chat", f"{url}/v1", "m", **{"timeouts": timeouts, **fields})


async def hangs(call):
    """A script that never answers."""
    await call.forever()


async def send(client, upstream, body=b"{}", headers=None):
    """One chat completion."""
    return await client.send(upstream, Endpoint.CHAT, body, "application/json", headers or {})


async def test_what_is_sent(client, start_scripted):
    """The path behind the base url, the body, our headers over the client's, the upstream's own key, and no more."""
    server = await start_scripted(replies(OK))
    headers = {"authorization": "Bearer the client's", "user-agent": "me", "via": "1.1 other", "accept-encoding": "gzip"}
    reply = await send(client, upstream_at(server.url, api_key="ours"), b'{"a":1}', headers)
    assert await reply.read() == b'{"id":"x"}'
    (call,) = server.calls
    assert call.start == "POST /v1/chat/completions HTTP/1.1"
    assert call.body == b'{"a":1}'
    assert call.headers == {
        "host": server.url.removeprefix("http://"),
        "authorization": "Bearer ours",
        "user-agent": "me",
        "via": "1.1 jevons",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": "7",
    }


async def test_a_large_body_arrives_whole(client, start_scripted):
    """Twenty megabytes, with their length."""
    server = await start_scripted(replies(OK))
    body = os.urandom(2**20) * 20
    reply = await send(client, upstream_at(server.url, timeouts=Timeouts()), body)
    assert reply.status == 200
    assert server.calls[0].body == body


async def test_connections_are_kept_and_used_again(client, start_scripted):
    """Replies, streams and errors that were read to their end leave their connection for the next request."""
    scripts = [replies(OK), streams(b"data: [DONE]\n\n"), replies(http_reply(b'{"error":"no"}', 500)), replies(OK)]
    server = await start_scripted(in_turn(*scripts))
    for _ in scripts:
        reply = await send(client, upstream_at(server.url))
        await reply.read()
        reply.close()
    assert [call.connection for call in server.calls] == [1, 1, 1, 1]


async def test_a_name_may_come_to_mean_another_address(client, start_scripted):
    """After a reload: connections to the old one are not used again, and the new key is shown; else they are kept."""
    first, second = await start_scripted(replies(OK)), await start_scripted(replies(OK))
    at_first = upstream_at(first.url)
    for upstream in (at_first, replace(at_first), upstream_at(second.url), replace(upstream_at(second.url), api_key="new")):
        reply = await send(client, upstream)
        await reply.read()
    assert [call.connection for call in first.calls] == [1, 1]
    assert [call.headers.get("authorization") for call in second.calls] == [None, "Bearer new"]


@pytest.mark.parametrize("megabytes", [0, 20])
async def test_a_server_that_answers_before_it_has_read_all(client, megabytes):
    """An early refusal is the answer, however much of the body is still to be sent."""

    async def refuse(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http_reply(b"too large", 413))
        await writer.drain()
        await asyncio.sleep(0.05)

    async with bare_server(refuse) as address:
        reply = await send(client, upstream_at(f"http://{address}", timeouts=Timeouts()), b"x" * megabytes * 2**20)
        assert (reply.status, await reply.read()) == (413, b"too large")


async def test_letting_go_closes_the_connection(client, start_scripted):
    """Closing a reply before its end is the signal on which the server stops; the next request gets a new connection."""

    async def script(call):
        await call.send(stream_head(), chunk(b"data: 1\n\n"))
        await call.forever()

    server = await start_scripted(script)
    for number in (1, 2):
        reply = await send(client, upstream_at(server.url))
        assert await reply.next_block() == b"data: 1\n\n"
        reply.close()
        async with asyncio.timeout(1):
            await server.calls[-1].has_left.wait()
        assert server.calls[-1].connection == number


async def test_being_cancelled_closes_the_connection(client, start_scripted):
    """Also before the headers are there."""
    server = await start_scripted(hangs)
    task = asyncio.create_task(send(client, upstream_at(server.url, timeouts=Timeouts())))
    await until(lambda: server.calls)
    task.cancel()
    async with asyncio.timeout(1):
        await server.calls[0].has_left.wait()


async def test_being_cancelled_leaves_alone_what_serves_another(client, start_scripted):
    """Whoever leaves as the whole reply comes has no say any more in the connection, on which the next request is under way."""
    server = await start_scripted(in_turn(replies(OK), replies(OK)))
    upstream = upstream_at(server.url, timeouts=Timeouts())
    first = asyncio.create_task(send(client, upstream))
    while not ("chat" in client._servers and len(client._servers["chat"].pool)):  # noqa: ASYNC110 - that very turn of the loop
        await asyncio.sleep(0)
    first.cancel()
    second = start_at_once(read(client, upstream), asyncio.get_running_loop())
    with pytest.raises(asyncio.CancelledError):
        await first
    await second
    assert [call.connection for call in server.calls] == [1, 1]


async def read(client, upstream):
    """One chat completion, read to its end."""
    reply = await send(client, upstream)
    assert await reply.read() == b'{"id":"x"}'


async def test_cookies_redirects_and_proxies_are_not_followed(client, start_scripted, monkeypatch):
    """A server cannot make us remember anything or go elsewhere, and neither can the environment."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    headers = "set-cookie: a=b\r\nlocation: http://127.0.0.1:1/\r\n"
    server = await start_scripted(replies(http_reply(b"", 307, headers=headers)))
    for _ in range(2):
        reply = await send(client, upstream_at(server.url))
        assert reply.status == 307
        await reply.read()
    assert "cookie" not in server.calls[1].headers


async def test_a_server_that_refuses_cannot_be_reached(client):
    """Nobody listens: said without an address."""
    with pytest.raises(UpstreamUnavailable, match=r"^Upstream 'chat' cannot be reached: Connection refused\.$"):
        await send(client, upstream_at(f"http://127.0.0.1:{free_port()}"))


async def test_a_server_that_takes_no_connection_cannot_be_reached(client):
    """After `connect_seconds`."""
    with ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(full.getsockname())
        upstream = upstream_at(f"http://127.0.0.1:{full.getsockname()[1]}", timeouts=Timeouts(connect_seconds=0.1))
        with pytest.raises(UpstreamUnavailable, match=r"^Upstream 'chat' could not be reached in 0\.1 s\.$"):
            await send(client, upstream)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a" * 64 + ".invalid"])
async def test_a_host_that_has_no_address_cannot_be_reached(client, host):
    """Also one that could not even be asked for."""
    with pytest.raises(UpstreamUnavailable, match=r"^Upstream 'chat' "):
        await send(client, upstream_at(f"http://{host}", timeouts=Timeouts()))


async def test_a_server_that_speaks_no_tls_cannot_be_reached(client):
    """An `https` url before something else: said in words."""
    async with bare_server(speaks_ssh) as address:
        with pytest.raises(UpstreamUnavailable, match=r"^Upstream 'chat' cannot be reached: [A-Z_]+"):
            await send(client, upstream_at(f"https://{address}", timeouts=Timeouts()))


async def test_headers_that_do_not_come_are_a_timeout(client, start_scripted):
    """After `first_byte_seconds`, and the connection is closed."""
    server = await start_scripted(hangs)
    with pytest.raises(UpstreamTimedOut, match=r"^Upstream 'chat' did not answer in 0\.2 s\.$"):
        await send(client, upstream_at(server.url))
    async with asyncio.timeout(1):
        await server.calls[0].has_left.wait()


async def test_a_body_that_falls_silent_is_a_timeout(client, start_scripted):
    """After `idle_seconds` since the last byte; what came before is given out."""

    async def script(call):
        await call.send(stream_head(), chunk(b"data: 1\n\n"))
        await call.forever()

    server = await start_scripted(script)
    reply = await send(client, upstream_at(server.url))
    assert reply.is_stream
    assert await reply.next_block() == b"data: 1\n\n"
    with pytest.raises(UpstreamTimedOut, match=r"^Upstream 'chat' sent nothing for 0\.1 s\.$"):
        await reply.next_block()
    reply.close()


async def test_a_reply_without_end_is_refused(client, start_scripted, monkeypatch):
    """What is to be held whole has a limit."""
    monkeypatch.setattr(reply_module, "REPLY_LIMIT_BYTES", 100)
    server = await start_scripted(replies(http_reply(b"x" * 101)))
    reply = await send(client, upstream_at(server.url))
    with pytest.raises(UpstreamError, match="sent more than 100 bytes"):
        await reply.read()
    reply.close()


@pytest.mark.parametrize(
    ("status", "body", "answer"),
    [
        (422, b"Unexpected keys: stream_options", True),
        (400, b'{"error":"stream_options?"}', True),
        (400, b"no", False),
        (500, b"stream_options", False),
    ],
)
async def test_a_refusal_is_read_and_can_be_read_again(client, start_scripted, status, body, answer):
    """Whether an error speaks of a field; looking takes nothing away."""
    server = await start_scripted(replies(http_reply(body, status)))
    reply = await send(client, upstream_at(server.url))
    assert await reply.refuses("stream_options") is answer
    assert await reply.read() == body


async def test_a_client_is_used_within_its_block():
    """Outside there are no connections to use."""
    with pytest.raises(RuntimeError, match="outside of its `async with`"):
        await send(UpstreamClient(), upstream_at("http://127.0.0.1:1"))


CERTIFICATE = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed (_ssl.c:1006)")
CERTIFICATE.verify_message = "self-signed certificate"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CERTIFICATE, "its certificate is not valid: self-signed certificate"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "Name or service not known"),
        (OSError(113, "Connect call failed ('10.0.0.7', 8000)"), "No route to host"),
        (OSError(), "OSError"),
    ],
)
async def test_what_went_wrong_is_told_without_addresses(error, words):
    """Where a server is, is the operator's business."""
    key = SimpleNamespace(host="10.0.0.7", port=8000, ssl=None, is_ssl=True)
    kind = aiohttp.ClientConnectorCertificateError if error is CERTIFICATE else aiohttp.ClientConnectorError
    assert describe(kind(key, error)) == words
