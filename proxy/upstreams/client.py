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
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Final, Self
from urllib.parse import SplitResult, urlsplit

import aiohttp

from ..errors import UpstreamUnavailable
from ..exchange import Dialect, Endpoint, Upstream
from ..units import Seconds
from .connection import UpstreamConnection
from .gather import CAN_GATHER, TICK_SECONDS, Gatherer
from .litellm_leg import LitellmLeg
from .pool import Pool
from .reply import UpstreamReply
from .silence import SilenceWatch

VIA: Final = "1.1 jevons"
OUTSIDE: Final = "the client is used outside of its `async with`"
_OURS: Final = frozenset(
    {"accept-encoding", "authorization", "connection", "content-length", "content-type", "host", "transfer-encoding", "via"}
)
"""Headers that only we set."""
_PORTS: Final = {"http": 80, "https": 443}


class Server:
    """One upstream's address, the part of its requests that never changes, and its connections."""

    def __init__(self, upstream: Upstream, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.upstream = upstream
        self.url = urlsplit(upstream.base_url)
        self.heads = {endpoint: _fixed_head(upstream, self.url, endpoint) for endpoint in Endpoint}
        self.pool: Pool[UpstreamConnection] = Pool()
        self.connections: set[UpstreamConnection] = set()

    def is_elsewhere(self, upstream: Upstream) -> bool:
        """Whether the name now means another address, or is asked with another key."""
        before, self.upstream = self.upstream, upstream
        return (before.base_url, before.api_key) != (upstream.base_url, upstream.api_key)

    def idle(self, connection: UpstreamConnection) -> None:
        """Keep it for the next request."""
        for old in self.pool.put(connection, self._loop.time()):
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
        self._watch: SilenceWatch | None = None
        self._litellm: LitellmLeg | None = None

    async def __aenter__(self) -> Self:
        """Make the session for cheap questions, and what all connections share."""
        loop = asyncio.get_running_loop()
        self._watch = SilenceWatch(loop)
        if self._tick_seconds > 0 and CAN_GATHER:
            self._gatherer = Gatherer(loop, tick_seconds=self._tick_seconds)
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close every connection."""
        if self._litellm is not None:
            await self._litellm.close()
        for server in self._servers.values():
            for connection in list(server.connections):
                connection.abort()
        if self._gatherer is not None:
            self._gatherer.close()
        if self._watch is not None:
            self._watch.close()
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """For cheap questions, such as health: what is hot has connections of its own."""
        if self._session is None:
            raise RuntimeError(OUTSIDE)
        return self._session

    async def send(
        self,
        upstream: Upstream,
        endpoint: Endpoint,
        body: bytes,
        content_type: str,
        headers: Mapping[str, str],
        *,
        on_way: Callable[[], None] | None = None,
    ) -> UpstreamReply:
        """Send one request and return once the reply's headers are there.

        `on_way` is called as soon as it has gone out, or before whatever has to be waited for: what the server need not wait
        for belongs there.

        Raises UpstreamUnavailable where no connection comes about, UpstreamTimedOut where no headers come, UpstreamError
        where the connection breaks before them. Being cancelled closes the connection.
        """
        if self._watch is None:
            raise RuntimeError(OUTSIDE)
        if upstream.dialect is Dialect.LITELLM:
            if on_way is not None:
                on_way()
            return await self._leg().send(upstream, endpoint, body, self._watch)
        server = self._servers.get(upstream.name)
        if server is None or (server.upstream is not upstream and server.is_elsewhere(upstream)):
            server = self._servers[upstream.name] = Server(upstream, self._watch.loop)
        own = "".join([f"{name}: {value}\r\n" for name, value in headers.items() if name not in _OURS])
        rest = f"{own}content-type: {content_type}\r\ncontent-length: {len(body)}\r\n\r\n".encode("latin-1")
        connection = server.pool.take(self._watch.loop.time())
        if connection is None:
            if on_way is not None:
                on_way()
                on_way = None
            connection = await self._connect(server, upstream)
        reply = connection.send(server.heads[endpoint] + rest + body, upstream.name, upstream.timeouts)
        try:
            if on_way is not None:
                on_way()
            await reply.head()
        except BaseException:
            reply.close()  # which knows whether the connection is still its own: a whole reply's may be another's by now
            raise
        return reply

    def prepare(self, upstreams: Iterable[Upstream]) -> None:
        """Begin what takes long where one of these will need it, so that no request waits for it."""
        if any(upstream.dialect is Dialect.LITELLM for upstream in upstreams):
            self._leg().start()

    def _leg(self) -> LitellmLeg:
        if self._litellm is None:
            self._litellm = LitellmLeg()
        return self._litellm

    async def _connect(self, server: Server, upstream: Upstream) -> UpstreamConnection:
        await asyncio.sleep(0)  # a request's first step belongs to no task yet, and a timeout does
        loop = asyncio.get_running_loop()
        url = server.url
        seconds = upstream.timeouts.connect_seconds
        try:
            async with asyncio.timeout(seconds):
                _, connection = await loop.create_connection(
                    partial(UpstreamConnection, loop, server, self._gatherer, self._watch),
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
