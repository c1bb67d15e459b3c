"""For tests of the lean legs: each of them alone, on a real socket; the fixture that runs a scenario is in `lean_fixture`."""

import asyncio
from contextlib import asynccontextmanager

from proxy_client import dial

from jevons.proxy.exchange import Timeouts
from jevons.proxy.identity import Identity
from jevons.proxy.server.connection import FastConnection, FastPath
from jevons.proxy.upstreams.connection import UpstreamConnection
from jevons.proxy.upstreams.gather import Gatherer

GET_BACK = b"200 from the slow path"


class Slow(asyncio.Protocol):
    """In place of aiohttp: keeps what it is given, and answers it once."""

    def __init__(self, taken):
        self.taken = taken
        self.transport = None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.taken.append(data)
        self.transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(GET_BACK), GET_BACK))


@asynccontextmanager
async def fast_server(handle, **options):
    """A server of fast connections: `(url, path, handed_over)`."""
    handed_over = []
    fields = {
        "paths": frozenset({b"/v1/chat/completions", b"/other"}),
        "admit": lambda _, headers: Identity(headers.get("x-tenant", "default")),
        "body_limit_bytes": 1000,
        "header_seconds": 5.0,
        "body_seconds": 5.0,
        **options,
    }
    path = FastPath(handle=handle, slow=lambda: Slow(handed_over), **fields)
    server = await asyncio.get_running_loop().create_server(lambda: FastConnection(path), "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", path, handed_over
    finally:
        server.close()
        for connection in list(path.connections):
            connection.abort()
        await asyncio.sleep(0.01)


async def exchange(url, *parts):
    """Send these parts, one by one, and return all that comes back before the server closes."""
    async with dial(url) as client:
        for part in parts:
            client.writer.write(part)
            await asyncio.sleep(0.002)
        return await client.reader.read(-1)


class Owner:
    """Keeps the connections that it is told of."""

    def __init__(self):
        self.kept = []
        self.gone = []

    def idle(self, connection):
        self.kept.append(connection)

    def lost(self, connection):
        self.gone.append(connection)


class Wire:
    """A model server's end of one socket, and ours."""

    def __init__(self, connection, owner, reader, writer):
        self.connection = connection
        self.owner = owner
        self.reader = reader
        self.writer = writer

    def ask(self, **timeouts):
        """Send a request over our end."""
        return self.connection.send(b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n", "chat", Timeouts(**timeouts))

    async def say(self, *parts):
        """Have the server send these."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()

    async def answer(self, *parts, closes=False):
        """Ask, have the server answer so, and return the reply with its head."""
        reply = self.ask()
        await self.say(*parts)
        if closes:
            self.writer.close()
        await reply.head()
        return reply


@asynccontextmanager
async def wire(*, tick_seconds=None, watch=None):
    """A connection to a server that says what it is told; gathered on that tick where one is given."""
    accepted = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(lambda *both: accepted.set_result(both), "127.0.0.1", 0)
    loop = asyncio.get_running_loop()
    owner = Owner()
    gatherer = None if tick_seconds is None else Gatherer(loop, tick_seconds=tick_seconds)
    host, port = server.sockets[0].getsockname()
    _, connection = await loop.create_connection(lambda: UpstreamConnection(loop, owner, gatherer, watch), host, port)
    reader, writer = await accepted
    try:
        yield Wire(connection, owner, reader, writer)
    finally:
        connection.abort()
        writer.close()
        server.close()
        await asyncio.sleep(0.01)
        if gatherer is not None:
            gatherer.close()
