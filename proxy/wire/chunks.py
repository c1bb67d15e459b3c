"""Counting what a stream generates by the marks of its events: searches of the bytes, a block at a time, no JSON.

In JSON a quotation mark inside a string carries a backslash, so that `"content":"` can only be a key: text about JSON does
not count. Thoughts are counted apart, whether a server sends them under a name of their own or between tags in the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from ..exchange import Endpoint

_Needles: TypeAlias = tuple[tuple[bytes, bytes | None], ...]

_OPEN_TAG: Final = rb"(?:<|\\u003c)think(?:>|\\u003e)"  # Go's encoder escapes the brackets
_SPACE: Final = rb"(?:\\[nrt]|\s)*"
_BLANK: Final = rb"(?:\\[nrt]|\s|(?:<|\\u003c)/?think(?:>|\\u003e))*"
_CLOSES: Final = re.compile(rb"(?:<|\\u003c)/think(?:>|\\u003e)", re.IGNORECASE)


def _with_words(keys: bytes) -> re.Pattern[bytes]:
    """A text under one of `keys` that is more than white space and tags."""
    return re.compile(rb'"(?:' + keys + rb')":"(?!' + _BLANK + rb'")', re.IGNORECASE)


def _opening(key: bytes) -> re.Pattern[bytes]:
    """A text under `key` that begins with `<think>`."""
    return re.compile(rb'"' + key + rb'":"' + _SPACE + _OPEN_TAG, re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Marks:
    """What an endpoint's events look like, in compact JSON."""

    content: _Needles = ()
    """Each needle stands once in an event that carries output; the second is the same with nothing in it."""
    reasoning: _Needles = ()
    """A server uses one of them, or all of them at once for the same text."""
    hint: bytes = b""
    """Where this is missing there is no reasoning."""
    thoughts: re.Pattern[bytes] | None = None
    """Reasoning with words in it."""
    words: re.Pattern[bytes] | None = None
    """Text with words in it, where thoughts may stand between tags."""
    opening: re.Pattern[bytes] | None = None


_CHAT_TEXT: Final = ((b'"content":"', b'"content":""'),)
_MARKS: Final[Mapping[Endpoint, _Marks]] = {
    Endpoint.CHAT: _Marks(
        content=(*_CHAT_TEXT, (b'"tool_calls":[{', None)),
        reasoning=((b'"reasoning":"', b'"reasoning":""'), (b'"reasoning_content":"', b'"reasoning_content":""')),
        hint=b'"reasoning',
        thoughts=_with_words(b"reasoning(?:_content)?"),
        words=_with_words(b"content"),
        opening=_opening(b"content"),
    ),
    Endpoint.COMPLETIONS: _Marks(
        content=((b'"text":"', b'"text":""'),),
        words=_with_words(b"text"),
        opening=_opening(b"text"),
    ),
    Endpoint.MESSAGES: _Marks(
        content=((b'"type":"text_delta"', None), (b'"type":"input_json_delta"', None)),
        reasoning=((b'"type":"thinking_delta"', None),),
        hint=b'"thinking_delta"',
        thoughts=_with_words(b"thinking"),
    ),
    Endpoint.RESPONSES: _Marks(
        content=((b'"type":"response.output_text.delta"', None), (b'"type":"response.function_call_arguments.delta"', None)),
        reasoning=((b'"type":"response.reasoning_text.delta"', None), (b'"type":"response.reasoning_summary_text.delta"', None)),
        hint=b'"response.reasoning_',
        thoughts=_with_words(b"delta"),
    ),
    Endpoint.TRANSCRIPTIONS: _Marks(content=(*_CHAT_TEXT, (b'"type":"transcript.text.delta"', None))),
}


def compact_json(events: bytes) -> bytes:
    """`events` without the space that servers written in Python put behind a colon, and perhaps some in their texts."""
    return events.replace(b'": ', b'":') if b'": ' in events else events


class ChunkCounter:
    """Counts the events of one stream that carry generated text.

    A role without text, a comment, usage, `[DONE]` carry none. Blank reasoning before the first thought does not count: it is
    a template's, sent even where thinking is off. An event with both reasoning and text counts once as each.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.content = 0
        self.reasoning = 0
        self._marks = _MARKS.get(endpoint, _Marks())
        self._has_thought = False
        self._has_words = False
        self._watches_tags = self._marks.words is not None
        self._is_in_tags = False

    @property
    def is_settled(self) -> bool:
        """Whether the next chunk with words counts by its kind alone: no tag is open or awaited that would make it a thought."""
        return not self._is_in_tags and (self._has_words or not self._watches_tags)

    def is_reasoning(self, event: bytes) -> bool | None:
        """Of what kind one event in compact JSON is, as the next of it will be counted; None where it is not one chunk."""
        marks = self._marks
        thoughts = 0
        if self._has_thought and marks.hint in event:
            thoughts = max(_count(event, (needle,)) for needle in marks.reasoning)
        return thoughts > 0 if _count(event, marks.content) + thoughts == 1 else None

    def feed(self, events: bytes) -> int:
        """Count whole `events` in compact JSON; returns how many carry text or thoughts."""
        content = _count(events, self._marks.content)
        reasoning = self._count_thoughts(events) if self._marks.hint and self._marks.hint in events else 0
        chunks = content + reasoning
        if self._watches_tags and content:
            thoughts = self._count_tagged(events, content)
            content -= thoughts
            reasoning += thoughts
        self.content += content
        self.reasoning += reasoning
        return chunks

    def _count_thoughts(self, events: bytes) -> int:
        """Reasoning under a name of its own, from the first that has words."""
        marks = self._marks
        if not self._has_thought:
            first = marks.thoughts.search(events) if marks.thoughts else None
            if first is None:
                return 0
            self._has_thought = True
            events = events[max(events.rfind(b"\ndata:", 0, first.start()), 0) :]
        found = max(_count(events, (needle,)) for needle in marks.reasoning)
        if found:
            self._watches_tags = self._is_in_tags = False  # a server that keeps thoughts apart has no tags for them
        return found

    def _count_tagged(self, events: bytes, content: int) -> int:
        """How many of the content chunks in `events` are thoughts: all that precede the first `</think>`.

        The opening tag may be missing, since some models' templates put it into the prompt: then what was content so far
        becomes reasoning when the closing tag comes. Tags with nothing between them are no thought.
        """
        close = _CLOSES.search(events) if b"/think" in events else None
        if not self._has_words:
            self._look_for_words(events[: close.start()] + b'"' if close else events)
        if close:
            self._watches_tags = False
        elif not self._is_in_tags:
            return 0
        if not self._has_words:
            return 0
        self.reasoning += self.content
        self.content = 0
        return _count(events[: close.end()], self._marks.content) if close else content

    def _look_for_words(self, events: bytes) -> None:
        """Whether the first words come behind an opening tag."""
        marks = self._marks
        words = marks.words.search(events) if marks.words else None
        self._has_words = words is not None
        if marks.opening is None:
            return
        if words is None:
            opening = marks.opening.search(events)
        else:  # nothing behind the first words is of interest, and under load that is nearly all
            opening = marks.opening.search(events, 0, words.start()) or marks.opening.match(events, words.start())
        if opening:
            self._is_in_tags = True


def _count(events: bytes, needles: _Needles) -> int:
    total = 0
    for needle, empty in needles:
        found = events.count(needle)
        total += found - events.count(empty) if found and empty else found
    return total
