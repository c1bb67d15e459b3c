"""The fast path alone, on real sockets and both loops: what it serves itself, what it hands over, and how it ends."""

import asyncio

import pytest
from lean_wire import GET_BACK, exchange, fast_server
from proxy_client import dial
from scripted_upstream import unchunk

pytest_plugins = ["lean_fixture"]

CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nhost: test\r\n"
OTHER = b"POST /other HTTP/1.1\r\nhost: test\r\ncontent-length: 5\r\n\r\nother"


def post(body=b"{}", headers=b""):
    """A plain request."""
    return CHAT + headers + b"content-length: %d\r\n\r\n%b" % (len(body), body)


async def echo(incoming, downstream):
    """Answer with what was asked."""
    await downstream.reply(200, {"x-tenant": incoming.identity.tenant}, incoming.path.encode() + b" " + incoming.body)


def test_a_request_in_any_pieces(run):
    """In one packet or byte by byte, the same reply; the connection stays."""

    async def scenario():
        async with fast_server(echo) as (url, _, handed_over), dial(url) as client:
            for size in (1000, 7, 1):
                data = post(b'{"a":1}')
                for start in range(0, len(data), size):
                    client.writer.write(data[start : start + size])
                    await asyncio.sleep(0)
                reply = await client.reply()
                assert (reply.status, reply.body) == (200, b'/v1/chat/completions {"a":1}')
                assert reply.headers == {"x-tenant": "default", "content-length": "28"}
            assert handed_over == []

    run(scenario())


def test_a_body_in_chunks(run):
    """Its length is not known before; trailers and extensions are dropped, and make no header."""

    async def handle(incoming, downstream):
        assert "x-tenant" not in incoming.headers
        await echo(incoming, downstream)

    async def scenario():
        async with fast_server(handle) as (url, _, _), dial(url) as client:
            body = b"3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nx-tenant: eve\r\n\r\n"
            client.writer.write(CHAT + b"transfer-encoding: chunked\r\n\r\n" + body)
            reply = await client.reply()
            assert (reply.body, reply.headers["x-tenant"]) == (b"/v1/chat/completions abcde", "default")

    run(scenario())


def test_headers_that_come_twice_are_joined(run):
    """As a list, in lower case."""
    seen = []

    async def handle(incoming, downstream):
        seen.append(incoming.headers)
        await echo(incoming, downstream)

    async def scenario():
        async with fast_server(handle) as (url, _, _), dial(url) as client:
            client.writer.write(post(headers=b"X-A: 1\r\nx-a: 2\r\n"))
            await client.reply()
        assert seen == [{"host": "test", "x-a": "1, 2", "content-length": "2"}]

    run(scenario())


@pytest.mark.parametrize(
    "request_",
    [
        b"GET /v1/models HTTP/1.1\r\nhost: test\r\n\r\n",
        b"POST /v1/feedback HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n{}",
        b"POST /v1/chat/completions?a=b HTTP/1.1\r\nhost: test\r\ncontent-length: 2\r\n\r\n{}",
        b"POST /v1/chat/completions HTTP/1.0\r\nhost: test\r\ncontent-length: 2\r\n\r\n{}",
        post(headers=b"expect: 100-continue\r\n"),
        post(headers=b"content-encoding: gzip\r\n"),
        post(headers=b"connection: upgrade\r\nupgrade: h2c\r\n"),
        post(headers=b"trailer: x\r\n"),
        CHAT + b"content-length: 1001\r\n\r\n",
        b"CONNECT test:80 HTTP/1.1\r\nhost: test\r\n\r\n",
    ],
)
@pytest.mark.parametrize("comes_later", [False, True])
def test_what_is_not_plain_is_handed_over_with_every_byte(run, request_, comes_later):
    """Whether it comes at once or in pieces, first or behind another request."""

    async def scenario():
        async with fast_server(echo) as (url, path, handed_over), dial(url) as client:
            if comes_later:
                client.writer.write(post())
                assert (await client.reply()).status == 200
            for piece in (request_[:30], request_[30:]):
                client.writer.write(piece)
                await asyncio.sleep(0.002)
            assert (await client.reply()).body == GET_BACK
            assert b"".join(handed_over) == request_
            assert not path.connections

    run(scenario())


