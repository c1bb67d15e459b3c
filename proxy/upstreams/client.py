"""The upstream leg: one attempt at one model server.

Closing the reply before its end closes the connection, and that is the signal on which vLLM, SGLang, llama.cpp and Ollama
stop generating. There is no total timeout and no cap on connections: a reasoning model may think for an hour, and the
limit on concurrency is the operator's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

import aiohttp

from ..errors import UpstreamError, UpstreamTimedOut, UpstreamUnavailable
from ..exchange import Endpoint, Timeouts, Upstream

KEEPALIVE_SECONDS: Final = 4.0
"""Less than the five after which uvicorn, under vLLM and SGLang, closes: or requests would race into a closing connection."""
READ_BUFFER_BYTES: Final = 256 * 1024
REPLY_LIMIT_BYTES: Final = 256 * 1024 * 1024
"""Of a reply that is held whole: beyond this it is no answer."""
VIA: Final = "1.1 jevons"


@dataclass(slots=True)
class UpstreamReply:
    """A model server's answer, from its headers on."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    _response: aiohttp.ClientResponse
    _timeouts: Timeouts
    _name: str
    _peeked: bytes = b""

    @property
    def is_stream(self) -> bool:
        """Whether it is server-sent events, which the reply says and not the request: some servers stream unasked."""
        return self.headers.get("content-type", "").startswith("text/event-stream")

    async def next_block(self) -> bytes:
        """The bytes that have arrived, at least one; empty at the end.

        Raises UpstreamError where the body breaks off, UpstreamTimedOut where it falls silent.
        """
        if self._peeked:
            block, self._peeked = self._peeked, b""
            return block
        try:
            async with asyncio.timeout(self._timeouts.idle_seconds):
                return await self._response.content.readany()
        except TimeoutError as error:
            raise UpstreamTimedOut(f"Upstream {self._name!r} sent nothing for {self._timeouts.idle_seconds:g} s.") from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise UpstreamError(f"Upstream {self._name!r} broke off its reply: {describe(error)}.") from error

    async def read(self) -> bytes:
        """The whole body."""
        parts: list[bytes] = []
        size = 0
        while block := await self.next_block():
            parts.append(block)
            size += len(block)
            if size > REPLY_LIMIT_BYTES:
                raise UpstreamError(f"Upstream {self._name!r} sent more than {REPLY_LIMIT_BYTES} bytes.")
        return b"".join(parts)

    async def refuses(self, field: str) -> bool:
        """Whether this is an error about a field of the request; the body can still be read."""
        if self.status not in {400, 422}:
            return False
        self._peeked = await self.read()
        return field.encode() in self._peeked

    def close(self) -> None:
        """Let go: the connection is closed unless the body has been read to its end, and then it is kept for the next."""
        self._response.close()


class UpstreamClient:
    """Connections to model servers. Use as `async with`."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Make the connection pool."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=READ_BUFFER_BYTES,
            timeout=aiohttp.ClientTimeout(),
        )
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The session, for cheap questions such as health."""
        if self._session is None:
            message = "the client is used outside of its `async with`"
            raise RuntimeError(message)
        return self._session

    async def send(
        self, upstream: Upstream, endpoint: Endpoint, body: bytes, content_type: str, headers: Mapping[str, str]
    ) -> UpstreamReply:
        """Send one request and return once the reply's headers are there.

        Raises UpstreamUnavailable where no connection comes about, UpstreamTimedOut where no headers come, UpstreamError
        where the connection breaks before them. Being cancelled closes the connection.
        """
        timeouts = upstream.timeouts
        try:
            async with asyncio.timeout(timeouts.first_byte_seconds):
                response = await self.session.post(
                    upstream.base_url + endpoint.value.removeprefix("/v1"),
                    data=body,
                    headers=_request_headers(upstream, content_type, headers),
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect_seconds),
                )
        except aiohttp.ConnectionTimeoutError as error:
            message = f"Upstream {upstream.name!r} could not be reached in {timeouts.connect_seconds:g} s."
            raise UpstreamUnavailable(message) from error
        except TimeoutError as error:
            message = f"Upstream {upstream.name!r} did not answer in {timeouts.first_byte_seconds:g} s."
            raise UpstreamTimedOut(message) from error
        except aiohttp.ClientConnectorError as error:
            raise UpstreamUnavailable(f"Upstream {upstream.name!r} cannot be reached: {describe(error)}.") from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise UpstreamError(f"Upstream {upstream.name!r} broke off before it answered: {describe(error)}.") from error
        lower = {name.lower(): value for name, value in response.headers.items()}
        return UpstreamReply(response.status, lower, response, timeouts, upstream.name)


def _request_headers(upstream: Upstream, content_type: str, headers: Mapping[str, str]) -> dict[str, str]:
    own = {"content-type": content_type, "accept-encoding": "identity", "via": VIA}
    if upstream.api_key is not None:
        own["authorization"] = f"Bearer {upstream.api_key}"
    return {**headers, **own}


def describe(error: Exception) -> str:
    """What went wrong on the wire, without addresses: they are the operator's business, not the client's."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or type(error.os_error).__name__
    return type(error).__name__
