"""Bringing one upstream's reply to the client: its bytes as they are, with energy on top.

Three kinds: an error, put into OpenAI's shape; a whole reply; a stream. A stream that has begun cannot become an error any
more, so what goes wrong then is said in an event of the stream's own kind and the connection is closed without a clean end.
"""

from __future__ import annotations

from typing import Final

from .errors import UpstreamError
from .exchange import Energy, Outcome, Usage
from .passage import Downstream, Passage, Try
from .units import Seconds
from .upstreams.client import UpstreamReply
from .wire.replies import normalise_error, read_usage, response_id, with_energy
from .wire.stream import StreamEditor, UsageEvent, error_event

ENERGY_WAIT_SECONDS: Final[Seconds] = 1.0
"""How long `x-jevons-energy: final` may hold a reply."""
_PASSED_ON: Final = ("content-type", "cache-control", "retry-after", "x-should-retry", "openai-processing-ms")
_BAD_REQUEST: Final = 400
_SERVER_ERROR: Final = 500


class Relay:
    """One reply of one attempt, on its way to one client."""

    def __init__(
        self, passage: Passage, attempt: Try, reply: UpstreamReply, downstream: Downstream, *, strips_usage: bool
    ) -> None:
        self._passage = passage
        self._attempt = attempt
        self._reply = reply
        self._downstream = downstream
        self._strips_usage = strips_usage
        self.response_id: str | None = None
        """Of the Responses API: the state that a later request may go on from."""

    async def run(self, headers: dict[str, str]) -> Outcome:
        """Relay the reply, with our own `headers` among its; returns how the attempt ended."""
        passed = {name: value for name, value in self._reply.headers.items() if _is_passed_on(name)}
        headers = {**passed, **headers}
        if self._reply.status >= _BAD_REQUEST:
            return await self._error(headers)
        if self._reply.is_stream:
            return await self._stream(headers)
        return await self._whole(headers)

    async def _error(self, headers: dict[str, str]) -> Outcome:
        body = normalise_error(self._reply.status, await self._reply.read())
        headers["content-type"] = "application/json"
        await self._downstream.reply(self._reply.status, headers, body)
        return Outcome.UPSTREAM_ERROR if self._reply.status >= _SERVER_ERROR else Outcome.CLIENT_ERROR

    async def _whole(self, headers: dict[str, str]) -> Outcome:
        endpoint = self._passage.request.endpoint
        body = await self._reply.read()
        self._passage.saw_token()
        self._finish(read_usage(endpoint, body))
        self.response_id = response_id(endpoint, body)
        if self._attempt.metered is not None:
            energy = await self._energy()
            body = with_energy(endpoint, body, energy.as_json())
            if energy.joules is not None:
                headers["x-jevons-energy-joules"] = f"{energy.joules:.6f}"
        await self._downstream.reply(self._reply.status, headers, body)
        return Outcome.OK

    async def _stream(self, headers: dict[str, str]) -> Outcome:
        editor = StreamEditor(self._passage.request.endpoint, strips_usage=self._strips_usage)
        await self._downstream.start(self._reply.status, headers)
        try:
            while block := await self._reply.next_block():
                await self._forward(editor.feed(block), editor)
            await self._forward(editor.flush(), editor)
            self._require_end(editor)
        except UpstreamError as error:
            event = error_event(self._passage.request.endpoint, error.as_json())
            await self._downstream.write(event)
            self._downstream.abort()
            raise
        finally:
            self.response_id = editor.response_id
            self._finish(editor.best_usage)
        await self._downstream.finish()
        return Outcome.UPSTREAM_ERROR if editor.error else Outcome.OK

    def _require_end(self, editor: StreamEditor) -> None:
        if not editor.has_finished:
            name = self._attempt.target.upstream.name
            raise UpstreamError(f"Upstream {name!r} ended its stream in the middle of the answer.")

    async def _forward(self, pieces: list[bytes | UsageEvent], editor: StreamEditor) -> None:
        if editor.chunks:
            self._passage.saw_token()
            if self._attempt.metered is not None:
                self._attempt.metered.chunks(editor.chunks)
        for piece in pieces:
            if isinstance(piece, UsageEvent):
                self._finish(editor.best_usage)
                energy = (await self._energy()).as_json() if self._attempt.metered is not None else None
                await self._downstream.write(piece.encode(energy))
            else:
                await self._downstream.write(piece)

    def _finish(self, usage: Usage) -> None:
        """The token counts are known, and the upstream is done; said once."""
        if self._attempt.usage == Usage():
            self._attempt.usage = usage
            if self._attempt.metered is not None:
                self._attempt.metered.finish(usage)
                self._attempt.metered.end()

    async def _energy(self) -> Energy:
        metered = self._attempt.metered
        if metered is not None and self._passage.request.waits_for_energy:
            await metered.settled(ENERGY_WAIT_SECONDS)
        return self._passage.energy


def _is_passed_on(name: str) -> bool:
    return name in _PASSED_ON or name.startswith("x-ratelimit-")
