"""What is read in a stream, and what of it reaches the client."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
import wire_samples as samples
from hypothesis import given
from hypothesis import strategies as st
from wire_samples import cut, sse

from jevons.proxy.exchange import Endpoint, Energy, Method, Usage
from jevons.proxy.wire import stream as stream_module
from jevons.proxy.wire.sse import read_data, split_events
from jevons.proxy.wire.stream import StreamEditor, UsageEvent, error_event

RECORDED = Path(__file__).parents[2] / "recorded"
ENERGY = Energy(joules=1.5, low=1.0, high=2.0, method=Method.MEASURED, scope="gpu").as_json()

CHAT, TEXT, MESSAGES, RESPONSES = Endpoint.CHAT, Endpoint.COMPLETIONS, Endpoint.MESSAGES, Endpoint.RESPONSES


def recorded(name: str) -> bytes:
    return (RECORDED / f"transformers-{name}-stream.txt").read_bytes().rstrip(b"\n") + b"\n\n"


# name, endpoint, stream, content chunks, reasoning chunks, usage
SERVERS = {
    "vllm": (CHAT, samples.VLLM_CHAT, 2, 2, Usage(12, 4, None, 8)),
    "sglang": (CHAT, samples.SGLANG_CHAT, 1, 1, Usage(9, 1, 3, 5)),
    "llama.cpp": (CHAT, samples.LLAMA_CPP_CHAT, 1, 0, Usage(25, 20, None, 2)),
    "ollama": (CHAT, samples.OLLAMA_CHAT, 1, 1, Usage(17, None, None, 40)),
    "ollama completions": (TEXT, samples.OLLAMA_COMPLETIONS, 2, 0, Usage(3, None, None, 2)),
    "openai": (CHAT, samples.OPENAI_CHAT, 1, 0, Usage(9, 0, 21, 30)),
    "tools": (CHAT, samples.TOOL_CHAT, 2, 0, None),
    "spaced": (CHAT, samples.SPACED_CHAT, 2, 0, Usage(5, None, None, 2)),
    "messages": (MESSAGES, samples.MESSAGES, 2, 1, Usage(100, 90, None, 30)),
    "responses": (RESPONSES, samples.RESPONSES, 2, 1, Usage(36, 2, 40, 87)),
    "transformers": (CHAT, recorded("chat"), 0, 8, Usage(21, None, None, 8)),
    "transformers, thinking off": (CHAT, recorded("chat-nothink"), 7, 0, Usage(23, None, None, 8)),
    "transformers completions": (TEXT, recorded("completions"), 7, 0, Usage(7, None, None, 8)),
    "transformers responses": (RESPONSES, recorded("responses"), 0, 8, Usage(21, 0, 0, 8)),
}


def run(editor: StreamEditor, blocks: list[bytes]) -> list[bytes | UsageEvent]:
    pieces = [piece for block in blocks for piece in editor.feed(block)]
    return pieces + editor.flush()


def sent(pieces: list[bytes | UsageEvent]) -> bytes:
    return b"".join(piece.encode(None) if isinstance(piece, UsageEvent) else piece for piece in pieces)


@pytest.mark.parametrize("server", SERVERS)
def test_every_servers_stream_is_understood(server: str) -> None:
    """Chunks, reasoning, usage and the end are found in each server's own shape, and every byte is forwarded."""
    endpoint, stream, content, reasoning, usage = SERVERS[server]
    editor = StreamEditor(endpoint, strips_usage=False)
    assert sent(run(editor, [stream])) == stream
    assert (editor.content_chunks, editor.reasoning_chunks, editor.usage) == (content, reasoning, usage)
    assert editor.has_finished
    assert editor.error is None


@given(server=st.sampled_from(sorted(SERVERS)), places=st.lists(st.integers(0, 10_000), max_size=20), crlf=st.booleans())
def test_any_split_is_read_alike(server: str, places: list[int], *, crlf: bool) -> None:
    """However the network cuts a stream, and whichever line ends it has, the same is counted and forwarded."""
    endpoint, stream, content, reasoning, usage = SERVERS[server]
    stream = stream.replace(b"\n", b"\r\n") if crlf else stream
    editor = StreamEditor(endpoint, strips_usage=False)
    chunks = 0
    pieces: list[bytes | UsageEvent] = []
    for block in cut(stream, places):
        pieces += editor.feed(block)
        chunks += editor.chunks
    pieces += editor.flush()
    assert sent(pieces) == stream
    assert chunks + editor.chunks == content + reasoning
    assert (editor.content_chunks, editor.reasoning_chunks, editor.usage) == (content, reasoning, usage)
    assert editor.has_finished


