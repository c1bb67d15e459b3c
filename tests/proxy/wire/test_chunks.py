"""What counts as generated, and what of it as reasoning."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_samples import sse

from jevons.proxy.exchange import Endpoint
from jevons.proxy.wire.chunks import ChunkCounter, compact_json


def deltas(*texts: str, key: str = "content", go: bool = False) -> list[bytes]:
    """Chat events with these texts, as a compact encoder or as Go's writes them."""
    events = []
    for text in texts:
        data = json.dumps({"choices": [{"index": 0, "delta": {key: text}, "finish_reason": None}]}, separators=(",", ":"))
        events.append(sse((data.replace("<", "\\u003c").replace(">", "\\u003e") if go else data).encode()))
    return events


def count(events: list[bytes], endpoint: Endpoint = Endpoint.CHAT) -> tuple[int, int]:
    counter = ChunkCounter(endpoint)
    for event in events:
        counter.feed(event)
    return counter.content, counter.reasoning


@pytest.mark.parametrize("go", [False, True])
@pytest.mark.parametrize(
    ("texts", "counted"),
    [
        (["<think>", "Hm", " so", "</think>", "\n\n", "Paris", "."], (3, 4)),
        (["<think>\nHm", " so</think>", "Paris"], (1, 2)),
        (["\n", "<think>", "Hm", "</think>", "Paris"], (1, 4)),
        (["Hm", " so", "\n</think>\n\n", "Paris", "."], (2, 3)),
        (["<think>", "\n\n", "</think>", "\n\n", "Paris"], (5, 0)),
        (["</think>", "Paris"], (2, 0)),
        (["<think>", "Hm", " so"], (0, 3)),
        (["Hm", "</think>", "Use", "</think>", "."], (3, 2)),
        (["a", "b", "<think>", "c"], (4, 0)),
        (["Paris", ".", ""], (2, 0)),
    ],
)
def test_thoughts_between_tags_are_counted_apart(texts: list[str], counted: tuple[int, int], *, go: bool) -> None:
    """All up to the first closing tag is reasoning, opened or not; empty tags are none; later tags are text."""
    events = deltas(*texts, go=go)
    assert count(events) == counted
    assert count([b"".join(events)]) == counted


@given(
    texts=st.lists(st.sampled_from(["<think>", "</think>", "\n", "a", "b c", "", "x</think>y", "<think>z"]), max_size=10),
    places=st.sets(st.integers(0, 10)),
)
def test_how_events_are_grouped_does_not_matter(texts: list[str], places: set[int]) -> None:
    """One block with all events counts like many with one each."""
    events = deltas(*texts)
    groups: list[bytes] = [b""]
    for number, event in enumerate(events):
        if number in places:
            groups.append(b"")
        groups[-1] += event
    assert count(groups) == count(events)


@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
def test_blank_reasoning_before_the_first_thought_is_a_templates(key: str) -> None:
    """White space that is sent even where thinking is off is no reasoning; within a thought it is."""
    assert count(deltas("\n\n", key=key) + deltas("Paris")) == (1, 0)
    assert count(deltas("\n", "Hm", "\n", "so", key=key) + deltas("Paris")) == (1, 3)
    assert count([b"".join(deltas("\n", "Hm", "\n", key=key) + deltas("Paris"))]) == (1, 2)


def test_two_names_for_one_thought_count_once() -> None:
    """A server that sends `reasoning` and `reasoning_content` with the same text sends one chunk."""
    event = sse(b'{"choices":[{"delta":{"reasoning":"x","reasoning_content":"x"}}]}')
    assert count([event, event]) == (0, 2)


def test_tags_in_the_answer_of_a_server_that_keeps_reasoning_apart_are_text() -> None:
    """After a reasoning field has been used, `</think>` is something that is talked about."""
    assert count(deltas("Hm", key="reasoning") + deltas("Write ", "</think>", ".")) == (3, 1)


def test_completions_have_their_text_elsewhere() -> None:
    """`text` counts for completions, and `content` does not."""
    events = [sse(b'{"choices":[{"text":"a","index":0}]}'), sse(b'{"choices":[{"text":"","index":0,"content":"x"}]}')]
    assert count(events, Endpoint.COMPLETIONS) == (1, 0)


def test_transcriptions_count_in_both_dialects() -> None:
    """OpenAI's `transcript.text.delta` and vLLM's chat-like chunks are chunks."""
    events = [
        sse(b'{"type":"transcript.text.delta","delta":"Hello"}'),
        sse(b'{"object":"transcription.chunk","choices":[{"delta":{"content":" you"}}]}'),
    ]
    assert count(events, Endpoint.TRANSCRIPTIONS) == (2, 0)


def test_an_endpoint_that_generates_nothing_counts_nothing() -> None:
    """Embeddings have no chunks."""
    assert count(deltas("x"), Endpoint.EMBEDDINGS) == (0, 0)


def test_compact_json_drops_the_space_behind_a_colon_only() -> None:
    """Spaced JSON looks like compact JSON to the searches; compact JSON is not copied."""
    assert compact_json(b'{"a": "b c", "d": {"e": 1}}') == b'{"a":"b c", "d":{"e":1}}'
    compact = b'{"a":"b"}'
    assert compact_json(compact) is compact
