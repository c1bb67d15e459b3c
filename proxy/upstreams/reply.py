"""A model server's reply while it arrives: who waits for it, what is buffered of it, and how long it may be silent.

A body is pushed into whoever pumps it, without waking a task for every block: with hundreds of streams of a token each 10 to
30 ms that is where a proxy's time goes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from ..errors import UpstreamError, UpstreamTimedOut
from ..exchange import Timeouts
from ..units import Seconds
from .silence import SilenceWatch

if TYPE_CHECKING:
    import asyncio

BUFFER_BYTES: Final = 256 * 1024
"""How much of a body may wait for a slow reader before the server is not read any more."""
REPLY_LIMIT_BYTES: Final = 256 * 1024 * 1024
"""Of a reply that is held whole: beyond this it is no answer."""
FINAL_STATUS: Final = 200
"""Below are the interim replies, which announce another."""
_REFUSALS: Final = frozenset({400, 422})


class Source(Protocol):
    """The connection that a reply comes from."""

    is_paused: bool

    def abort(self) -> None:
        """Close at once."""
        ...

    def pause(self) -> None:
        """Read no more for now."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...


class UpstreamReply:
    """A model server's answer, from its headers on. Its body is read by one task, once."""

    __slots__ = (
        "_blocks", "_buffered", "_error", "_is_complete", "_name", "_source", "_take", "_timeouts", "_waiter", "_watch",
        "cost_usd", "headers", "heard_at", "is_stream", "status",
    )  # fmt: skip

    def __init__(self, source: Source, name: str, timeouts: Timeouts, watch: SilenceWatch) -> None:
        self.cost_usd: float | None = None
        """What a provider charges for it; None until its end, and where that is unknown."""
        self.status = 0
        self.headers: dict[str, str] = {}
        """Names in lower case; of a header that comes twice the last."""
        self.is_stream = False
        """Whether it is server-sent events, which the reply says and not the request: some servers stream unasked."""
        self._source = source
        self._name = name
        self._timeouts = timeouts
        self._blocks: deque[bytes] = deque()
        self._buffered = 0
        self._is_complete = False
        self._error: UpstreamError | None = None
        self._take: Callable[[bytes], bool] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.heard_at: Seconds = 0.0
        """When the last bytes came."""
        self._watch = watch

    @property
    def is_refusal(self) -> bool:
        """Whether the server says that something in the request is wrong."""
        return self.status in _REFUSALS

    async def pump(self, take: Callable[[bytes], bool]) -> bool:
        """Call `take` with every block as it arrives. True at the end of the body; False once `take` has returned False.

        Raises UpstreamError where the body breaks off, UpstreamTimedOut where it falls silent.
        """
        while self._blocks:
            if not take(self._pop()):
                return False
        if self._is_complete:
            return True
        if self._error is None:
            self._take = take
            try:
                await self._wait()
            finally:
                self._take = None
        if self._error is not None and not self._blocks:
            raise self._error
        return self._is_complete and not self._blocks

    async def next_block(self) -> bytes:
        """The bytes that have arrived, at least one; empty at the end. Raises as `pump`."""
        while not self._blocks and not self._is_complete:
            if self._error is not None:
                raise self._error
            await self._wait()
        return self._pop() if self._blocks else b""

    async def read(self) -> bytes:
        """The whole body. Raises as `pump`."""
        while not self._is_complete and self._error is None and self._buffered <= REPLY_LIMIT_BYTES:
            self._source.resume()
            await self._wait()
        if self._buffered > REPLY_LIMIT_BYTES:
            raise UpstreamError(f"Upstream {self._name!r} sent more than {REPLY_LIMIT_BYTES} bytes.")
        if not self._is_complete and self._error is not None:
            raise self._error
        body = self._blocks[0] if len(self._blocks) == 1 else b"".join(self._blocks)
        self._blocks.clear()
        self._buffered = 0
        return body

    async def refuses(self, field: str) -> bool:
        """Whether this is an error that speaks of a field of the request; the body can still be read.

        Raises as `pump` does, and then the reply is closed.
        """
        if not self.is_refusal:
            return False
        try:
            body = await self.read()
        except BaseException:
            self.close()
            raise
        self._blocks.append(body)
        return field.encode() in body

    def close(self) -> None:
        """Let go: the connection is closed unless the body has come to its end, and then it serves another."""
        if not self._is_complete:
            self._watch.forget(self)
            self._source.abort()

    async def head(self) -> None:
        """Wait for the status and the headers. Raises as `pump`."""
        while self.status < FINAL_STATUS:
            if self._error is not None:
                raise self._error
            await self._wait()

    def interrupt(self) -> None:
        """Have whoever pumps look around: `pump` returns False."""
        self._take = None
        self._wake()

    def start_timer(self) -> None:
        """The request has gone out: from now on silence is counted."""
        self.heard_at = self._watch.loop.time()
        self._watch.watch(self, self.heard_at, self._timeouts.first_byte_seconds)

    def begin(self, status: int, headers: dict[str, str]) -> None:
        """The headers are complete."""
        self.headers = headers
        self.status = status
        kind = headers.get("content-type", "")
        self.is_stream = kind != "application/json" and kind.lower().startswith("text/event-stream")
        if self.heard_at + self._timeouts.idle_seconds < self._watch.due:  # it is watched already, and may be so for longer
            self._watch.watch(self, self.heard_at, self._timeouts.idle_seconds)
        self._wake()

    def push(self, block: bytes) -> None:
        """A part of the body arrived."""
        if self._take is not None and not self._blocks:
            if not self._take(block):
                self._take = None
                self._wake()
            return
        self._blocks.append(block)
        self._buffered += len(block)
        if self._buffered > BUFFER_BYTES:
            self._source.pause()
        if self._waiter is not None:
            self._wake()

    def complete(self) -> None:
        """The body is complete."""
        self._is_complete = True
        self._watch.forget(self)
        if self._waiter is not None:
            self._wake()

    def fail(self, error: UpstreamError) -> None:
        """Nothing more will come. What has come can still be read."""
        if not self._is_complete and self._error is None:
            self._error = error
            self._watch.forget(self)
            self._wake()

    def break_off(self, reason: str) -> None:
        """The connection is gone before the end."""
        what = "broke off its reply" if self.status else "broke off before it answered"
        self.fail(UpstreamError(f"Upstream {self._name!r} {what}: {reason}."))

    def _pop(self) -> bytes:
        block = self._blocks.popleft()
        self._buffered -= len(block)
        if self._buffered <= BUFFER_BYTES and not self._is_complete and self._source.is_paused:
            self.heard_at = self._watch.loop.time()  # it was not to speak, and its silence begins now
            self._source.resume()  # a complete reply's connection may be another's by now
        return block

    def _wait(self) -> asyncio.Future[None]:
        """Until something has come; whoever waits then looks at what."""
        self._waiter = self._watch.loop.create_future()
        return self._waiter

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def check_silence(self, now: Seconds) -> Seconds:
        """Give up where nothing has come for too long; returns how long nobody needs to look again.

        Only this looks when the last bytes came: no timer is moved by each of them.
        """
        limit = self._timeouts.idle_seconds if self.status else self._timeouts.first_byte_seconds
        left = self.heard_at + limit - now
        if left > 0:
            return left
        if self._source.is_paused:
            return limit
        what = "sent nothing for" if self.status else "did not answer in"
        self.fail(UpstreamTimedOut(f"Upstream {self._name!r} {what} {limit:g} s."))
        self._source.abort()
        return limit
