"""The client's leg alone: how a reply begins, ends, and is broken off, on a real socket."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from proxy_client import dial
from scripted_upstream import unchunk

from jevons.proxy.server.downstream import AiohttpDownstream


@asynccontextmanager
async def served(handle):
    """The address of a server whose every request gets `handle(downstream)`."""

    async def handler(request):
        downstream = AiohttpDownstream(request)
        assert not downstream.has_started
        await handle(downstream)
        return downstream.response

    app = web.Application()
    app.router.add_get("/", handler)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def ask(client):
    """One GET."""
    await client.head("GET /", {"host": "test"})


async def test_a_whole_reply():
    """Status, headers and body, and the connection stays for the next."""

    async def handle(downstream):
        await downstream.reply(418, {"content-type": "text/plain", "x-a": "b"}, b"short and stout")
        assert downstream.has_started

    async with served(handle) as url, dial(url) as client:
        for _ in range(2):
            await ask(client)
            reply = await client.reply()
            assert (reply.status, reply.body) == (418, b"short and stout")
            assert (reply.headers["content-type"], reply.headers["x-a"]) == ("text/plain", "b")


async def test_a_stream_goes_out_as_it_is_written():
    """Each part at once, in a chunk of its own; the end is a proper one and the connection stays."""
    goes_on = asyncio.Event()

    async def handle(downstream):
        await downstream.start(200, {"content-type": "text/event-stream"})
        assert downstream.has_started
        await downstream.write(b"one")
        await goes_on.wait()
        await downstream.write(b"two")
        await downstream.finish()

    async with served(handle) as url, dial(url) as client:
        await ask(client)
        status, headers = await client.reply_head()
        assert (status, headers["content-type"]) == (200, "text/event-stream")
        assert await client.reader.readexactly(8) == b"3\r\none\r\n"
        goes_on.set()
        assert unchunk(await client.reader.readexactly(13)) == (b"two", True)
        await ask(client)
        assert (await client.reply_head())[0] == 200


@pytest.mark.parametrize("size", [3, 5_000_000])
async def test_a_stream_that_is_broken_off_has_no_end(size):
    """All that was written arrives, then the connection closes without the last chunk, also where the client reads slowly."""
    seen = []

    async def handle(downstream):
        await downstream.start(200, {})
        await downstream.write(b"x" * size)
        downstream.abort()
        seen.append(downstream.has_started)

    async with served(handle) as url, dial(url) as client:
        await ask(client)
        await client.reply_head()
        await asyncio.sleep(0.05)
        async with asyncio.timeout(5):
            assert unchunk(await client.reader.read(-1)) == (b"x" * size, False)
    assert seen == [True]


async def test_writing_to_a_client_that_has_left_ends_the_handler():
    """By a cancellation, or an error that says that the connection is gone."""
    ended = asyncio.get_running_loop().create_future()

    async def handle(downstream):
        await downstream.start(200, {})
        try:
            while True:
                await downstream.write(b"x" * 100_000)
        except (asyncio.CancelledError, ConnectionError) as error:
            ended.set_result(type(error))
            raise

    async with served(handle) as url, dial(url) as client:
        await ask(client)
        await client.reply_head()
        client.reset()
        async with asyncio.timeout(1):
            assert await ended
