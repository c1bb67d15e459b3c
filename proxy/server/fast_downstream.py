"""One reply on a connection of the fast path: the `Downstream` of the request path, written by hand."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .connection import FastConnection

STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_END: Final = b"0\r\n\r\n"


class FastDownstream:
    """Keeps the `Downstream` protocol of the request path."""

    __slots__ = ("_connection", "has_started", "is_finished", "keep_alive")

    def __init__(self, connection: FastConnection, *, keep_alive: bool) -> None:
        self.has_started = False
        self.is_finished = False
        self.keep_alive = keep_alive
        self._connection = connection

    @property
    def is_full(self) -> bool:
        """Whether the client is slow and should be given time: see `drain`."""
        return self._connection.is_full

    async def start(self, status: int, headers: dict[str, str]) -> None:
        """Begin a streamed reply."""
        self.has_started = True
        self._connection.write(self._head(status, headers, b"transfer-encoding: chunked\r\n"))

    def put(self, data: bytes) -> None:
        """Send a part of a streamed reply without waiting."""
        if data:
            self._connection.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def write(self, data: bytes) -> None:
        """Send a part of it; returns when the client has room for more."""
        self.put(data)
        if self._connection.is_full:
            await self._connection.drain()

    async def drain(self) -> None:
        """Wait until the client has room; raises ConnectionError when it has gone."""
        await self._connection.drain()

    async def finish(self) -> None:
        """End it cleanly."""
        self._connection.write(_END)
        self.is_finished = True

    def abort(self) -> None:
        """Close the connection behind what has been written, without the end that chunked encoding asks for."""
        self._connection.close()

    async def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Send a whole reply."""
        self.has_started = self.is_finished = True
        self._connection.write(self._head(status, headers, b"content-length: %d\r\n" % len(body)) + body)

    def _head(self, status: int, headers: dict[str, str], framing: bytes) -> bytes:
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items() if "\n" not in value and "\r" not in value])
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        first = STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status  # model servers have numbers of their own, such as 529
        return first + lines.encode("latin-1", "replace") + framing + end
