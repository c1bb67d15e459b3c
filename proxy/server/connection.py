"""The fast path of the main listener: inference requests, parsed by llhttp, without aiohttp's costs.

A connection whose next request is a plain `POST` to a model is served here. Whatever else comes (another method or path, an
`Expect`, a failed key) is handed over with every byte to aiohttp, which serves the rest of the surface. What is no HTTP is
refused here. Both parse with llhttp in its strict mode.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, cast

import httptools
import msgspec
import structlog

from ..errors import BadRequest, BodyTooLarge, RequestError, RequestTimedOut
from ..identity import Identity
from ..units import Seconds
from .deadline import Deadline
from .eager import start_at_once
from .edge import new_request_id
from .fast_downstream import STATUS_LINES, FastDownstream
from .head import HEAD_LIMIT_BYTES, HEADERS_LIMIT, SLOW_HEADERS, find_fault, head_too_long, is_too_long, read_headers

OVERHEAD_BYTES_PER_BYTE: Final = 16
"""What chunked encoding may cost: a chunk of one byte takes five more, and extensions and trailers are not asked for."""
KEEPALIVE_SECONDS: Final[Seconds] = 75.0
LINGER_SECONDS: Final[Seconds] = 2.0
"""How long what a refused client still sends is read and dropped: a reset would take the answer away from it."""

log = structlog.get_logger("jevons.server")


class Incoming(msgspec.Struct, frozen=True, gc=False):
    """One request, its body complete. Header names are in lower case; of one that comes twice the values are joined."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    identity: Identity


class NotFastError(Exception):
    """The request is for aiohttp: raised out of the parser's callbacks."""


@dataclass(frozen=True, slots=True)
class FastPath:
    """What every connection shares."""

    paths: frozenset[bytes]
    admit: Callable[[str, Mapping[str, str]], Identity]
    """Who asks, by the `Via` and all headers; raises RequestError where the head is to be refused, and then aiohttp says so."""
    handle: Callable[[Incoming, FastDownstream], Coroutine[None, None, None]]
    slow: Callable[[], asyncio.Protocol]
    """Makes aiohttp's handler of one connection."""
    body_limit_bytes: int
    header_seconds: Seconds
    body_seconds: Seconds
    connections: set[FastConnection] = field(default_factory=set)


