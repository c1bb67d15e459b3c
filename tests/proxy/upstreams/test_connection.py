"""One connection to a model server, on both loops, gathered and not: what it takes, what it refuses, and whether it is kept."""

import asyncio
import gzip
import zlib
from contextlib import AsyncExitStack

import pytest
from lean_wire import wire
from scripted_upstream import chunk, http_reply, stream_head
from simulated_upstream import until

from jevons.proxy.errors import UpstreamError
from jevons.proxy.upstreams.silence import SilenceWatch

pytest_plugins = ["lean_fixture"]

OK = http_reply(b'{"id":"x"}')
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


async def whole(reply):
    """Its head, and then its body."""
    await reply.head()
    return await reply.read()


async def blocks_of(reply):
    """All of a body, block by block."""
    blocks = []
    while block := await reply.next_block():
        blocks.append(block)
    return blocks


@pytest.mark.parametrize(
    ("parts", "body"),
    [
        ([OK], b'{"id":"x"}'),
        ([OK[:30], OK[30:-3], OK[-3:]], b'{"id":"x"}'),
        ([bytes([byte]) for byte in OK], b'{"id":"x"}'),
        ([CHUNKED, b"3;ext=1\r\nabc\r\n", b"2\r\nde\r\n0\r\n\r\n"], b"abcde"),
        ([CHUNKED, b"3\r\nabc\r\n0\r\n", b"x-trailer: 1\r\nstatus: 500\r\n\r\n"], b"abc"),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", OK], b'{"id":"x"}'),
        ([b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK], b'{"id":"x"}'),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], b""),
        ([http_reply(gzip.compress(b"abc" * 999), headers="content-encoding: gzip\r\n")], b"abc" * 999),
        ([http_reply(zlib.compress(b"abc"), headers="Content-Encoding: DEFLATE\r\n")], b"abc"),
        ([http_reply(b"abc", headers="content-encoding: identity\r\n")], b"abc"),
    ],
)
def test_a_reply_however_it_comes(run, parts, body):
    """Cut anywhere, framed either way, announced or not, compressed though not asked: its body, and the connection is kept."""

    async def scenario():
        async with wire() as server:
            for number in (1, 2):
                reply = server.ask()
                task = asyncio.create_task(reply.read())
                for part in parts:
                    await server.say(part)
                    await asyncio.sleep(0)
                assert await task == body
                assert "x-trailer" not in reply.headers
                assert reply.status in {200, 204}
                assert len(server.owner.kept) == number
            assert server.connection.is_open

    run(scenario())


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"]
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_a_body_without_a_length_ends_with_its_connection(run, head, is_stream):
    """The close is its end, and no failure; also while it is gathered."""
    if is_stream:
        head = head[:-2] + b"content-type: text/event-stream\r\n\r\n"

    async def scenario():
        async with wire(tick_seconds=0.01) as server:
            reply = await server.answer(head, b"abc")
            await asyncio.sleep(0.01)
            await server.say(b"def")
            await asyncio.sleep(0.01)
            server.writer.close()
            assert await reply.read() == b"abcdef"
            assert not server.connection.is_open
            assert server.owner.kept == []

    run(scenario())


@pytest.mark.parametrize("tick_seconds", [None, 0.01])
@pytest.mark.parametrize("ends", ["close", "reset"])
@pytest.mark.parametrize(
    "parts",
    [[http_reply(b"abcdef")[:-1]], [CHUNKED, b"3\r\nabc\r\n"], [stream_head(), chunk(b"abc")], [stream_head(), b"9\r\nabc"]],
)
def test_a_reply_that_breaks_off(run, parts, ends, tick_seconds):
    """What came can be read; then the break is told and nobody takes it for the end."""

    async def scenario():
        async with wire(tick_seconds=tick_seconds) as server:
            reply = await server.answer(*parts)
            assert b"".join([await reply.next_block()]).startswith(b"abc")
            server.writer.transport.abort() if ends == "reset" else server.writer.close()
            with pytest.raises(UpstreamError, match=r"^Upstream 'chat' broke off its reply: "):
                await reply.next_block()
            assert not server.connection.is_open

    run(scenario())


def test_a_connection_that_closes_before_it_answers(run):
    """Said so, and not as a timeout."""

    async def scenario():
        async with wire() as server:
            reply = server.ask()
            await server.reader.readuntil(b"\r\n\r\n")
            server.writer.close()
            with pytest.raises(
                UpstreamError, match=r"^Upstream 'chat' broke off before it answered: the connection was closed\.$"
            ):
                await reply.head()
            again = server.ask()
            with pytest.raises(
                UpstreamError, match=r"^Upstream 'chat' broke off before it answered: the connection is closed\.$"
            ):
                await again.head()

    run(scenario())


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "it is no HTTP that we understand"),
        (b"\x00" * 100, "it is no HTTP that we understand"),
        (b"HTTP/1.1 200 OK\r\nx-long: " + b"a" * 70_000, "its headers are too long"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000, "its headers are too long"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 4000, "its headers are too long"),
        (b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\nPRI", "it changes the protocol"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", "Content-Length"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\nab", "Content-Length"),
        (http_reply(b"x", headers="content-encoding: br\r\n"), "an encoding that was not asked for, 'br'"),
        (http_reply(b"nonsense", headers="content-encoding: gzip\r\n"), "incorrect header check"),
    ],
)
def test_what_is_no_reply_is_refused(run, said, words):
    """Nothing of it is taken, and the connection is closed."""

    async def scenario():
        async with wire() as server:
            reply = server.ask()
            for start in range(0, len(said), 9000):
                if not server.writer.is_closing():
                    server.writer.write(said[start : start + 9000])
                    await asyncio.sleep(0.001)
            with pytest.raises(UpstreamError, match=words):
                await whole(reply)
            assert not server.connection.is_open

    run(scenario())