@pytest.mark.parametrize("server", [name for name, row in SERVERS.items() if row[4] and name != "llama.cpp"])
def test_energy_is_added_to_the_last_usage_only(server: str) -> None:
    """One event is held, its usage gains `energy`, and nothing else in it changes."""
    endpoint, stream, _, _, usage = SERVERS[server]
    pieces = run(StreamEditor(endpoint, strips_usage=False), [stream])
    (event,) = [piece for piece in pieces if isinstance(piece, UsageEvent)]
    assert (event.usage.prompt, event.usage.completion) == (usage.prompt, usage.completion)
    before, after = json.loads(read_data(event.event)), json.loads(read_data(event.encode(ENERGY)))
    holder = after["response"] if endpoint is RESPONSES else after
    assert holder["usage"].pop("energy") == ENERGY
    assert after == before


def test_values_beside_the_energy_stay_byte_for_byte() -> None:
    """Number literals, escapes and inner white space are not rewritten, nor are the event's other lines."""
    event = (
        b"event: response.completed\r\nid: 7\r\n"
        b'data: {"type":"response.completed","response":{"id":"r","temperature":0.70,"t":"\\u00e9\\/","o":[1,  2],'
        b'"usage":{"input_tokens":1,"output_tokens":2,"x":1e3}}}\r\n\r\n'
    )
    (piece,) = run(StreamEditor(RESPONSES, strips_usage=False), [event])
    assert isinstance(piece, UsageEvent)
    energy = msgspec.json.encode(ENERGY)
    assert piece.encode(ENERGY) == event.replace(b'"x":1e3}', b'"x":1e3,"energy":' + energy + b"}")


def test_usage_that_the_client_did_not_ask_for_is_dropped() -> None:
    """With `strips_usage` the added chunk disappears, its counts are kept, and all else is forwarded."""
    editor = StreamEditor(CHAT, strips_usage=True)
    pieces = run(editor, [samples.VLLM_CHAT])
    events = split_events(samples.VLLM_CHAT)
    assert pieces == [b"".join(event for event in events if b'"usage"' not in event)]
    assert editor.usage == Usage(12, 4, None, 8)


def test_usage_on_a_choice_stays_where_the_client_did_not_ask() -> None:
    """A server's own habit of putting usage on the chunk that finishes is not tampered with."""
    editor = StreamEditor(CHAT, strips_usage=True)
    assert run(editor, [recorded("chat")]) == [recorded("chat")]
    assert editor.usage == Usage(21, None, None, 8)


def test_running_usage_is_kept_and_not_held() -> None:
    """Usage on every chunk is forwarded as it comes, and its last word survives a stream that breaks."""
    editor = StreamEditor(CHAT, strips_usage=False)
    assert editor.feed(samples.VLLM_CONTINUOUS) == [samples.VLLM_CONTINUOUS]
    assert editor.best_usage == Usage(12, None, None, 2)
    assert not editor.has_finished


def test_the_order_of_events_is_kept_around_a_held_one() -> None:
    """What precedes the usage event comes before it, what follows after it."""
    before, held, after = run(StreamEditor(CHAT, strips_usage=False), [samples.SPACED_CHAT])
    assert isinstance(held, UsageEvent)
    assert isinstance(before, bytes)
    assert before.count(b"\n\n") == 4
    assert after == b"data: [DONE]\n\n"


def test_a_cancelled_messages_stream_counts_its_chunks() -> None:
    """The one output token that a message's start claims is no count: chunks are, and flagged as an estimate."""
    editor = StreamEditor(MESSAGES, strips_usage=False)
    editor.feed(samples.MESSAGES[: samples.MESSAGES.index(b"event: message_delta")])
    assert editor.best_usage == Usage(100, 90, 1, 3, is_estimated=True)


def test_without_usage_the_chunks_are_the_estimate() -> None:
    """A server that sends no usage has its chunks counted; before any chunk nothing is known."""
    editor = StreamEditor(CHAT, strips_usage=False)
    assert editor.best_usage == Usage()
    run(editor, [samples.TOOL_CHAT])
    assert editor.best_usage == Usage(completion=2, is_estimated=True)


def test_reasoning_is_estimated_by_its_share_of_the_chunks() -> None:
    """Where the server counts the completion only, reasoning is its share, and only that is flagged."""
    editor = StreamEditor(CHAT, strips_usage=False)
    run(editor, [samples.VLLM_CHAT])
    assert editor.best_usage == Usage(12, 4, 4, 8, is_reasoning_estimated=True)


def test_a_reported_zero_of_reasoning_is_overruled_by_reasoning_that_was_seen() -> None:
    """`transformers serve` reports no reasoning tokens in an answer that is nothing else."""
    editor = StreamEditor(RESPONSES, strips_usage=False)
    run(editor, [recorded("responses")])
    assert editor.best_usage == Usage(21, 0, 8, 8, is_reasoning_estimated=True)


