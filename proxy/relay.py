"""Bringing one upstream's reply to the client: its bytes as they are, with energy on top.

Three kinds: an error, put into OpenAI's shape; a whole reply; a stream. A stream that has begun cannot become an error any
more, so what goes wrong then is said in an event of the stream's own kind and the connection is closed without a clean end.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from .errors import UpstreamError
from .exchange import Endpoint, Energy, Outcome, Plan, Reason, Usage
from .passage import Downstream, Passage, Try
from .reassembling import Gathering, Reassembly
from .units import Seconds
from .upstreams.reply import UpstreamReply
from .upstreams.silence import SilenceWatch
from .wire.misplaced import put_in_place
from .wire.replies import UNREADABLE, decode_object, normalise_error, read_usage, response_id, with_energy
from .wire.sse import read_data
from .wire.stream import StreamEditor, UsageEvent, error_event

ENERGY_WAIT_SECONDS: Final[Seconds] = 1.0
"""How long `x-jevons-energy: final` may hold a reply."""
KEEP_ALIVE: Final = b": ka\n"
"""One line and no empty one: behind an event that carried an `id:`, some clients take an empty line for an event without data."""
_PASSED_ON: Final = frozenset({"content-type", "cache-control", "retry-after", "x-should-retry", "openai-processing-ms"})
_SUCCESSES: Final = range(200, 300)
_BAD_REQUEST: Final = 400
_SERVER_ERROR: Final = 500
_NO_CHOICES: Final = frozenset({b"", b"[]", b"null"})


class AnswerRefusedError(Exception):
    """An answer came and will not do: `plan` says who is asked instead, `deliver` gives it to the client all the same."""

    def __init__(self, plan: Plan, deliver: Callable[[], Awaitable[Outcome]]) -> None:
        super().__init__(str(plan.decisive))
        self.plan = plan
        self.deliver = deliver


class KeepAlive:
    """Watches all streams for silence, so that nobody in between takes one for dead while its model thinks."""

    def __init__(self, watch: SilenceWatch, seconds: Seconds) -> None:
        self.watch = watch
        self.seconds = seconds


class Relay:
    """One reply of one attempt, on its way to one client."""

    __slots__ = (
        "_attempt", "_downstream", "_editor", "_has_finished", "_keep_alive", "_kept_alive_at", "_left", "_passage",
        "_raises_errors", "_reassembly", "_reply", "_review", "_strips_usage", "is_delivered", "problems", "response_id", "whole",
    )  # fmt: skip

    def __init__(
        self,
        passage: Passage,
        attempt: Try,
        reply: UpstreamReply,
        downstream: Downstream,
        *,
        strips_usage: bool,
        reassembly: Reassembly | None = None,
        review: Callable[[bytes], Plan | None] | None = None,
        raises_errors: bool = False,
        keep_alive: KeepAlive | None = None,
    ) -> None:
        """`review` may refuse a whole answer; `raises_errors`: a server's error is raised and not told to the client."""
        self._passage = passage
        self._attempt = attempt
        self._reply = reply
        self._downstream = downstream
        self._reassembly = reassembly
        self._review = review
        self._raises_errors = raises_errors
        self._keep_alive = keep_alive
        self._kept_alive_at: Seconds = 0.0
        self.whole = b""
        """A whole reply as the server sent it."""
        self.problems: list[str] = []
        """Of a reply that was put together from a stream: what had no place in it."""
        self._strips_usage = strips_usage
        self._editor: StreamEditor
        """Made when a stream begins: a reply in one piece needs none."""
        self._left: list[bytes | UsageEvent] = []
        """What has to wait before it is sent."""
        self._has_finished = False
        self.is_delivered = False
        """The client has all of a stream's answer, and may leave before the upstream has closed."""
        self.response_id: str | None = None
        """Of the Responses API: the state that a later request may go on from."""

    async def run(self, headers: dict[str, str]) -> Outcome:
        """Relay the reply, with our own `headers` among its; returns how the attempt ended.

        Raises UpstreamError where it is no reply, or breaks off; AnswerRefusedError where it will not do.
        """
        passed_on = {
            name: value
            for name, value in self._reply.headers.items()
            if (name in _PASSED_ON or name.startswith("x-ratelimit-")) and value.isascii() and value.isprintable()
        }
        headers = {**passed_on, **headers}
        if self._reply.status >= _BAD_REQUEST and not self._raises_errors:
            return await self._error(headers)
        if self._reply.status not in _SUCCESSES:
            raise UpstreamError(f"Upstream {self._name!r} answered {self._reply.status}, which is no answer: is its url right?")
        if not self._reply.is_stream:
            self.whole = await self._reply.read()
            return await self._whole(headers, self.whole)
        if self._reassembly is not None:
            return await self._whole({**headers, "content-type": "application/json"}, await self._gather(self._reassembly))
        return await self._stream(headers)

    @property
    def _name(self) -> str:
        return self._attempt.target.upstream.name

    async def _error(self, headers: dict[str, str]) -> Outcome:
        body = normalise_error(self._reply.status, await self._reply.read())
        headers["content-type"] = "application/json"
        await self._downstream.reply(self._reply.status, headers, body)
        return Outcome.UPSTREAM_ERROR if self._reply.status >= _SERVER_ERROR else Outcome.CLIENT_ERROR

    async def _gather(self, reassembly: Reassembly) -> bytes:
        """A stream as one reply; raises UpstreamError where it breaks off or says that something went wrong."""
        gathering = Gathering(self._passage.request.endpoint, reassembly)

        def take(block: bytes) -> bool:
            chunks = gathering.take(block)
            if chunks:
                self._passage.saw_token()
                if self._attempt.metered is not None:
                    self._attempt.metered.chunks(chunks)
            return True

        try:
            while not await self._reply.pump(take):
                pass
            body = gathering.finish()
            self._require_end(gathering.editor)
            if gathering.editor.error is not None:
                raise UpstreamError(f"Upstream {self._name!r} failed in the middle of the answer: {gathering.editor.error}")
        finally:
            self._finish(gathering.editor.best_usage)
        self.problems = gathering.problems
        return body

    async def _whole(self, headers: dict[str, str], body: bytes) -> Outcome:
        endpoint = self._passage.request.endpoint
        self._finish(read_usage(endpoint, body))
        if endpoint is Endpoint.RESPONSES:
            self.response_id = response_id(endpoint, body)
        if self._attempt.target.thinking is False and endpoint is Endpoint.CHAT:
            body = self._put_in_place(body)
        if self._review is not None and (plan := self._review(body)) is not None:
            raise AnswerRefusedError(plan, partial(self._deliver, headers, body))
        return await self._deliver(headers, body)

    def _put_in_place(self, body: bytes) -> bytes:
        """The reply, with an answer that came as reasoning flagged, and put right where that was asked for."""
        placed = put_in_place(body)
        if placed is None:
            return body
        self._passage.plan = self._passage.plan.because(Reason("thinking", "off, and the answer came as reasoning", ""))
        how = self._attempt.target.how
        return placed if how is not None and how.repairs_content else body

    async def _deliver(self, headers: dict[str, str], body: bytes) -> Outcome:
        request = self._passage.request
        if self._attempt.metered is not None:
            energy = await self._energy_at_end() if request.waits_for_energy else self._passage.energy
            body = with_energy(request.endpoint, body, energy.as_json())
            if energy.joules is not None:
                headers["x-jevons-energy-joules"] = f"{energy.joules:.6f}"
        await self._downstream.reply(self._reply.status, headers, body)
        return Outcome.OK

    async def _stream(self, headers: dict[str, str]) -> Outcome:
        editor = self._editor = StreamEditor(self._passage.request.endpoint, strips_usage=self._strips_usage)
        await self._downstream.start(self._reply.status, headers)
        keep_alive = self._keep_alive
        if keep_alive is not None:
            keep_alive.watch.watch(self, self._reply.heard_at, keep_alive.seconds)
        try:
            while not await self._reply.pump(self._take):
                await self._catch_up()
            self._left += editor.flush()
            await self._catch_up()
            self._require_end(editor)
        except UpstreamError as error:
            await self._catch_up()
            event = error_event(self._passage.request.endpoint, error.as_json())
            await self._downstream.write(event if editor.is_at_boundary else b"\n\n" + event)
            self._downstream.abort()
            raise
        finally:
            if keep_alive is not None:
                keep_alive.watch.forget(self)
            self.response_id = editor.response_id
            self._finish(editor.best_usage)
        await self._downstream.finish()
        return Outcome.UPSTREAM_ERROR if editor.error else Outcome.OK

    def check_silence(self, now: Seconds) -> Seconds:
        """Say something where nothing has come for a while, and an event may begin; returns how long not to look again."""
        seconds = self._keep_alive.seconds if self._keep_alive is not None else math.inf
        left = max(self._reply.heard_at, self._kept_alive_at) + seconds - now
        if left > 0.0:
            return left
        if self._editor.is_at_boundary and not (self._left or self._editor.has_finished or self._downstream.is_full):
            self._downstream.put(KEEP_ALIVE)
            self._kept_alive_at = now
            if self._downstream.is_full:
                self._reply.interrupt()
        return seconds

    def _take(self, block: bytes) -> bool:
        """Forward a block in the turn of the loop in which it came; False where something has to be waited for."""
        editor = self._editor
        if chunks := editor.skim(block):
            if self._attempt.metered is not None:
                self._attempt.metered.chunks(chunks)
            self._downstream.put(block)
            return not self._downstream.is_full
        pieces = editor.feed(block)
        if editor.chunks:
            self._passage.saw_token()
            if self._attempt.metered is not None:
                self._attempt.metered.chunks(editor.chunks)
        for place, piece in enumerate(pieces):
            if isinstance(piece, UsageEvent):
                self._left = pieces[place:]
                return False
            self._downstream.put(piece)
        self.is_delivered = editor.has_finished and editor.error is None
        return not self._downstream.is_full

    async def _catch_up(self) -> None:
        """Send what had to wait: for the energy to settle, or for a slow client."""
        left, self._left = self._left, []
        for piece in left:
            if isinstance(piece, UsageEvent):
                if self._is_last(piece):
                    self._finish(self._editor.best_usage)
                energy = (await self._energy_at_end()).as_json() if self._attempt.metered is not None else None
                await self._downstream.write(piece.encode(energy))
            else:
                await self._downstream.write(piece)
        await self._downstream.write(b"")
        self.is_delivered = self._editor.has_finished and self._editor.error is None

    def _require_end(self, editor: StreamEditor) -> None:
        if not editor.has_finished:
            reason = f": {editor.error}" if editor.error else "."
            raise UpstreamError(f"Upstream {self._name!r} ended its stream in the middle of the answer{reason}")

    def _finish(self, usage: Usage) -> None:
        """The token counts are known, and the upstream is done; said once."""
        if self._has_finished:
            return
        self._has_finished = True
        self._attempt.usage = usage
        if self._attempt.metered is not None:
            self._attempt.metered.finish(usage)
            self._attempt.metered.end()

    def _is_last(self, piece: UsageEvent) -> bool:
        """Whether no more usage comes: where several answers run side by side, each may bring what was used so far."""
        if self._passage.request.sequences == 1:
            return True
        try:
            return bytes(decode_object(read_data(piece.event)).get("choices", b"")) in _NO_CHOICES
        except UNREADABLE:
            return False

    async def _energy_at_end(self) -> Energy:
        """What it has consumed; as final as it can be had where the client waits for that."""
        metered = self._attempt.metered
        if metered is not None and self._has_finished and self._passage.request.waits_for_energy:
            await metered.settled(ENERGY_WAIT_SECONDS)
        return self._passage.energy
