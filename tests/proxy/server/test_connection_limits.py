"""What the fast path refuses, and what it waits for no longer, on real sockets and both loops."""

import asyncio
from contextlib import suppress

import pytest
from lean_wire import exchange, fast_server
from proxy_client import dial
from simulated_upstream import until

from jevons.proxy.server import connection as connection_module

pytest_plugins = ["lean_fixture"]

CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\n"


def post(body=b"{}", headers=b""):
    """A plain request."""
    return CHAT + headers + b"content-length: %d\r\n\r\n%b" % (len(body), body)


async def echo(incoming, downstream):
    """Answer with what was asked."""
    await downstream.reply(200, {"x-tenant": incoming.identity.tenant}, incoming.path.encode() + b" " + incoming.body)


@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"\x16\x03\x01 hello\r\n\r\n", 400, b"its head is broken"),
        (CHAT + b"a : b\r\n\r\n", 400, b"its head is broken"),
        (CHAT.replace(b"host", b"hast") + b"content-length: 2\r\n\r\n{}", 400, b"one Host header"),
        (CHAT + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400, b"its transfer coding is not `chunked`"),
        (CHAT + b"x-long: " + b"a" * 40_000, 400, b"head is larger than 32768 bytes"),
        (CHAT + b"x-long: " + b"a" * 40_000 + b"\r\ncontent-length: 0\r\n\r\n", 400, b"head is larger than 32768 bytes"),
        (CHAT + b"x: y\r\n" * 8000, 400, b"head is larger than 32768 bytes"),
        (CHAT + b"transfer-encoding: chunked\r\n\r\nzz\r\n", 400, b"its chunked encoding is broken"),
        (CHAT + b"transfer-encoding: chunked\r\n\r\n3e9\r\n" + b"a" * 1001, 413, b"larger than 1000 bytes"),
        (CHAT + b"transfer-encoding: chunked\r\n\r\n1;" + b"a" * 80_000, 400, b"says more than the body"),
        (CHAT + b"transfer-encoding: chunked\r\n\r\n0\r\n" + b"x: y\r\n" * 20_000, 400, b"says more than the body"),
    ],
)
def test_what_is_no_http_or_too_much_is_refused(run, data, status, words):
    """In OpenAI's shape, and the connection closes; in one packet or in many."""

    async def scenario():
        async with fast_server(echo) as (url, path, _):
            for size in (len(data), 9000):
                parts = [data[start : start + size] for start in range(0, len(data), size)]
                raw = await exchange(url, *parts)
                assert raw.startswith(b"HTTP/1.1 %d " % status)
                assert words in raw
                assert b"\r\nx-request-id: req_" in raw
                assert b"\r\nconnection: close\r\n" in raw
            await asyncio.sleep(0.01)
            assert not path.connections

    run(scenario())


def test_a_refusal_reaches_a_client_that_goes_on_sending(run):
    """What it still sends is read and dropped: a reset would take the answer away from it."""

    async def scenario():
        async with fast_server(echo) as (url, _, _), dial(url) as client:
            client.writer.write(CHAT + b"transfer-encoding: chunked\r\n\r\nffffff\r\n" + b"a" * 0x800000)
            await client.writer.drain()
            await asyncio.sleep(0.05)
            assert (await client.reply()).status == 413

    run(scenario())


def test_who_lingers_is_cut_off(run, monkeypatch):
    """A refused client that neither leaves nor reads is not waited for."""
    monkeypatch.setattr(connection_module, "LINGER_SECONDS", 0.05)

    async def scenario():
        async with fast_server(echo) as (url, path, _), dial(url) as client:
            client.writer.write(b"nonsense\r\n\r\n")
            assert (await client.reply()).status == 400
            await until(lambda: not path.connections)

    run(scenario())


@pytest.mark.parametrize("sends", [b"", CHAT, post() + CHAT])
def test_a_head_that_does_not_come_is_given_up(run, sends):
    """Neither silence nor a trickle of headers holds a connection, nor a second request after a first."""

    async def scenario():
        async with fast_server(echo, header_seconds=0.1) as (url, _, _), dial(url) as client:
            client.writer.write(sends)

            async def trickle():
                while True:
                    client.writer.write(b"x: y\r\n" if sends else b"")
                    await asyncio.sleep(0.01)

            task = asyncio.create_task(trickle())
            with suppress(ConnectionResetError):  # what the trickle still sends to a closed connection may be answered so
                while await client.reader.read(1000):
                    pass
            task.cancel()
            await asyncio.wait([task])

    run(scenario())


def test_an_idle_connection_is_kept_longer_than_a_head_may_take(run):
    """Between requests a client may be silent; once its next request begins it must go on."""

    async def scenario():
        async with fast_server(echo, header_seconds=0.05) as (url, _, _), dial(url) as client:
            client.writer.write(post())
            await client.reply()
            await asyncio.sleep(0.1)
            client.writer.write(post())
            assert (await client.reply()).status == 200
            client.writer.write(CHAT)
            assert await client.reader.read(100) == b""

    run(scenario())


def test_a_body_that_does_not_come_is_408(run):
    """A trickle of it buys no more time."""

    async def scenario():
        async with fast_server(echo, body_seconds=0.1) as (url, _, _), dial(url) as client:
            client.writer.write(CHAT + b"content-length: 900\r\n\r\n")

            async def trickle():
                while True:
                    client.writer.write(b"x")
                    await asyncio.sleep(0.01)

            task = asyncio.create_task(trickle())
            reply = await client.reply()
            task.cancel()
            await asyncio.wait([task])
            assert (reply.status, reply.error["code"]) == (408, "request_timeout")

    run(scenario())
