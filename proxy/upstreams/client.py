"""The upstream leg: one attempt at one model server.

Closing the reply before its end closes the connection, and that is the signal on which vLLM, SGLang, llama.cpp and Ollama
stop generating. There is no total timeout and no cap on connections: a reasoning model may think for an hour, and the
limit on concurrency is the operator's.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Mapping
from functools import partial
from types import TracebackType
from typing import Final, Self
from urllib.parse import SplitResult, urlsplit

import aiohttp

from ..errors import UpstreamUnavailable
from ..exchange import Endpoint, Upstream
from ..units import Seconds
from .connection import UpstreamConnection
from .gather import CAN_GATHER, TICK_SECONDS, Gatherer
from .pool import Pool
from .reply import UpstreamReply

VIA: Final = "1.1 jevons"
OUTSIDE: Final = "the client is used outside of its `async with`"
_OURS: Final = frozenset(
    {"accept-encoding", "authorization", "connection", "content-length", "content-type", "host", "transfer-encoding", "via"}
)
"""Headers that only we set."""
_PORTS: Final = {"http": 80, "https": 443}


class Server:
    """One upstream's address, the part of its requests that never changes, and its connections."""

    def __init__(self, upstream: Upstream) -> None:
        self.url = urlsplit(upstream.base_url)
        self.heads = {endpoint: _fixed_head(upstream, self.url, endpoint) for endpoint in Endpoint}
        self.pool: Pool[UpstreamConnection] = Pool()
        self.connections: set[UpstreamConnection] = set()

    def idle(self, connection: UpstreamConnection) -> None:
        """Keep it for the next request."""
        for old in self.pool.put(connection, asyncio.get_running_loop().time()):
            old.abort()

    def lost(self, connection: UpstreamConnection) -> None:
        """Forget it."""
        self.connections.discard(connection)


class UpstreamClient:
    """Connections to model servers. Use as `async with`."""

    def __init__(self, *, tick_seconds: Seconds = TICK_SECONDS) -> None:
        self._tick_seconds = tick_seconds
        self._session: aiohttp.ClientSession | None = None
        self._servers: dict[str, Server] = {}
        self._gatherer: Gatherer | None = None

    async def __aenter__(self) -> Self:
        """Make the session for cheap questions, and the gatherer."""
        if self._tick_seconds > 0 and CAN_GATHER:
            self._gatherer = Gatherer(asyncio.get_running_loop(), tick_seconds=self._tick_seconds)
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close every connection."""
        for server in self._servers.values():
            for connection in list(server.connections):
                connection.abort()
        if self._gatherer is not None:
            self._gatherer.close()
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """For cheap questions, such as health: what is hot has connections of its own."""
        if self._session is None:
            raise RuntimeError(OUTSIDE)
        return self._session

    async def send(
        self, upstream: Upstream, endpoint: Endpoint, body: bytes, content_type: str, headers: Mapping[str, str]
    ) -> UpstreamReply:
        """Send one request and return once the reply's headers are there.

        Raises UpstreamUnavailable where no connection comes about, UpstreamTimedOut where no headers come, UpstreamError
        where the connection breaks before them. Being cancelled closes the connection.
        """
        server = self._servers.get(upstream.name)
        if self._session is None:
            raise RuntimeError(OUTSIDE)
        if server is None:
            server = self._servers[upstream.name] = Server(upstream)
        own = "".join([f"{name}: {value}\r\n" for name, value in headers.items() if name not in _OURS])
        rest = f"{own}content-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n".encode("latin-1")
        connection = server.pool.take(asyncio.get_running_loop().time()) or await self._connect(server, upstream)
        reply = connection.send(server.heads[endpoint] + rest + body, upstream.name, upstream.timeouts)
        try:
            await reply.head()
        except BaseException:
            connection.abort()
            raise
        return reply

    async def _connect(self, server: Server, upstream: Upstream) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        url = server.url
        seconds = upstream.timeouts.connect_seconds
        try:
            async with asyncio.timeout(seconds):
                _, connection = await loop.create_connection(
                    partial(UpstreamConnection, loop, server, self._gatherer),
                    url.hostname or "",
                    url.port or _PORTS[url.scheme],
                    ssl=ssl.create_default_context() if url.scheme == "https" else None,
                )
        except TimeoutError as error:
            raise UpstreamUnavailable(f"Upstream {upstream.name!r} could not be reached in {seconds:g} s.") from error
        except OSError as error:
            raise UpstreamUnavailable(f"Upstream {upstream.name!r} cannot be reached: {describe(error)}.") from error
        except UnicodeError as error:
            raise UpstreamUnavailable(f"Upstream {upstream.name!r} has a host name that cannot be looked up.") from error
        server.connections.add(connection)
        return connection


def _fixed_head(upstream: Upstream, url: SplitResult, endpoint: Endpoint) -> bytes:
    lines = [
        f"POST {url.path.rstrip('/')}{endpoint.value.removeprefix('/v1')} HTTP/1.1",
        f"host: {url.netloc}",
        "accept-encoding: identity",
        f"via: {VIA}",
    ]
    if upstream.api_key is not None:
        lines.append(f"authorization: Bearer {upstream.api_key}")
    return ("\r\n".join(lines) + "\r\n").encode("latin-1")


def describe(error: Exception) -> str:
    """What went wrong on the wire, without addresses: they are the operator's business, not the client's."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    match cause:
        case ssl.SSLCertVerificationError() as reason:
            return f"its certificate is not valid: {reason.verify_message}"
        case ssl.SSLError(reason=str(reason)) | socket.gaierror(strerror=str(reason)):
            return reason
        case OSError(errno=int(number)):
            return os.strerror(number)
    return type(cause).__name__