LOOK_ALIKES = st.sampled_from(
    ['"usage":{"prompt_tokens":1}', '"content":"x"', '"error":{}', "data: [DONE]", "\n\ndata: [DONE]", '"finish_reason":"stop"']
)


@given(
    text=st.lists(LOOK_ALIKES | st.text(min_size=1, max_size=8), min_size=1, max_size=4)
    .map("".join)
    .filter(lambda text: "/think" not in text),  # what precedes that is a thought, and rightly so
    places=st.lists(st.integers(0, 999)),
)
def test_text_about_json_fools_nobody(text: str, places: list[int]) -> None:
    """A chunk whose text looks like usage, an error or an end is one chunk of text."""
    chunk = {"id": "1", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
    stream = sse(json.dumps(chunk, ensure_ascii=False, separators=(",", ":")).encode())
    editor = StreamEditor(CHAT, strips_usage=True)
    assert sent(run(editor, cut(stream, places))) == stream
    assert (editor.content_chunks, editor.usage, editor.error, editor.has_finished) == (1, None, None, False)


@pytest.mark.parametrize("word", ["error", "usage", "[DONE]", "thinking_delta"])
def test_a_word_that_is_a_mark_elsewhere_is_text(word: str) -> None:
    """A text that is exactly a name is no error, usage or end."""
    stream = sse(b'{"choices":[{"delta":{"content":"' + word.encode() + b'"},"finish_reason":null}]}')
    editor = StreamEditor(CHAT, strips_usage=True)
    assert run(editor, [stream]) == [stream]
    assert (editor.content_chunks, editor.usage, editor.error, editor.has_finished) == (1, None, None, False)


@pytest.mark.parametrize(
    ("endpoint", "event", "words"),
    [
        (CHAT, b'data: {"error":{"message":"out of memory","type":"server_error","code":500}}\n\n', "out of memory"),
        (CHAT, b'data: {"error": "CB worker died"}\n\n', "CB worker died"),
        (CHAT, b'data: {"error": "the "quoted" word"}\n\n', 'the "quoted" word'),
        (CHAT, b'data: {"object":"error","message":"aborted","type":"AbortError","code":400}\n\n', "aborted"),
        (CHAT, b'data: {"error":{}}\n\n', "The model server gave no reason."),
        (MESSAGES, b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"busy"}}\n\n', "busy"),
        (RESPONSES, b'event: error\ndata: {"type":"error","code":"x","message":"no","param":null}\n\n', "no"),
        (
            RESPONSES,
            b'data: {"type":"response.failed","response":{"id":"r","error":{"code":"x","message":"bad"},"usage":null}}\n\n',
            "bad",
        ),
    ],
)
def test_an_error_in_the_stream_is_seen_and_forwarded(endpoint: Endpoint, event: bytes, words: str) -> None:
    """Each server's way of failing in the middle is recognised, even where it is no JSON, and reaches the client."""
    editor = StreamEditor(endpoint, strips_usage=False)
    assert run(editor, [event]) == [event]
    assert editor.error == words


def test_the_id_of_a_response_is_known_from_its_first_event() -> None:
    """Stickiness must not wait for the end of the stream."""
    editor = StreamEditor(RESPONSES, strips_usage=False)
    editor.feed(samples.RESPONSES[: samples.RESPONSES.index(b"event: response.reasoning")])
    assert editor.response_id == "resp_1"


@pytest.mark.parametrize("end", [b"data: [DONE]", b"data: [DONE]\n", b"data:[DONE]\r\n", b"data: [DONE]\n\n: bye\n\n"])
def test_done_is_an_end_in_every_spelling(end: bytes) -> None:
    """A server whose chunks carry no finish reason has ended when it says [DONE], even without an empty line behind it."""
    stream = sse(b'{"choices":[{"delta":{"content":"x"}}]}') + end
    editor = StreamEditor(CHAT, strips_usage=False)
    assert sent(run(editor, [stream])) == stream
    assert editor.has_finished


def test_comments_and_pings_are_forwarded_and_not_counted() -> None:
    """llama.cpp's comments are nobody's tokens."""
    editor = StreamEditor(CHAT, strips_usage=False)
    assert run(editor, [b":\n\n", b": ping\n\n"]) == [b":\n\n", b": ping\n\n"]
    assert (editor.chunks, editor.content_chunks) == (0, 0)