@pytest.mark.parametrize("first", [OK, stream_head() + chunk(b'{"id":"x"}') + chunk(b"")])
@pytest.mark.parametrize("second", [OK.replace(b"200", b"500"), b"HTTP/1.1 500 No\r\nx: y\r\n\r\nevil", b"nonsense"])
@pytest.mark.parametrize("cut", [0, 1])
def test_a_second_answer_is_nobodys(run, first, second, cut):
    """A server that answers twice, in one packet or in two: the first is the answer, whole, and the connection is closed."""

    async def scenario():
        async with wire() as server:
            reply = server.ask()
            await server.say(first + second) if not cut else await server.say(first)
            if cut:
                await asyncio.sleep(0.01)
                await server.say(second)
            await asyncio.sleep(0.02)
            assert reply.status == 200
            assert await reply.read() == b'{"id":"x"}'
            assert not server.connection.is_open

    run(scenario())


def test_bytes_behind_a_reply_that_closes(run):
    """They are dropped, and the reply is whole."""

    async def scenario():
        async with wire() as server:
            reply = await server.answer(http_reply(b"abc", headers="connection: close\r\n") + b"more")
            assert await reply.read() == b"abc"
            assert server.owner.kept == []

    run(scenario())


def test_a_server_that_closes_while_idle(run):
    """The connection is open no more, and its owner is told."""

    async def scenario():
        async with wire() as server:
            await (await server.answer(OK)).read()
            assert server.connection.is_open
            server.writer.close()
            await until(lambda: server.owner.gone)
            assert not server.connection.is_open

    run(scenario())


@pytest.mark.parametrize("tick_seconds", [None, 0.01])
def test_a_reader_that_does_not_read(run, tick_seconds):
    """The server is not read any more; once the reader goes on, so does it, and nothing is lost."""
    total = 20 * 2**20

    async def scenario():
        async with wire(tick_seconds=tick_seconds) as server:
            reply = await server.answer(stream_head(), chunk(b"first"))
            assert await reply.next_block() == b"first"
            sending = asyncio.create_task(server.say(*[chunk(b"x" * 2**16)] * (total // 2**16), chunk(b"")))
            await until(lambda: server.connection.is_paused)
            await asyncio.sleep(0.02)
            assert reply._buffered < 2**21
            assert not sending.done()
            assert b"".join(await blocks_of(reply)) == b"x" * total
            await sending
            assert server.owner.kept == [server.connection]
            assert await (await server.answer(OK)).read() == b'{"id":"x"}'

    run(scenario())


@pytest.mark.parametrize("tick_seconds", [None, 0.01])
def test_being_closed_while_paused(run, tick_seconds):
    """A reader that leaves without having read closes the connection all the same."""

    async def scenario():
        async with wire(tick_seconds=tick_seconds) as server:
            reply = await server.answer(stream_head(), chunk(b"first"))
            assert await reply.next_block() == b"first"
            sending = asyncio.create_task(server.say(*[chunk(b"x" * 2**16)] * 300))
            await until(lambda: server.connection.is_paused)
            reply.close()
            with pytest.raises(ConnectionError):
                await sending

    run(scenario())


@pytest.mark.parametrize("tick_seconds", [None, 0.01])
def test_a_stream_leaves_its_connection_for_the_next(run, tick_seconds):
    """Gathered or not: a stream, a reply and a stream over one connection."""

    async def scenario():
        async with wire(tick_seconds=tick_seconds) as server:
            for number in range(3):
                reply = await server.answer(stream_head(), chunk(b"a"))
                for part in (chunk(b"b"), chunk(b"c")[:4], chunk(b"c")[4:] + chunk(b"")):
                    await asyncio.sleep(0.005)
                    await server.say(part)
                assert b"".join(await blocks_of(reply)) == b"abc"
                assert await (await server.answer(OK)).read() == b'{"id":"x"}'
                assert len(server.owner.kept) == 2 * (number + 1)

    run(scenario())


async def test_connections_share_one_watch():
    """That it watches nobody yet is no reason for another: each would keep a timer for as long as a first byte may take."""
    loop = asyncio.get_running_loop()
    watch = SilenceWatch(loop)
    replies = []
    async with AsyncExitStack() as stack:
        for _ in range(3):
            server = await stack.enter_async_context(wire(watch=watch))
            replies.append(server.ask())
        assert len(watch) == len(replies)
        for reply in replies:
            reply.close()
    assert len(watch) == 0
