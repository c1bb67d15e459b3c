"""One connection to a model server, parsed by llhttp: what arrives is handed on in the same turn of the loop.

Nothing here decides: `pool` says which connection to take, `client` sends, and the reply knows who waits for it.
"""

from __future__ import annotations

import asyncio
import os
import zlib
from typing import Final, Protocol, cast

import httptools

from ..exchange import Timeouts
from ..header_names import header_name
from ..units import Seconds
from .gather import Gatherer
from .reply import FINAL_STATUS, REPLY_LIMIT_BYTES, UpstreamReply
from .silence import SilenceWatch

HEAD_LIMIT_BYTES: Final = 64 * 1024
READ_BYTES: Final = 256 * 1024
_ENCODINGS: Final = frozenset({"identity", "gzip", "deflate"})
_GZIP_OR_ZLIB: Final = zlib.MAX_WBITS | 32


class Owner(Protocol):
    """Whoever keeps connections."""

    def idle(self, connection: UpstreamConnection) -> None:
        """Its reply has ended; it may serve another request."""
        ...

    def lost(self, connection: UpstreamConnection) -> None:
        """It is closed."""
        ...


class UpstreamConnection(asyncio.Protocol):
    """The connection itself. `owner` is told when another request may be sent, and when none may be any more."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        owner: Owner,
        gatherer: Gatherer | None = None,
        watch: SilenceWatch | None = None,
    ) -> None:
        self.is_paused = False
        self.idle_since: Seconds = 0.0
        self._loop = loop
        self._owner = owner
        self._gatherer = gatherer
        self._watch = watch or SilenceWatch(loop)
        self._gathered: int | None = None
        """The socket, while the gatherer reads it and not the loop."""
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._reply: UpstreamReply | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._is_in_head = True
        self._parts: list[bytes] = []
        self._is_framed = True
        self._unpacker: zlib._Decompress | None = None
        self._ends_with_connection = False
        self._is_over = False

    @property
    def is_open(self) -> bool:
        """Whether a request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, data: bytes, name: str, timeouts: Timeouts) -> UpstreamReply:
        """Send a request; its reply fills as it arrives."""
        reply = self._reply = UpstreamReply(self, name, timeouts, self._watch)
        self._is_in_head, self._head_bytes = True, 0
        if self._transport is None or self._transport.is_closing():
            reply.break_off("the connection is closed")
            return reply
        reply.start_timer()
        self._transport.write(data)
        return reply

    def abort(self) -> None:
        """Close at once, unsent and unread bytes included: on this the server stops generating."""
        if self._transport is not None:
            self._leave_gatherer()
            self._transport.abort()

    def pause(self) -> None:
        """Read no more for now."""
        if self._transport is not None and not self.is_paused and not self._transport.is_closing():
            self.is_paused = True
            if self._gathered is not None and self._gatherer is not None:
                self._gatherer.remove(self._gathered)
            else:
                self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._transport is not None and self.is_paused and not self._transport.is_closing():
            self.is_paused = False
            if self._gathered is not None and self._gatherer is not None:
                self._gatherer.add(self._gathered, self._read)
            else:
                self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The loop has connected."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance

    def data_received(self, data: bytes) -> None:
        """Bytes arrived: parse them, and hand what is body on in one piece."""
        reply = self._reply
        if reply is None:
            self.abort()  # a server that speaks unasked
            return
        reply.heard(self._loop.time())
        problem = self._parse(data)
        if problem is not None and self._is_over:
            self._ends_with_connection = True  # the reply is whole, and what follows it is nobody's
            problem = None
        self._deliver(reply)
        if problem is not None:
            self._break_off(f"it is no HTTP that we understand ({problem})")
        elif self._is_over:
            self._finish(reply)

    def _parse(self, data: bytes) -> Exception | None:
        """What is wrong with it, if anything."""
        if self._is_in_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return httptools.HttpParserError("it changes the protocol")
        except httptools.HttpParserError as error:
            return error.__context__ if isinstance(error.__context__, Exception) else error
        if self._is_in_head and self._head_bytes > HEAD_LIMIT_BYTES:
            return httptools.HttpParserError("its headers are too long")
        return None

    def _deliver(self, reply: UpstreamReply) -> None:
        parts = self._parts
        if parts:
            block = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            reply.push(block)
            if self._gathered is None and self._gatherer is not None and reply.is_stream and not self._is_over:
                self._join_gatherer(self._gatherer)

    def _join_gatherer(self, gatherer: Gatherer) -> None:
        """The stream has begun: from now on it is read with the others. TLS is between the socket and us, and is not."""
        transport = self._transport
        if transport is None or transport.is_closing() or self.is_paused or transport.get_extra_info("sslcontext") is not None:
            return
        transport.pause_reading()
        self._gathered = transport.get_extra_info("socket").fileno()
        gatherer.add(self._gathered, self._read)

    def _leave_gatherer(self) -> None:
        if self._gathered is not None and self._gatherer is not None:
            self._gatherer.remove(self._gathered)
            self._gathered = None

    def _read(self) -> None:
        """The gatherer says that there is something."""
        if self._gathered is None:
            return
        try:
            data = os.read(self._gathered, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._break_off(type(error).__name__)
            return
        if not data:
            self._end_of_file()
            return
        is_taken = False
        try:
            self.data_received(data)
            is_taken = True
        finally:
            if not is_taken:  # a bug of ours: the loop would close a connection that it reads, and so do we
                self._break_off("what it sent could not be taken")

    def _end_of_file(self) -> None:
        reply = self._reply
        if reply is not None and self._ends_with_connection and not self._is_framed:
            self._reply = None
            self.abort()
            reply.complete()
        else:
            self._break_off("the connection was closed")

    def _break_off(self, reason: str) -> None:
        reply, self._reply = self._reply, None
        self.abort()
        if reply is not None:
            reply.break_off(reason)

    def _finish(self, reply: UpstreamReply) -> None:
        self._is_over = False
        self._reply = None
        keeps = not self._ends_with_connection
        if keeps:
            self.resume()
            if self._gathered is not None and self._transport is not None:
                self._leave_gatherer()
                self._transport.resume_reading()
            self._owner.idle(self)
        else:
            self.abort()
        reply.complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone: for a body without a length, that is its end."""
        self._leave_gatherer()
        self._transport = None
        self._owner.lost(self)
        if exc is None:
            self._end_of_file()
        else:
            self._break_off(type(exc).__name__)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A status line begins; behind a whole reply none may."""
        if self._is_over:
            raise httptools.HttpParserError("it answers twice")
        self._headers.clear()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; what comes behind the body is dropped."""
        if self._is_in_head:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is there; an interim one announces another."""
        status = self._parser.get_status_code()
        if status < FINAL_STATUS or self._reply is None:
            return
        self._is_in_head = False
        headers = {header_name(name): value.decode("latin-1") for name, value in self._headers}
        self._is_framed = "content-length" in headers or "transfer-encoding" in headers
        self._ends_with_connection = not self._parser.should_keep_alive()
        encoding = headers.pop("content-encoding", "identity").lower()
        if encoding not in _ENCODINGS:
            raise httptools.HttpParserError(f"an encoding that was not asked for, {encoding[:40]!r}")
        self._unpacker = zlib.decompressobj(_GZIP_OR_ZLIB) if encoding != "identity" else None
        self._reply.begin(status, headers)

    def on_body(self, body: bytes) -> None:
        """A part of the body. It was asked for as it is; a server that compresses all the same is understood."""
        self._parts.append(body if self._unpacker is None else self._unpacker.decompress(body, REPLY_LIMIT_BYTES))

    def on_message_complete(self) -> None:
        """The end. Whether the connection may be kept can only be asked here."""
        if self._parser.get_status_code() >= FINAL_STATUS:
            self._ends_with_connection = not self._parser.should_keep_alive()
            self._is_over = True
