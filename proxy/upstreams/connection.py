"""One connection to a model server, parsed by llhttp: what arrives is handed on in the same turn of the loop.

Nothing here decides: `pool` says which connection to take, `client` sends, and the reply knows who waits for it.
"""

from __future__ import annotations

import asyncio
import os
import zlib
from collections.abc import Callable
from typing import Final, Protocol, cast

import httptools

from ..exchange import Timeouts
from ..header_names import KNOWN_NAMES, header_name
from ..units import Seconds
from .gather import Gatherer
from .reply import FINAL_STATUS, REPLY_LIMIT_BYTES, UpstreamReply
from .silence import SilenceWatch

HEAD_LIMIT_BYTES: Final = 64 * 1024
READ_BYTES: Final = 16 * 1024
"""What is read of a stream at once. Room for more is dear: the allocator asks the system for it each time."""
MOST_READ_BYTES: Final = 256 * 1024
"""What is read at once of one that fills it."""
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
        self._watch = SilenceWatch(loop) if watch is None else watch  # one that watches nobody is false, and still shared
        self._gathered: int | None = None
        """The socket, while the gatherer reads it and not the loop."""
        self._room = READ_BYTES
        self._transport: asyncio.Transport | None = None
        self._reply: UpstreamReply | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._is_in_head = True
        self._parts: list[bytes] = []
        self.on_body: Callable[[bytes], None] = self._parts.append
        """A part of the body, as the parser finds it: under load there are dozens in what is read at once."""
        self._parser = httptools.HttpResponseParser(self)
        self._is_framed = True
        self._unpacker: zlib._Decompress | None = None
        """It was asked for bodies as they are; a server that compresses all the same is understood."""
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
        self._transport.write(data)
        reply.start_timer()
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
        reply.heard_at = self._loop.time()
        problem: Exception | None = None
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            problem = _explain(error)
        if self._is_in_head and problem is None:
            problem = self._measure_head(len(data))
        parts = self._parts
        if parts:
            block = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            if self._unpacker is not None:
                try:
                    block = self._unpacker.decompress(block, REPLY_LIMIT_BYTES)
                except zlib.error as error:
                    self._break_off(f"it is no HTTP that we understand ({error})")
                    return
            reply.push(block)
            if self._gathered is None and self._gatherer is not None and reply.is_stream and not self._is_over:
                self._join_gatherer(self._gatherer)
        if problem is not None and not self._is_over:
            self._break_off(f"it is no HTTP that we understand ({problem})")
        elif self._is_over:
            self._ends_with_connection |= problem is not None  # the reply is whole, and what follows it is nobody's
            self._finish(reply)

    def _measure_head(self, size: int) -> Exception | None:
        """So much of it came, and it is not over; what is wrong with that, if anything."""
        self._head_bytes += size
        return httptools.HttpParserError("its headers are too long") if self._head_bytes > HEAD_LIMIT_BYTES else None

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
        room = self._room
        try:
            data = os.read(self._gathered, room)
        except BlockingIOError:
            return
        except OSError as error:
            self._break_off(type(error).__name__)
            return
        if not data:
            self._end_of_file()
            return
        if len(data) == room:
            self._room = MOST_READ_BYTES
        elif room != READ_BYTES and len(data) < READ_BYTES:
            self._room = READ_BYTES
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
            if self.is_paused:
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
        del self._parser  # it calls us, and the two would wait for the collector of cycles
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
        self._headers = []

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
        headers = {KNOWN_NAMES.get(name) or header_name(name): value.decode("latin-1") for name, value in self._headers}
        self._is_framed = "content-length" in headers or "transfer-encoding" in headers
        self._ends_with_connection = not self._parser.should_keep_alive()
        self._unpacker = _unpacker_of(headers.pop("content-encoding")) if "content-encoding" in headers else None
        self._reply.begin(status, headers)

    def on_message_complete(self) -> None:
        """The end. Whether the connection may be kept can only be asked here."""
        if self._parser.get_status_code() >= FINAL_STATUS:
            self._ends_with_connection = not self._parser.should_keep_alive()
            self._is_over = True


def _unpacker_of(encoding: str) -> zlib._Decompress | None:
    """What takes an encoding off; raises HttpParserError for one that was not asked for."""
    encoding = encoding.lower()
    if encoding not in _ENCODINGS:
        raise httptools.HttpParserError(f"an encoding that was not asked for, {encoding[:40]!r}")
    return zlib.decompressobj(_GZIP_OR_ZLIB) if encoding != "identity" else None


def _explain(error: Exception) -> Exception:
    """What the parser stumbled over: an error of its own, or of what it calls."""
    if isinstance(error, httptools.HttpParserUpgrade):
        return httptools.HttpParserError("it changes the protocol")
    return error.__context__ if isinstance(error.__context__, Exception) else error
