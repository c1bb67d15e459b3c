"""A generating stream without I/O: what arrives is forwarded at once, counted as it passes, and opened only where usage is.

A block is looked at as a whole, with searches of its bytes. A search is a hint where it matters: an event that seems to hold
usage, an error or a response's id is decoded before it is believed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec
from msgspec import Raw, Struct
from msgspec.structs import replace

from ..exchange import Endpoint, Usage
from .chunks import ChunkCounter, compact_json
from .plain import Envelope, learn
from .replies import (
    UNREADABLE,
    add_energy,
    count_tokens,
    decode_object,
    is_object,
    read_message,
    read_string,
    with_reasoning_share,
)
from .sse import CAP_BYTES, EventSplitter, read_data, replace_data, split_events

_CHOICE_FINISHES: Final = re.compile(rb'"finish_reason":"(?!")')
_FINISHES: Final[Mapping[Endpoint, re.Pattern[bytes]]] = {
    Endpoint.MESSAGES: re.compile(rb'"type":"message_stop"'),
    Endpoint.RESPONSES: re.compile(rb'"type":"response\.(?:completed|incomplete|failed)"'),
    Endpoint.TRANSCRIPTIONS: re.compile(rb'"finish_reason":"(?!")|"type":"transcript\.text\.done"'),
}
_FINISH_HINTS: Final[Mapping[Endpoint, bytes]] = {
    Endpoint.CHAT: b'"finish_reason":"',
    Endpoint.COMPLETIONS: b'"finish_reason":"',
    Endpoint.MESSAGES: b'"type":"message_stop"',
}
"""How a finish begins: found many times as fast as by an expression."""
_NO_FINISH: Final = re.compile(rb'"finish_reason":null')
_DONE: Final = re.compile(rb"(?:\A|[\r\n])data: ?\[DONE\]")
_DONE_BEGINS_BYTES: Final = 7
"""A line's end and `data: ` before it."""
_DONE_WITHIN_BYTES: Final = 256
"""`[DONE]` ends a stream, so that only the end of a block is searched for it."""
_LONG_BYTES: Final = 4096
"""From here on it is worth while to look at the first events and the last ones apart."""
_LAST_BYTES: Final = 1024
"""In which a stream's end is: why it has finished, its usage, `[DONE]`."""
_TELLING_BYTES: Final = 4096
"""So much of an event that is too long to be read tells whether it carries text."""
_CAPS: Final[Mapping[Endpoint, int]] = {Endpoint.RESPONSES: CAP_BYTES}
"""One event of `/v1/responses` repeats the whole answer, beside its usage; no other kind needs so much."""
_USUAL_CAP_BYTES: Final = 512 * 1024
"""Reading an event of this length takes 3 ms, for which all other streams wait."""
_NESTS: Final[Mapping[Endpoint, str]] = {Endpoint.RESPONSES: "response", Endpoint.MESSAGES: "message"}
"""Where some of an endpoint's events hold the whole reply, with its usage."""
_OPENED: Final = re.compile(rb'"(?:usage|timings|response)":\{|"error"')
_OPENED_HINTS: Final = (
    b'"error"',
    *(b'"' + name + colon + b"{" for name in (b"usage", b"timings", b"response") for colon in (b'":', b'": ')),
)
"""The same, before space is taken out."""
_BROKEN_ERROR: Final = re.compile(rb'\{\s*"error"\s*:\s*(.*)', re.DOTALL)
_LAST_WORDS: Final = frozenset(
    {"message_delta", "response.completed", "response.incomplete", "response.failed", "transcript.text.done"}
)
_NO_REASON: Final = "The model server gave no reason."


class _Choice(Struct):
    finish_reason: str | None = None


class _Event(Struct):
    """As much of an event as tells what it is."""

    type: str | None = None
    object: str | None = None
    choices: list[_Choice] | None = None


_EVENT: Final = msgspec.json.Decoder(_Event)


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """An event with the usage that counts, held so that the energy can be added to it."""

    usage: Usage
    event: bytes
    path: tuple[str, ...] = ("usage",)
    """Where in its data the usage is."""

    def encode(self, energy: Mapping[str, object] | None) -> bytes:
        """The event with `energy` in its usage, every other value byte for byte; as it came where `energy` is None."""
        if energy is None:
            return self.event
        return replace_data(self.event, add_energy(read_data(self.event), self.path, energy))