def test_requests_in_one_packet(run):
    """The first is answered, and the connection closes: what came with it has to be sent again."""

    async def scenario():
        async with fast_server(echo) as (url, _, _):
            raw = await exchange(url, post(b"one") + OTHER)
        head, _, body = raw.partition(b"\r\n\r\n")
        assert body == b"/v1/chat/completions one"
        assert b"connection: close" in head

    run(scenario())


def test_a_request_that_comes_early_waits_its_turn(run):
    """In packets of their own both are answered, in their order."""
    goes_on = asyncio.Event()

    async def handle(incoming, downstream):
        if incoming.path != "/other":
            await goes_on.wait()
        await echo(incoming, downstream)

    async def scenario():
        async with fast_server(handle) as (url, _, _), dial(url) as client:
            client.writer.write(post(b"one"))
            await asyncio.sleep(0.005)
            client.writer.write(OTHER[:40])
            await asyncio.sleep(0.005)
            client.writer.write(OTHER[40:])
            await asyncio.sleep(0.005)
            goes_on.set()
            assert [(await client.reply()).body, (await client.reply()).body] == [b"/v1/chat/completions one", b"/other other"]

    run(scenario())


def test_who_sends_far_ahead_is_not_read(run):
    """What waits its turn is bounded; all of it is served in the end."""
    goes_on = asyncio.Event()

    async def handle(incoming, downstream):
        await goes_on.wait()
        await echo(incoming, downstream)

    async def scenario():
        async with fast_server(handle) as (url, path, _), dial(url) as client:
            client.writer.write(post(b"one"))
            await asyncio.sleep(0.01)
            (connection,) = path.connections
            for _ in range(2000):
                client.writer.write(b"\r\n" * 2000)  # empty lines before a request are allowed
                await asyncio.sleep(0)
            await asyncio.sleep(0.02)
            assert connection._early_bytes < 2**20 < 2000 * 4000
            goes_on.set()
            assert (await client.reply()).status == 200

    run(scenario())


def test_a_client_that_asks_to_close(run):
    """It is told so, and what it sent behind is not served."""

    async def scenario():
        async with fast_server(echo) as (url, _, _):
            raw = await exchange(url, post(headers=b"connection: close\r\n") + OTHER)
        assert raw.count(b"HTTP/1.1") == 1
        assert b"connection: close" in raw

    run(scenario())


def test_a_stream(run):
    """Each part is a chunk; the end is a proper one, and the connection stays."""

    async def handle(incoming, downstream):
        await downstream.start(200, {"content-type": "text/event-stream"})
        assert downstream.has_started
        downstream.put(b"one")
        downstream.put(b"")
        await downstream.write(b"two")
        await downstream.finish()

    async def scenario():
        async with fast_server(handle) as (url, _, _), dial(url) as client:
            for _ in range(2):
                client.writer.write(post())
                assert (await client.reply_head())[1] == {"content-type": "text/event-stream", "transfer-encoding": "chunked"}
                assert await client.reader.readexactly(21) == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"

    run(scenario())


def test_a_stream_that_is_broken_off_has_no_end(run):
    """All that was written arrives, however slowly the client reads, and then the connection closes."""
    size = 5_000_000

    async def handle(incoming, downstream):
        await downstream.start(200, {})
        downstream.put(b"x" * size)
        assert downstream.is_full
        downstream.abort()
        downstream.put(b"never sent")

    async def scenario():
        async with fast_server(handle) as (url, _, _), dial(url) as client:
            client.writer.write(post())
            await client.reply_head()
            await asyncio.sleep(0.02)
            assert unchunk(await client.reader.read(-1)) == (b"x" * size, False)

    run(scenario())


