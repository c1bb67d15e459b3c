"""The leg to providers that litellm speaks for: the replies look like those of any other upstream.

litellm has a thread and an event loop of its own. Its import takes seconds, its first call imports more, and some of its
adapters block: none of that may hold up the streams of others.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, Final

import structlog

from ..errors import BadRequest, JevonsError, RequestError, UpstreamError, UpstreamUnavailable
from ..exchange import Endpoint, Upstream
from ..units import Seconds
from .litellm_errors import translate
from .litellm_library import Library
from .litellm_request import read_fields
from .reply import UpstreamReply
from .silence import SilenceWatch

JOIN_SECONDS: Final[Seconds] = 3.0
_JSON: Final = {"content-type": "application/json"}
_EVENTS: Final = {"content-type": "text/event-stream"}

log = structlog.get_logger("jevons.litellm")


class Call:
    """One call in litellm's loop, as the source of a reply in ours. All but `_hear` and `_post` is called in ours."""

    def __init__(self, library: Library, theirs: asyncio.AbstractEventLoop, upstream: Upstream, watch: SilenceWatch) -> None:
        self.is_paused = False
        self.reply = UpstreamReply(self, upstream.name, upstream.timeouts, watch)
        self._library = library
        self._theirs = theirs
        self._ours = watch.loop
        self._upstream = upstream
        self._is_stream = False
        self._may_go: asyncio.Event = asyncio.Event()
        self._result: Future[float | None] | None = None

    def start(self, fields: dict[str, Any]) -> None:
        """Send it."""
        self._is_stream = bool(fields.get("stream"))
        self._may_go.set()
        self.reply.start_timer()
        running = self._library.ask(self._upstream, fields, self._hear, self._may_go)
        self._result = asyncio.run_coroutine_threadsafe(running, self._theirs)
        self._result.add_done_callback(partial(self._post, self._end))

    def _post(self, act: Callable[[Future[float | None]], None], result: Future[float | None]) -> None:
        if not self._ours.is_closed():
            self._ours.call_soon_threadsafe(act, result)

    def _hear(self, data: bytes) -> None:
        """Called in litellm's thread."""
        self._ours.call_soon_threadsafe(self._give, data)

    def _give(self, data: bytes) -> None:
        reply = self.reply
        reply.heard_at = self._ours.time()
        if not reply.status:
            reply.begin(200, dict(_EVENTS if self._is_stream else _JSON))
        reply.push(b"data: " + data + b"\n\n" if self._is_stream else data)

    def _end(self, result: Future[float | None]) -> None:
        if result.cancelled():
            return
        error = result.exception()
        if error is None:
            self.reply.cost_usd = result.result()
            if self._is_stream:
                self._give_end()
            self.reply.complete()
            return
        told = translate(error, self._upstream)
        log.info("call failed", upstream=self._upstream.name, kind=type(error).__name__, status=told.status)
        if self.reply.status or isinstance(told, UpstreamError):
            self.reply.fail(told if isinstance(told, UpstreamError) else UpstreamError(told.message))
        else:
            answer_with(self.reply, told)

    def _give_end(self) -> None:
        if not self.reply.status:
            self.reply.begin(200, dict(_EVENTS))
        self.reply.push(b"data: [DONE]\n\n")

    def abort(self) -> None:
        """Close at once: the provider's connection too."""
        if self._result is not None:
            self._result.cancel()

    def pause(self) -> None:
        """Take no more of the provider's for now."""
        self.is_paused = True
        self._theirs.call_soon_threadsafe(self._may_go.clear)

    def resume(self) -> None:
        """Go on."""
        self.is_paused = False
        self._theirs.call_soon_threadsafe(self._may_go.set)


async def _end_all(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def answer_with(reply: UpstreamReply, error: RequestError) -> None:
    """Make the reply an error in OpenAI's shape."""
    reply.begin(error.status, {**_JSON, **error.headers})
    reply.push(error.body())
    reply.complete()


class LitellmLeg:
    """The thread, its loop and litellm in it. `start` returns at once; calls wait until litellm is there."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop
        """Made at the start."""
        self._library: Future[Library] = Future()
        self._thread = threading.Thread(target=self._run, name="litellm", daemon=True)
        self._is_started = False

    def start(self) -> None:
        """Begin to import litellm, once."""
        if not self._is_started:
            self._is_started = True
            self._loop = asyncio.new_event_loop()
            self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._library.set_result(Library())
        except (JevonsError, ImportError) as error:
            log.warning("no litellm", reason=str(error))
            self._library.set_exception(error)
        self._loop.run_forever()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.wait_for(_end_all(left), JOIN_SECONDS))
        self._loop.close()

    async def send(self, upstream: Upstream, endpoint: Endpoint, body: bytes, watch: SilenceWatch) -> UpstreamReply:
        """As the client's `send`, for an upstream that litellm speaks to."""
        self.start()
        try:
            library = await asyncio.wrap_future(_shielded(self._library))
        except (JevonsError, ImportError) as error:
            raise UpstreamUnavailable(f"Upstream {upstream.name!r} cannot be used: {error}") from error
        call = Call(library, self._loop, upstream, watch)
        try:
            fields = read_fields(endpoint, body)
        except BadRequest as error:
            answer_with(call.reply, error)
            return call.reply
        call.start(fields)
        try:
            await call.reply.head()
        except BaseException:
            call.abort()
            raise
        return call.reply

    async def close(self) -> None:
        """Let go of the provider's connections, and of the thread."""
        if not self._is_started:
            return
        if self._library.done() and self._library.exception() is None:
            closing = asyncio.run_coroutine_threadsafe(self._library.result().close(), self._loop)
            await asyncio.wait([asyncio.wrap_future(closing)], timeout=JOIN_SECONDS)
        self._loop.call_soon_threadsafe(self._loop.stop)
        await asyncio.to_thread(self._thread.join, JOIN_SECONDS)


def _shielded(future: Future[Library]) -> Future[Library]:
    """The same result, for one who may stop waiting: cancelling what others wait for too is not his."""
    mine: Future[Library] = Future()

    def copy(done: Future[Library]) -> None:
        if not mine.set_running_or_notify_cancel():
            return
        error = done.exception()
        if error is not None:
            mine.set_exception(error)
        else:
            mine.set_result(done.result())

    future.add_done_callback(copy)
    return mine
