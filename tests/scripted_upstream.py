"""Model servers that do on the wire what a test tells them to, byte by byte, or that listen in on others."""

import asyncio
import json
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from proxy_client import dial


@dataclass
class Call:
    """One request as an upstream got it."""

    connection: int
    """Which of its connections it came over."""
    start: str
    headers: dict
    body: bytes
    writer: asyncio.StreamWriter
    has_left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the proxy has closed the connection."""

    @property
    def json(self):
        """The body, parsed."""
        return json.loads(self.body)

    async def send(self, *parts):
        """Send bytes, each part by itself."""
        for part in parts:
            self.writer.write(part)
            await self.writer.drain()
            await asyncio.sleep(0)

    async def forever(self):
        """Say nothing more."""
        await self.has_left.wait()


class ScriptedUpstream:
    """A model server that answers every POST as its `script` says, and GET with a list of no models."""

    def __init__(self, script):
        self.script = script
        self.calls = []
        self.url = ""
        self._connections = 0
        self._tasks = set()

    @asynccontextmanager
    async def running(self):
        """Listen until the block is left."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=2**26)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._connections += 1
        number = self._connections
        early = b""
        try:
            while not writer.is_closing():
                early = await self._answer(number, reader, writer, early)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return  # the proxy has left, or the test is over
        finally:
            writer.close()

    async def _answer(self, number, reader, writer, early):
        head = (early + await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        if head[0].startswith("GET"):
            writer.write(http_reply(b'{"object":"list","data":[]}'))
            return b""
        call = Call(number, head[0], headers, body, writer)
        self.calls.append(call)
        watch = asyncio.create_task(self._watch(reader, call))
        try:
            await self.script(call)
        finally:
            watch.cancel()
            await asyncio.wait([watch])
        return b"" if watch.cancelled() else watch.result()

    @staticmethod
    async def _watch(reader, call):
        """The proxy sends nothing before it has its reply: the end of what it sends is its leaving.

        The first byte of the next request, which may come before the script has ended, is given back.
        """
        with suppress(ConnectionError):
            if early := await reader.read(1):
                return early
        call.has_left.set()
        return b""


class Tap:
    """Stands between the proxy and a server, passes every byte, and keeps what the server sent."""

    def __init__(self, url):
        self.url = ""
        self.sent = b""
        self._target = url
        self._tasks = set()

    @asynccontextmanager
    async def running(self):
        """Listen until the block is left."""
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def take_body(self):
        """The body of the reply that was sent since the last time, out of its chunks where it had some."""
        head, _, body = self.sent.partition(b"\r\n\r\n")
        self.sent = b""
        if b"transfer-encoding: chunked" not in head.lower():
            return body
        body, is_whole = unchunk(body)
        assert is_whole
        return body

    async def _pass(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        async with dial(self._target) as server:
            up = asyncio.create_task(self._pump(reader, server.writer, self._ignore))
            try:
                await self._pump(server.reader, writer, self._keep)
            except asyncio.CancelledError:
                pass  # the test is over
            finally:
                up.cancel()
                await asyncio.wait([up])
                writer.close()

    @staticmethod
    async def _pump(reader, writer, note):
        with suppress(ConnectionError):
            while block := await reader.read(65536):
                note(block)
                writer.write(block)
                await writer.drain()
        writer.close()

    def _keep(self, block):
        self.sent += block

    @staticmethod
    def _ignore(block):
        """What the proxy sends is the server's to tell."""


@asynccontextmanager
async def bare_server(handle):
    """The `host:port` of a TCP server whose every connection `handle(reader, writer)` serves; what it leaves open is closed."""
    served = set()

    async def serve(reader, writer):
        served.add(asyncio.current_task())
        try:
            with suppress(ConnectionError, asyncio.CancelledError):
                await handle(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in served:
            task.cancel()
        await asyncio.gather(*served, return_exceptions=True)


async def speaks_ssh(reader, writer):
    """Something else than HTTP."""
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    await reader.read()


def http_reply(body, status=200, content_type="application/json", headers=""):
    """A reply with its length."""
    head = f"HTTP/1.1 {status} Whatever\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\n{headers}\r\n"
    return head.encode() + body


def stream_head(headers=""):
    """The head of an event stream in chunks."""
    return f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n{headers}\r\n".encode()


def chunk(data):
    """One chunk of a body; the empty one is its end."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def unchunk(raw):
    """The body in a chunked reply, and whether it came to its proper end."""
    body = b""
    while raw:
        size, _, raw = raw.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            return body, True
        body, raw = body + raw[:length], raw[length + 2 :]
    return body, False


def replies(*parts):
    """A script that sends these parts to everyone."""

    async def script(call):
        await call.send(*parts)

    return script


def streams(*blocks, headers=""):
    """A script that sends these blocks as a chunked event stream that ends well."""
    return replies(stream_head(headers), *map(chunk, blocks), chunk(b""))


def in_turn(*scripts):
    """A script that answers its first call as the first of these would, and so on."""
    left = iter(scripts)

    async def script(call):
        await next(left)(call)

    return script
