"""The downstream leg: one reply to one client, over aiohttp."""

from __future__ import annotations

from aiohttp import web


class AiohttpDownstream:
    """Keeps the `Downstream` protocol of the request path. `response` is what the handler returns in the end."""

    def __init__(self, request: web.Request) -> None:
        self._request = request
        self.response: web.StreamResponse | None = None
        self._put: list[bytes] = []

    @property
    def has_started(self) -> bool:
        """Whether the status line has gone out."""
        return self.response is not None

    async def start(self, status: int, headers: dict[str, str]) -> None:
        """Begin a streamed reply."""
        self.response = web.StreamResponse(status=status, headers=headers)
        await self.response.prepare(self._request)

    @property
    def is_full(self) -> bool:
        """What is put has to be drained: aiohttp's `write` waits by itself."""
        return bool(self._put)

    def put(self, data: bytes) -> None:
        """Keep a part until `write` sends it."""
        self._put.append(data)

    async def write(self, data: bytes) -> None:
        """Send a part of it; returns when the client has room for more."""
        put, self._put = self._put, []
        data = b"".join([*put, data])
        if self.response is not None and data:
            await self.response.write(data)

    async def finish(self) -> None:
        """End it cleanly."""
        if self.response is not None:
            await self.response.write_eof()

    def abort(self) -> None:
        """Close the connection behind what has been written, without the end that chunked encoding asks for."""
        if self._request.transport is not None:
            self._request.transport.close()

    async def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Send a whole reply: aiohttp does, when the handler returns it."""
        self.response = web.Response(status=status, headers=headers, body=body)