class StreamEditor:
    """Reads one upstream's event stream: forwards its bytes, counts its chunks, finds its usage, its end and its errors.

    Args:
        endpoint: Whose events they are.
        strips_usage: The usage chunk was asked for by us, not by the client: it is read and dropped. Usage that a server puts
            on a chunk with a choice stays, and so does that chunk.
        cap_bytes: The longest event that is held back until it is whole; a longer one is forwarded unread. None: by its endpoint.
    """

    def __init__(self, endpoint: Endpoint, *, strips_usage: bool, cap_bytes: int | None = None) -> None:
        self.chunks = 0
        """Events of the last `feed` that carry generated text, reasoning included."""
        self.usage: Usage | None = None
        """The server's own counts: the last that are not zero."""
        self.has_finished = False
        """The server said that it has finished; a stream that ends before that is broken."""
        self.error: str | None = None
        """The server's words, where it sent an error."""
        self.response_id: str | None = None
        """Of a `/v1/responses` stream."""
        self._endpoint = endpoint
        self._strips_usage = strips_usage
        self._counter = ChunkCounter(endpoint)
        self._finishes = _FINISHES.get(endpoint, _CHOICE_FINISHES)
        self._finish_hint = _FINISH_HINTS.get(endpoint, b"")
        cap_bytes = _CAPS.get(endpoint, _USUAL_CAP_BYTES) if cap_bytes is None else cap_bytes
        self._splitter = EventSplitter(cap_bytes=cap_bytes)
        self._is_clean = False
        """All that came last were plain events, and the splitter knows of their end."""
        self._envelopes: list[Envelope] = []
        """Of the last event with text, and of the last with reasoning."""

    @property
    def content_chunks(self) -> int:
        """All chunks so far that carry an answer's text or a tool call."""
        return self._counter.content

    @property
    def reasoning_chunks(self) -> int:
        """All chunks so far that carry reasoning."""
        return self._counter.reasoning

    @property
    def is_at_boundary(self) -> bool:
        """Whether an event may be inserted behind what was given out so far."""
        return self._splitter.is_at_boundary

    @property
    def best_usage(self) -> Usage:
        """The server's counts; what it left out is estimated from the chunks and flagged, or None where there were none."""
        usage = self.usage or Usage()
        reasoning, content = self.reasoning_chunks, self.content_chunks
        if usage.completion is None and reasoning + content:
            return replace(usage, completion=reasoning + content, reasoning=reasoning or None, is_estimated=True)
        return with_reasoning_share(usage, reasoning, content)

    def feed(self, block: bytes) -> list[bytes | UsageEvent]:
        """What to forward now, in order: finished events as one piece, cut only where an event is held for its energy."""
        if self.skim(block):
            return [block]
        self._is_clean = False
        is_whole = self._splitter.is_at_boundary
        events = self._splitter.feed(block)
        if is_whole and self._count_plain(events):
            return [events]
        if self._splitter.unread:
            return self._read_around(events, is_beginning=is_whole)
        return self._read(events)

    def _read_around(self, events: bytes, *, is_beginning: bool) -> list[bytes | UsageEvent]:
        """The same with a part of an event at their end that is too long to be read: only its beginning says what it is."""
        cut = len(events) - self._splitter.unread
        pieces = self._read(events[:cut])
        if is_beginning:
            self.chunks += self._counter.feed(compact_json(events[cut : cut + _TELLING_BYTES]))
        return [*pieces, events[cut:] if cut else events]

    def skim(self, block: bytes) -> int:
        """How many events a block is made of that are all plain: it may go on as it is. Else 0, and it has yet to be fed."""
        if self._is_clean or self._splitter.is_empty:
            for envelope in self._envelopes:
                if events := envelope.count(block):
                    self._note_plain(envelope, events)
                    if not self._is_clean:
                        self._is_clean = True
                        self._splitter.skip()
                    return events
        return 0

    def _count_plain(self, events: bytes) -> int:
        """How many there are, counted; 0 where there is any of another kind than those that are known."""
        for envelope in self._envelopes:
            if count := envelope.count(events):
                self._note_plain(envelope, count)
                return count
        return 0

    def _note_plain(self, envelope: Envelope, count: int) -> None:
        if envelope.is_reasoning:
            self._counter.reasoning += count
        else:
            self._counter.content += count
        self.chunks = count

    def flush(self) -> list[bytes | UsageEvent]:
        """What is left once the upstream has closed: a last event without its empty line, or nothing."""
        return self._read(self._splitter.flush())

    def _read(self, events: bytes) -> list[bytes | UsageEvent]:
        return self._read_long(events) if len(events) > _LONG_BYTES else self._read_all(events)

    def _read_long(self, events: bytes) -> list[bytes | UsageEvent]:
        """Under load many tokens come at once: the first events tell what the others look like, and only the last may differ."""
        begin = 0 if self._envelopes else events.find(b"\n\n", events.find(b"\n\n") + 1) + 2
        end = events.rfind(b"\n\n", 0, len(events) - _LAST_BYTES) + 2
        if not begin < end:
            return self._read_all(events)
        pieces = self._read_all(events[:begin])
        chunks = self.chunks
        if self._count_plain(events[begin:end]):
            chunks += self.chunks
            pieces.append(events[begin:end])
            begin = end
        pieces += self._read_all(events[begin:])
        self.chunks += chunks
        return _joined(pieces)

    def _read_all(self, events: bytes) -> list[bytes | UsageEvent]:
        if not events:
            self.chunks = 0
            return []
        compact = compact_json(events)
        self.chunks = self._counter.feed(compact)
        if not self.has_finished:
            begin = compact.find(self._finish_hint)
            self.has_finished = _is_done(events) or (begin >= 0 and self._finishes.search(compact, begin) is not None)
        if self._is_worth_opening(compact):
            return self._open_all(events)
        if self.chunks and not self.has_finished and self._counter.is_settled:
            self._learn(events[events.rfind(b"\n\n", 0, -2) + 2 :] if self.chunks > 1 else events)
        return [events]

    def _learn(self, event: bytes) -> None:
        """Know this kind of event when it comes again."""
        is_reasoning = self._counter.is_reasoning(compact_json(event))
        envelope = None if is_reasoning is None else learn(event, is_reasoning=is_reasoning)
        if envelope is not None:
            is_reasoning = envelope.is_reasoning
            others = [known for known in self._envelopes if known.is_reasoning is not is_reasoning]
            self._envelopes = [envelope, *others]

    def _is_worth_opening(self, compact: bytes) -> bool:
        if b'"usage":{' in compact or b'"error"' in compact:
            return True
        if self._endpoint is Endpoint.RESPONSES:
            return self.response_id is None and b'"response":{' in compact
        return self.has_finished and b'"timings":{' in compact

    def _open_all(self, events: bytes) -> list[bytes | UsageEvent]:
        """Go through the events one by one; of a server that counts in every chunk only the last count is read."""
        pieces: list[bytes | UsageEvent] = []
        plain = events.rfind(b"\n\n", 0, _first_hint(events)) + 2
        plain = plain if plain > 1 else 0  # those before the first that may have to be opened: under load they are the most
        run: list[bytes] = [events[:plain]] if plain else []
        running = b""
        for event in split_events(events[plain:]):
            compact = compact_json(event)
            opened: bytes | UsageEvent = event
            if not _NO_FINISH.search(compact) or _CHOICE_FINISHES.search(compact) or b'"error"' in compact:
                self._open(running)
                running = b""
                opened = self._open(event)
            elif b'"usage":{' in compact:
                running = event
            if isinstance(opened, UsageEvent):
                pieces += [b"".join(run), opened] if run else [opened]
                run = []
            elif opened:
                run.append(opened)
        self._open(running)
        return [*pieces, b"".join(run)] if run else pieces

    def _open(self, event: bytes) -> bytes | UsageEvent:
        """What becomes of one event: itself, nothing where it is stripped, or held for its energy."""
        if not _OPENED.search(compact_json(event)):
            return event
        data = read_data(event)
        try:
            known = _EVENT.decode(data)
            fields = decode_object(data)
            nest = _NESTS.get(self._endpoint, "")
            is_nested = is_object(fields.get(nest))
            holder = decode_object(fields[nest]) if is_nested else fields
        except UNREADABLE:
            self._note_broken(data)
            return event
        self._note_error(known, fields, holder)
        if is_nested and self._endpoint is Endpoint.RESPONSES and self.response_id is None:
            self.response_id = read_string(holder, "id")
        self._note_usage(count_tokens(self._endpoint, holder), is_start=is_nested and self._endpoint is Endpoint.MESSAGES)
        if not is_object(holder.get("usage")) or not _is_last_word(known):
            return event
        if self._strips_usage and known.choices is not None:
            return event if known.choices else b""
        return UsageEvent(self.best_usage, event, (nest, "usage") if is_nested else ("usage",))

    def _note_error(self, known: _Event, fields: Mapping[str, Raw], holder: Mapping[str, Raw]) -> None:
        if "error" in {known.type, known.object} or bytes(holder.get("error", b"null")) != b"null":
            self.error = read_message(holder) or read_message(fields) or _NO_REASON

    def _note_broken(self, data: bytes) -> None:
        """An error that its server did not escape, so that it is no JSON."""
        if broken := _BROKEN_ERROR.match(data):
            self.error = broken.group(1).decode(errors="replace").strip('" }') or _NO_REASON

    def _note_usage(self, new: Usage, *, is_start: bool) -> None:
        """Keep what is not zero; a message's start knows the prompt only."""
        if new == Usage():
            return
        old = self.usage or Usage()
        self.usage = Usage(
            prompt=_newer(new.prompt, old.prompt),
            cached=_newer(new.cached, old.cached),
            reasoning=_newer(new.reasoning, old.reasoning),
            completion=old.completion if is_start else _newer(new.completion, old.completion),
        )


