"""Tests of recognising plain events by their envelope."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.exchange import Endpoint
from jevons.proxy.wire.plain import Envelope, learn
from jevons.proxy.wire.stream import StreamEditor, UsageEvent


def event(text, *, key="content", usage=None, finish=None, extra=None):
    """One chunk as vLLM writes it."""
    choice = {"index": 0, "delta": {key: text, **(extra or {})}, "logprobs": None, "finish_reason": finish}
    data = {"id": "c", "created": 1, "choices": [choice], **({"usage": usage} if usage else {})}
    return b"data: " + json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"


class Reader(StreamEditor):
    """An editor that reads every event in full."""

    def _learn(self, event):
        """Learn nothing."""

    def _read(self, events):
        """However many there are."""
        return self._read_all(events)


def envelope() -> Envelope:
    """That of a plain chunk."""
    learnt = learn(event("Hello"), is_reasoning=False)
    assert learnt is not None
    return learnt


def test_the_next_token_is_recognised():
    """An event with another text in the same envelope counts as one, several as several."""
    assert envelope().count(event(" wörld")) == 1
    assert envelope().count(event("a") + event(" ") + event("ccc")) == 3


@pytest.mark.parametrize(
    "block",
    [
        event(""),
        event("a") + event(""),
        event('say "so"'),
        event("a", finish="stop"),
        event("a", usage={"prompt_tokens": 1}),
        event("a", key="reasoning_content"),
        event("a") + event("b", finish="length"),
        event("a") + b": ping\n\n" + event("b"),
        event("</think>"),
        event("a") + event("</think>b"),
        event("a")[:-1],
        event("a") + event("b")[:40],
        event("a", extra={"tool_calls": [{"index": 0}]}),
        b"",
        b"data: [DONE]\n\n",
    ],
)
def test_whatever_else_is_read_in_full(block):
    """Anything that is not made of that envelope and texts alone is left to the full reading."""
    assert envelope().count(block) == 0


@pytest.mark.parametrize(
    ("sample", "is_reasoning"),
    [
        (event("a") + event("b"), False),
        (event("a")[:-2], False),
        (event("", finish=None), False),
        (event("x" * 2000), False),
        (event('"'), False),
        (event("a", key="reasoning_content"), False),
        (event("a"), True),
        (b"data: [DONE]\n\n", False),
    ],
)
def test_nothing_is_learnt_from_an_event_that_is_not_plain(sample, is_reasoning):
    """Where the text cannot be told from its envelope there is none."""
    assert learn(sample, is_reasoning=is_reasoning) is None


TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["", " ", '"', "\\", '\\"', "</think>", "<think>", '"usage":{', "[DONE]", "\n\n", "data: [DONE]\n\n"]),
)
EVENTS = st.one_of(
    st.builds(event, TEXTS),
    st.builds(event, TEXTS, key=st.just("reasoning_content")),
    st.builds(event, TEXTS, usage=st.just({"prompt_tokens": 3, "completion_tokens": 4})),
    st.builds(event, TEXTS, finish=st.just("stop")),
    st.just(b": ping\n\n"),
    st.just(b'data: {"error":{"message":"no"}}\n\n'),
)
DONE = b"data: [DONE]\n\n"


@given(st.lists(EVENTS | st.just(DONE), max_size=25), st.lists(st.integers(1, 400), max_size=30))
def test_recognising_changes_nothing(events, cuts):
    """However a stream is cut, an editor that recognises plain events gives and counts what one gives that reads them all."""
    stream = b"".join(events)
    fast, full = (kind(Endpoint.CHAT, strips_usage=False) for kind in (StreamEditor, Reader))
    at = 0
    while at < len(stream):
        size = cuts[at % len(cuts)] if cuts else len(stream)
        block, at = stream[at : at + size], at + size
        assert flat(fast.feed(block)) == flat(full.feed(block))
        assert seen(fast) == seen(full)
    assert flat(fast.flush()) == flat(full.flush())
    assert seen(fast) == seen(full)


ONE_MANNER = st.sampled_from([b"think>", b"reasoning_content"]).flatmap(
    lambda other: st.lists(st.tuples(EVENTS.filter(lambda one: other not in one), st.integers(1, 60)), max_size=8)
)
"""No server marks thoughts by tags and by a name of their own: what they count then depends on how the stream is cut."""


@given(ONE_MANNER, st.integers(3000, 40_000))
def test_many_at_once_are_read_as_they_would_be_one_by_one(runs, size):
    """Under load a block holds many events, most of them alike: it gives and counts what reading all of them does."""
    stream = b"".join(one * times for one, times in runs) + DONE
    fast, full = (kind(Endpoint.CHAT, strips_usage=False) for kind in (StreamEditor, Reader))
    for at in range(0, len(stream), size):
        assert flat(fast.feed(stream[at : at + size])) == flat(full.feed(stream[at : at + size]))
        assert seen(fast) == seen(full)
    assert flat(fast.flush()) == flat(full.flush())


def test_a_long_stream_in_one_block_stays_in_one_piece():
    """What is forwarded is cut only at the event that is held for its energy."""
    tokens = event("") + b"".join(event(f" token{number}") for number in range(200))
    end = event("", finish="stop") + event("", usage={"prompt_tokens": 3, "completion_tokens": 200}) + b"data: [DONE]\n\n"
    editor = StreamEditor(Endpoint.CHAT, strips_usage=False)
    pieces = editor.feed(tokens + end)
    assert editor.content_chunks == editor.chunks == 200
    assert flat(pieces) == tokens + end
    assert len(pieces) <= 3


@given(st.lists(st.text(min_size=1, max_size=8), min_size=3, max_size=20))
def test_plain_streams_are_recognised_event_by_event(texts):
    """In an ordinary stream the envelope is found: the test above compares two different ways of reading."""
    editor = StreamEditor(Endpoint.CHAT, strips_usage=False)
    for text in texts:
        editor.feed(event(text))
    plain = [text for text in texts if text.strip() and not set(text) & set('"\\<') and text.isprintable()]
    assert bool(editor._envelopes) >= bool(plain and "<" not in "".join(texts))


def seen(editor):
    """All that an editor has noticed."""
    counts = (editor.chunks, editor.content_chunks, editor.reasoning_chunks)
    return (*counts, editor.usage, editor.best_usage, editor.error, editor.has_finished)


def flat(pieces):
    """The bytes of what was given out."""
    return b"".join(piece.event if isinstance(piece, UsageEvent) else piece for piece in pieces)
