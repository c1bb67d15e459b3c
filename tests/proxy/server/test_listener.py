"""Bound sockets, on both loops: who may bind, where a connection begins, and what becomes of it at the end."""

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest
from aiohttp import web
from proxy_client import dial, free_port

from jevons.proxy.address import Address
from jevons.proxy.errors import JevonsError
from jevons.proxy.server.connection import FastPath
from jevons.proxy.server.listener import Listener

pytest_plugins = ["lean_fixture"]

FAST = b"POST /fast HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}"
SLOW = b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n"


class World:
    """An application with a fast path; what is in flight on either goes on when `goes_on` is set."""

    def __init__(self, port=0, drain_seconds=5.0):
        self.goes_on = asyncio.Event()
        self.entered = 0
        app = web.Application()
        app.router.add_get("/slow", self.answer_slowly)
        self.listener = Listener(app, Address("127.0.0.1", port), drain_seconds=drain_seconds, fast=self.fast)

    def fast(self, slow):
        return FastPath(
            paths=frozenset({b"/fast"}),
            admit=lambda *_: "",
            handle=self.answer,
            slow=slow,
            body_limit_bytes=100,
            header_seconds=5,
            body_seconds=5,
        )

    async def answer(self, _incoming, downstream):
        self.entered += 1
        await self.goes_on.wait()
        await downstream.reply(200, {}, b"fast")

    async def answer_slowly(self, _request):
        self.entered += 1
        await self.goes_on.wait()
        return web.Response(body=b"slow")


@asynccontextmanager
async def dial_all(world):
    """A listener that the test leaves itself, and three connections to it."""
    async with AsyncExitStack() as stack:
        await world.listener.__aenter__()
        clients = [await stack.enter_async_context(dial(world.listener.url)) for _ in range(3)]
        yield partial(world.listener.__aexit__, None, None, None), clients


async def entered(world, count):
    """Return once so many requests are in flight."""
    while world.entered < count:  # noqa: ASYNC110 - the handlers have nobody to tell
        await asyncio.sleep(0.001)


def test_both_paths_on_one_socket(run):
    """Plain requests are served by the fast one, everything else by aiohttp, on one connection too."""

    async def scenario():
        world = World()
        world.goes_on.set()
        async with world.listener as listener, dial(listener.url) as client:
            for request, body in ((FAST, b"fast"), (FAST, b"fast"), (SLOW, b"slow"), (SLOW, b"slow")):
                client.writer.write(request)
                assert (await client.reply()).body == body

    run(scenario())


def test_leaving_waits_for_what_is_in_flight(run):
    """On either path; idle connections close at once, and nobody comes in any more."""

    async def scenario():
        world = World()
        async with dial_all(world) as (leave, clients):
            idle, fast, slow = clients
            fast.writer.write(FAST)
            slow.writer.write(SLOW)
            await entered(world, 2)
            leaving = asyncio.create_task(leave())
            assert await idle.reader.read(-1) == b""
            assert not leaving.done()
            world.goes_on.set()
            assert ((await fast.reply()).body, (await slow.reply()).body) == (b"fast", b"slow")
            await leaving
            with pytest.raises(OSError, match=r"refused|failed"):
                async with dial(world.listener.url):
                    pass

    run(scenario())


def test_the_deadline_cuts_off(run):
    """What does not end by then is cut off, on either path."""

    async def scenario():
        world = World(drain_seconds=0.05)
        async with dial_all(world) as (leave, clients):
            _, fast, slow = clients
            fast.writer.write(FAST)
            slow.writer.write(SLOW)
            await entered(world, 2)
            await leave()
            for client in (fast, slow):
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await client.reply_head()

    run(scenario())


def test_an_address_that_is_taken(run):
    """Said in words, with the address."""

    async def scenario():
        port = free_port()
        async with World(port).listener:
            with pytest.raises(JevonsError, match=rf"^cannot listen on 127\.0\.0\.1:{port}: address already in use$"):
                async with World(port).listener:
                    pass

    run(scenario())