def error_event(endpoint: Endpoint, error_json: Mapping[str, object]) -> bytes:
    """The event that tells a client, in its endpoint's own shape, that the stream broke.

    Args:
        endpoint: Whose stream it is.
        error_json: `{"error": {message, type, param, code}}`.
    """
    if endpoint not in {Endpoint.MESSAGES, Endpoint.RESPONSES}:
        return b"data: " + msgspec.json.encode(error_json) + b"\n\n"
    error = error_json.get("error")
    error = error if isinstance(error, Mapping) else {}
    event: dict[str, object]
    if endpoint is Endpoint.MESSAGES:
        event = {"type": "error", "error": {"type": error.get("type"), "message": error.get("message")}}
    else:
        event = {"type": "error", "code": error.get("code"), "message": error.get("message"), "param": error.get("param")}
    return b"event: error\ndata: " + msgspec.json.encode(event) + b"\n\n"


def _joined(pieces: list[bytes | UsageEvent]) -> list[bytes | UsageEvent]:
    """The same, cut only at the events that are held."""
    joined: list[bytes | UsageEvent] = []
    for piece in pieces:
        if joined and isinstance(piece, bytes) and isinstance(before := joined[-1], bytes):
            joined[-1] = before + piece
        else:
            joined.append(piece)
    return joined


def _is_done(events: bytes) -> bool:
    """Whether `[DONE]` is among the last of them."""
    end = max(0, len(events) - _DONE_WITHIN_BYTES)
    return events.find(b"[DONE]", end) >= 0 and _DONE.search(events, max(0, end - _DONE_BEGINS_BYTES)) is not None


def _first_hint(events: bytes) -> int:
    """Where the first event that may have to be opened shows it; 0 where none does."""
    return min([at for hint in _OPENED_HINTS if (at := events.find(hint)) >= 0], default=0)


def _is_last_word(event: _Event) -> bool:
    """Whether this event's usage is one that counts: the server's last word, or the last word on a choice."""
    if event.choices is None:
        return event.type is None or event.type in _LAST_WORDS
    return not event.choices or any(choice.finish_reason for choice in event.choices)


def _newer(new: int | None, old: int | None) -> int | None:
    return new if new or old is None else old