class FastConnection(asyncio.Protocol):
    """One client's connection. One request at a time; what is sent ahead waits its turn."""

    def __init__(self, path: FastPath) -> None:
        self.is_full = False
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._raw: list[bytes] = []
        """The bytes of the current head, for the handing over."""
        self._taken = 0
        """How many bytes of the current request have come."""
        self._early: list[bytes] = []
        """What arrived while a request was being served."""
        self._early_bytes = 0
        self._is_refused = False
        self._url = b""
        self._fields: list[tuple[bytes, bytes]] = []
        """The headers that have come, as they came."""
        self._headers: dict[str, str] | None = None
        self._identity = Identity()
        self._body: list[bytes] = []
        self._size = 0
        self._ready: bool | None = None
        """The request is complete; True where the connection may be kept."""
        self._is_pipelined = False
        self._is_draining = False
        self._task: asyncio.Task[None] | None = None
        self._watch = Deadline(self._loop)
        self._room: asyncio.Future[None] | None = None

    # What the server calls.

    def drain_and_close(self) -> None:
        """Take no further request: close now when idle, else behind the reply to the current one."""
        self._is_draining = True
        if self._task is None and self._headers is None:
            self.close()

    def abort(self) -> None:
        """Close at once, whatever is in flight."""
        if self._transport is not None:
            self._transport.abort()

    # What a reply calls.

    def write(self, data: bytes) -> None:
        """Send; to a client that has gone nothing is sent, and its task is being cancelled."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Close behind what has been written."""
        if self._transport is not None:
            self._transport.close()

    async def drain(self) -> None:
        """Wait until the client has room; raises ConnectionError when it has gone."""
        if self.is_full and self._transport is not None:
            self._room = self._loop.create_future()
            await self._room
        if self._transport is None:
            raise ConnectionResetError("the client has gone")

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self._path.connections.add(self)
        self._watch.set(self._path.header_seconds, self._give_up_on_head)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's, which says why; we need not know
        """The client has gone, or we have closed: what is being done for it stops."""
        self._transport = None
        del self._parser  # it calls us, and the two would wait for the collector of cycles
        self._path.connections.discard(self)
        self._watch.cancel()
        self.resume_writing()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        """The client is slower than the model."""
        self.is_full = True

    def resume_writing(self) -> None:
        """It has room again."""
        self.is_full = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request, or of one that comes early."""
        if self._is_refused:
            return
        if self._task is not None:
            self._keep_for_later(data)
            return
        self._taken += len(data)
        if self._headers is None:
            self._raw.append(data)
        is_http = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            pass  # ours
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            is_http = False
        else:
            if self._ready is not None:
                self._begin(keep_alive=self._ready and not self._is_pipelined)
            else:
                self._go_on()
            return
        self._stumble(is_http=is_http)

    def _keep_for_later(self, data: bytes) -> None:
        self._early.append(data)
        self._early_bytes += len(data)
        if self._early_bytes > HEAD_LIMIT_BYTES and self._transport is not None:
            self._transport.pause_reading()

    def _go_on(self) -> None:
        """Wait for the rest of a request, but neither for ever nor for any amount."""
        if self._headers is not None:
            self._watch.set_once(self._path.body_seconds, self._give_up_on_body)
            if self._taken > 2 * HEAD_LIMIT_BYTES + OVERHEAD_BYTES_PER_BYTE * self._size:
                self._refuse(BadRequest("The body's chunked encoding says more than the body."))
        elif self._taken > HEAD_LIMIT_BYTES or len(self._fields) > HEADERS_LIMIT:
            self._refuse(head_too_long())
        else:
            self._watch.set_once(self._path.header_seconds, self._give_up_on_head)

    def _stumble(self, *, is_http: bool) -> None:
        """The parser stopped: by our rules, and then it is for aiohttp unless its body is too large, or by its own."""
        if self._is_refused:
            return
        if self._ready is not None:
            self._begin(keep_alive=False)
        elif self._headers is None and is_http:
            self._hand_over()
        elif self._size > self._path.body_limit_bytes:
            self._refuse(BodyTooLarge(f"The body is larger than {self._path.body_limit_bytes} bytes."))
        else:
            part = "head" if self._headers is None else "chunked encoding"
            self._refuse(BadRequest(f"The request is no valid HTTP/1.1: its {part} is broken."))

    def _hand_over(self) -> None:
        """Let aiohttp serve this connection, from the first byte of the current request on."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._path.connections.discard(self)
        self._watch.cancel()
        self._transport = None
        del self._parser  # as when a connection is lost
        handler = self._path.slow()
        transport.set_protocol(handler)
        handler.connection_made(transport)
        handler.data_received(b"".join(self._raw))

    def _refuse(self, error: RequestError) -> None:
        """Answer, and take no further request."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        body = error.body()
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n" % len(body)
        request_id = f"x-request-id: {new_request_id()}\r\n\r\n".encode()
        transport.write(STATUS_LINES[error.status] + head + request_id + body)
        transport.write_eof()
        self._is_refused = True
        self._watch.set(LINGER_SECONDS, self.abort)

    def _begin(self, *, keep_alive: bool) -> None:
        incoming = Incoming(self._url.decode("ascii"), self._headers or {}, b"".join(self._body), self._identity)
        self._raw, self._body = [], []
        self._headers = self._ready = None
        self._taken = self._size = 0
        self._is_pipelined = False
        self._watch.clear()
        downstream = FastDownstream(self, keep_alive=keep_alive and not self._is_draining)
        self._task = start_at_once(self._path.handle(incoming, downstream), self._loop)
        self._task.add_done_callback(partial(self._end, downstream))

    def _end(self, downstream: FastDownstream, task: asyncio.Task[None]) -> None:
        self._task = None
        if not task.cancelled() and (bug := task.exception()) is not None:
            log.error("bug in the request path", exc_info=bug)
            if not downstream.has_started:
                self._refuse(RequestError("Internal error."))
        if self._transport is None or self._is_refused:
            return
        if not downstream.is_finished or not downstream.keep_alive or self._is_draining:
            self.close()
            return
        self._watch.set(KEEPALIVE_SECONDS, self.close)
        if self._early:
            early, self._early, self._early_bytes = b"".join(self._early), [], 0
            self._transport.resume_reading()
            self.data_received(early)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A request begins; one behind another in the same packet has to be sent again."""
        if self._ready is not None:
            self._is_pipelined = True
            raise NotFastError
        self._url = b""
        self._fields = []

    def on_url(self, url: bytes) -> None:
        """The target, or a part of it."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; what comes behind the body is dropped."""
        if self._headers is None:
            self._fields.append((name, value))

    def on_headers_complete(self) -> None:
        """Decide whether this is a plain inference request."""
        parser, path, fields = self._parser, self._path, self._fields
        if (self._taken > HEAD_LIMIT_BYTES or len(fields) > HEADERS_LIMIT) and is_too_long(self._url, fields):
            self._refuse(head_too_long())
            raise NotFastError
        headers = read_headers(fields)
        version = parser.get_http_version()
        if (fault := find_fault(version, headers)) is not None:
            self._refuse(BadRequest(f"The request is no valid HTTP/1.1: {fault}."))
            raise NotFastError
        is_plain = version == "1.1" and parser.get_method() == b"POST" and self._url in path.paths
        if (
            not is_plain
            or not SLOW_HEADERS.isdisjoint(headers)
            or int(headers.get("content-length", "0")) > path.body_limit_bytes
        ):
            raise NotFastError
        self._identity = path.admit(headers.get("via", ""), headers)
        self._headers = headers
        self._raw = []

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._size += len(body)
        if self._size > self._path.body_limit_bytes:
            raise NotFastError
        self._body.append(body)

    def on_message_complete(self) -> None:
        """The request is there."""
        self._ready = self._parser.should_keep_alive()

    def _give_up_on_head(self) -> None:
        self.close()

    def _give_up_on_body(self) -> None:
        self._refuse(RequestTimedOut(f"The body did not arrive in {self._path.body_seconds:g} s."))