@pytest.mark.parametrize("status", [429, 529, 599, 999])
def test_a_status_without_a_name(run, status):
    """Model servers have numbers of their own: they pass."""

    async def handle(incoming, downstream):
        await downstream.reply(status, {}, b"no")

    async def scenario():
        async with fast_server(handle) as (url, _, _), dial(url) as client:
            client.writer.write(post())
            assert (await client.reply()).status == status

    run(scenario())


def test_a_header_cannot_end_early(run):
    """One whose value holds a line's end is left out."""

    async def handle(incoming, downstream):
        await downstream.reply(200, {"x-a": "b\r\nset-cookie: c", "x-b": "\ud83d"}, b"")

    async def scenario():
        async with fast_server(handle) as (url, _, _), dial(url) as client:
            client.writer.write(post())
            assert (await client.reply_head())[1] == {"x-b": "?", "content-length": "0"}

    run(scenario())


@pytest.mark.parametrize("ends", ["close", "reset"])
def test_a_client_that_leaves_cancels_what_is_done_for_it(run, ends):
    """In good order or not, also while it is waited for."""

    async def scenario():
        ended = asyncio.get_running_loop().create_future()

        async def handle(incoming, downstream):
            await downstream.start(200, {})
            try:
                while True:
                    await downstream.write(b"x" * 100_000)
            except (asyncio.CancelledError, ConnectionError):
                ended.set_result(None)
                raise

        async with fast_server(handle) as (url, path, _), dial(url) as client:
            client.writer.write(post())
            await client.reply_head()
            await asyncio.sleep(0.02)
            client.reset() if ends == "reset" else client.writer.transport.abort()
            await ended
            await asyncio.sleep(0.01)
            assert not path.connections

    run(scenario())


def test_a_slow_client_is_waited_for(run):
    """`write` returns when it has room, and nothing is lost."""
    size, parts = 200_000, 40
    written = []

    async def handle(incoming, downstream):
        await downstream.start(200, {})
        for number in range(parts):
            await downstream.write(bytes([number]) * size)
            written.append(number)
        await downstream.finish()

    async def scenario():
        async with fast_server(handle) as (url, _, _), dial(url) as client:
            client.writer.transport.pause_reading()
            client.writer.write(post())
            await asyncio.sleep(0.1)
            assert len(written) < parts
            client.writer.transport.resume_reading()
            await client.reply_head()
            body = b""
            while not body.endswith(b"0\r\n\r\n"):
                body += await client.reader.read(2**20)
            assert unchunk(body) == (b"".join(bytes([number]) * size for number in range(parts)), True)

    run(scenario())


def test_a_bug_is_an_error_and_no_silence(run, caplog):
    """500 where nothing has been said yet; the connection closes either way."""

    async def handle(incoming, downstream):
        if incoming.body == b"late":
            await downstream.start(200, {})
        raise ZeroDivisionError

    async def scenario():
        async with fast_server(handle) as (url, _, _):
            assert (await exchange(url, post())).startswith(b"HTTP/1.1 500 ")
            late = await exchange(url, post(b"late"))
            assert late.startswith(b"HTTP/1.1 200 ")
            assert not late.endswith(b"0\r\n\r\n")

    run(scenario())


def test_draining(run):
    """An idle connection closes at once; a request that has begun is served, and says that it is the last."""

    async def scenario():
        async with fast_server(echo) as (url, path, _), dial(url) as idle, dial(url) as busy:
            for client in (idle, busy):
                client.writer.write(post())
                await client.reply()
            busy.writer.write(post(b"abc")[:-1])
            await asyncio.sleep(0.01)
            for connection in list(path.connections):
                connection.drain_and_close()
            assert await idle.reader.read(1) == b""
            busy.writer.write(b"c")
            reply = await busy.reply()
            assert (reply.body, reply.headers["connection"]) == (b"/v1/chat/completions abc", "close")
            assert await busy.reader.read(1) == b""

    run(scenario())