def test_an_oversized_event_is_forwarded_unread_and_what_follows_is_read() -> None:
    """A line beyond the cap passes through in pieces; the usage behind it is still found."""
    editor = StreamEditor(CHAT, strips_usage=False, cap_bytes=1000)
    stream = sse(b'{"choices":[{"delta":{"x":"' + b"y" * 5000 + b'"}}]}') + samples.SPACED_CHAT
    blocks = [stream[at : at + 700] for at in range(0, len(stream), 700)]
    first = editor.feed(blocks[0]) + editor.feed(blocks[1])
    assert not editor.is_at_boundary
    assert sent(first + run(editor, blocks[2:])) == stream
    assert editor.usage == Usage(5, None, None, 2)


@pytest.mark.parametrize(
    "data", [b"{", b"[]", b'{"usage":{"prompt_tokens":"x"}}', b'{"choices":{},"usage":{"a":1}}', b'{"usage":{' + b'"a":[' * 5000]
)
def test_what_cannot_be_read_is_forwarded(data: bytes) -> None:
    """Broken JSON, wrong types and absurd depth are the client's to see, and no reason to fail."""
    editor = StreamEditor(CHAT, strips_usage=True)
    assert sent(run(editor, [sse(data)])) == sse(data)
    assert editor.usage is None


def test_a_server_may_put_its_own_energy_there_and_ours_replaces_it() -> None:
    """One object has one `energy`."""
    stream = sse(b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"energy":{"joules":9}}}')
    (event,) = run(StreamEditor(CHAT, strips_usage=False), [stream])
    assert isinstance(event, UsageEvent)
    assert event.encode(ENERGY).count(b'"energy"') == 1


def test_zero_usage_in_the_last_chunk_still_carries_the_energy() -> None:
    """A usage chunk that counts nothing is the place for energy all the same; the counts stay unknown."""
    editor = StreamEditor(CHAT, strips_usage=False)
    (event,) = run(editor, [sse(b'{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0}}')])
    assert isinstance(event, UsageEvent)
    assert editor.usage is None


@pytest.mark.parametrize(
    ("endpoint", "event"),
    [
        (CHAT, b'data: {"error":{"message":"gone","type":"upstream_error","param":null,"code":"c"}}\n\n'),
        (TEXT, b'data: {"error":{"message":"gone","type":"upstream_error","param":null,"code":"c"}}\n\n'),
        (MESSAGES, b'event: error\ndata: {"type":"error","error":{"type":"upstream_error","message":"gone"}}\n\n'),
        (RESPONSES, b'event: error\ndata: {"type":"error","code":"c","message":"gone","param":null}\n\n'),
    ],
)
def test_our_own_error_has_the_endpoints_shape(endpoint: Endpoint, event: bytes) -> None:
    """A broken stream ends with an event that the endpoint's clients raise as an error."""
    error = {"error": {"message": "gone", "type": "upstream_error", "param": None, "code": "c"}}
    assert error_event(endpoint, error) == event


def test_an_oversized_event_counts_by_its_beginning() -> None:
    """What is forwarded unread is a chunk all the same, once; of what comes before it nothing is missed."""
    editor = StreamEditor(CHAT, strips_usage=False, cap_bytes=1000)
    token = sse(b'{"choices":[{"delta":{"content":"a"}}]}')
    long = sse(b'{"choices":[{"delta":{"content":"' + b'say \\"usage\\" ' * 9000 + b'"}}]}')
    chunks = 0
    out = []
    for block in (token + token + long[:2000], long[2000:50_000], long[50_000:] + token, token):
        out += editor.feed(block)
        chunks += editor.chunks
    assert sent(out) == token + token + long + token + token
    assert (chunks, editor.content_chunks) == (5, 5)


def test_events_before_the_usage_are_not_looked_at_one_by_one(monkeypatch) -> None:
    """A whole stream in one block: only from the usage on is it split."""
    split = []
    monkeypatch.setattr(stream_module, "split_events", lambda events: split.append(events) or split_events(events))
    editor = StreamEditor(CHAT, strips_usage=False)
    tokens = sse(b'{"choices":[{"delta":{"content":"a"}}]}') * 50
    usage = sse(b'{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":50}}') + b"data: [DONE]\n\n"
    assert sent(editor.feed(tokens + usage)) == tokens + usage
    assert split == [usage]
    assert editor.usage == Usage(5, None, None, 50)


def test_a_kind_is_learned_from_a_block_of_many() -> None:
    """Under load no event comes alone; from the next block on nothing is read in full."""
    editor = StreamEditor(CHAT, strips_usage=False)
    tokens = sse(b'{"choices":[{"delta":{"content":"a"}}]}') * 3
    assert editor.skim(tokens) == 0
    assert editor.feed(tokens) == [tokens]
    assert editor.skim(tokens) == 3
    assert editor.content_chunks == 6
