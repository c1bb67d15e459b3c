"""The line between the owner and one worker: a socket pair, and messages in frames of a length and MessagePack.

Both ends are processes of ours and of one version. Nobody waits for the other: what is sent is queued by the transport, and an
end that does not read is given up, as if it had died.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from typing import Final, Generic, TypeVar, cast

import msgspec

from ..errors import JevonsError

MOST_QUEUED_BYTES: Final = 64 * 1024 * 1024
MOST_FRAME_BYTES: Final = 256 * 1024 * 1024
_LENGTH: Final = struct.Struct("!I")

In = TypeVar("In")


class Frames(Generic[In]):
    """Bytes into messages. Raises JevonsError for what no end of ours has sent."""

    def __init__(self, kind: object) -> None:
        self._decoder: msgspec.msgpack.Decoder[In] = msgspec.msgpack.Decoder(kind)
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[In]:
        """The messages that are whole now."""
        self._bytes += data
        found: list[In] = []
        at = 0
        while len(self._bytes) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._bytes, at)
            if length > MOST_FRAME_BYTES:
                raise JevonsError(f"a frame of {length} bytes between the owner and a worker")
            if len(self._bytes) - at - _LENGTH.size < length:
                break
            at += _LENGTH.size
            try:
                found.append(self._decoder.decode(memoryview(self._bytes)[at : at + length]))
            except msgspec.DecodeError as error:
                raise JevonsError(f"not understood between the owner and a worker: {error}") from error
            at += length
        del self._bytes[:at]
        return found


def frame(message: msgspec.Struct) -> bytes:
    """One message as it is sent."""
    body = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(body)) + body


class Link(asyncio.Protocol, Generic[In]):
    """One end.

    Args:
        kind: The union of what may come.
        receive: Takes each message.
        lost: Told once when the other end is gone, or was given up.
    """

    def __init__(self, kind: object, receive: Callable[[In], None], lost: Callable[[], None]) -> None:
        self._frames: Frames[In] = Frames(kind)
        self._receive = receive
        self._lost = lost
        self._transport: asyncio.WriteTransport | None = None

    async def open(self, end: socket.socket) -> None:
        """Speak through this end of a socket pair."""
        await asyncio.get_running_loop().create_unix_connection(lambda: self, sock=end)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It can be spoken through."""
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's are none by class

    def data_received(self, data: bytes) -> None:
        """Pass on what is whole."""
        for message in self._frames.feed(data):
            self._receive(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """The other end is gone."""
        del exc
        self._transport = None
        self._lost()

    @property
    def is_open(self) -> bool:
        """Whether there is somebody to send to."""
        return self._transport is not None

    def send(self, message: msgspec.Struct) -> None:
        """Queue one message; to an end that is gone nothing is sent."""
        self.send_frame(frame(message))

    def send_frame(self, data: bytes) -> None:
        """The same for one that is encoded already, and goes to several."""
        transport = self._transport
        if transport is None:
            return
        transport.write(data)
        if transport.get_write_buffer_size() > MOST_QUEUED_BYTES:
            transport.abort()

    def close(self) -> None:
        """Send what is queued, and end."""
        if self._transport is not None:
            self._transport.close()
