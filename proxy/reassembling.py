"""Which replies are asked for as streams and handed on whole (`upstreams[].reassemble`), so that their tokens can be metered.

The shape of a server's whole replies is learned from the first one of each form, which is therefore asked for as it is. A stream
that could not be put together faithfully is the last that its server is asked for in a client's stead.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from .exchange import Dialect, Endpoint, Request, Target
from .upstreams.reply import REPLY_LIMIT_BYTES
from .wire.reassembly import Assembler, Manner, Shape, form_of, learn_shape, manner_of
from .wire.sse import EventSplitter, read_data, split_events
from .wire.stream import StreamEditor

log = structlog.get_logger("jevons.reassembly")


@dataclass(frozen=True, slots=True)
class Reassembly:
    """One reply that is to be asked for as a stream."""

    shape: Shape
    manner: Manner

    def assembler(self) -> Assembler:
        """What puts it together."""
        return Assembler(self.shape, self.manner)


class Reassembler:
    """The shapes that are known, and the upstreams whose streams have failed."""

    def __init__(self) -> None:
        self._shapes: dict[tuple[str, ...], Shape] = {}
        self._given_up: set[str] = set()

    def plan(self, request: Request, target: Target, dialect: Dialect) -> Reassembly | None:
        """How to reassemble the reply; None where it is asked for as the client did."""
        form = self._form(request, target, dialect)
        shape = self._shapes.get(form) if form else None
        return Reassembly(shape, manner_of(dialect)) if shape else None

    def learn(self, request: Request, target: Target, dialect: Dialect, body: bytes) -> None:
        """A whole reply came: the first of its form tells its shape."""
        form = self._form(request, target, dialect)
        if form and form not in self._shapes and (shape := learn_shape(body)):
            self._shapes[form] = shape

    def give_up(self, upstream: str, problems: list[str]) -> None:
        """A stream had parts that no whole reply of this server has: from now on it is asked as the client asks."""
        if problems and upstream not in self._given_up:
            self._given_up.add(upstream)
            log.warning("replies are no longer reassembled", upstream=upstream, problems=problems)

    def _form(self, request: Request, target: Target, dialect: Dialect) -> tuple[str, ...] | None:
        upstream = target.upstream
        if not upstream.reassemble or upstream.name in self._given_up:
            return None
        form = form_of(request, dialect)
        return None if form is None else (upstream.name, *form, str(target.thinking))


class Gathering:
    """A stream that is taken in for a client that wants the whole: counted as it comes, put together at its end."""

    def __init__(self, endpoint: Endpoint, reassembly: Reassembly) -> None:
        self.editor = StreamEditor(endpoint, strips_usage=False)
        self._assembler = reassembly.assembler()
        self._splitter = EventSplitter(cap_bytes=REPLY_LIMIT_BYTES)

    @property
    def problems(self) -> list[str]:
        """What had no place in the whole."""
        return self._assembler.problems

    def take(self, block: bytes) -> int:
        """A part of the stream arrived; returns how many chunks of output are in it."""
        self.editor.feed(block)
        self._read(self._splitter.feed(block))
        return self.editor.chunks

    def finish(self) -> bytes:
        """The stream is over: the whole reply."""
        self.editor.flush()
        self._read(self._splitter.flush())
        return self._assembler.finish()

    def _read(self, events: bytes) -> None:
        for event in split_events(events):
            self._assembler.feed(read_data(event))
