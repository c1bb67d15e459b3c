"""Whole replies from streams, held against what the same servers send whole: recorded pairs, and the simulated server's."""

import json
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.exchange import Dialect, Endpoint, Reasoning
from jevons.proxy.simulation.answers import write_answers
from jevons.proxy.simulation.asked import read_asked
from jevons.proxy.simulation.chat_replies import ChatReply, CompletionReply
from jevons.proxy.simulation.quirks import Quirks, ReasoningField, StreamUsage
from jevons.proxy.simulation.replies import Job, encode_event
from jevons.proxy.wire.parsing import parse
from jevons.proxy.wire.reassembly import Assembler, Manner, form_of, learn_shape, manner_of
from jevons.proxy.wire.sse import read_data, split_events

RECORDED = Path(__file__).parents[2] / "recorded"
TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"properties": {"zone": {"type": "string"}}}}}
PROMPTS = {Endpoint.CHAT: {"messages": [{"role": "user", "content": "Hello"}]}, Endpoint.COMPLETIONS: {"prompt": "Hello"}}
REPLIES = {Endpoint.CHAT: ChatReply, Endpoint.COMPLETIONS: CompletionReply}


def job_of(endpoint, quirks, thinks, **fields):
    options = {"stream_options": {"include_usage": True}}
    asked = read_asked(endpoint, {"model": "m", "stream": True, **options, **PROMPTS[endpoint], **fields})
    return Job("id", 7, asked, write_answers(asked, thinks, quirks), 0, quirks, thinks is not Reasoning.NEVER)


def stream_of(endpoint, job, per_chunk):
    """The bytes of the stream, the sequences taking turns."""
    reply = REPLIES[endpoint](job)
    events = reply.opening()
    for start in range(0, max(len(answer.tokens) for answer in job.answers), per_chunk):
        for index, answer in enumerate(job.answers):
            if tokens := answer.tokens[start : start + per_chunk]:
                events += reply.chunk(index, tokens, is_last=start + per_chunk >= len(answer.tokens))
    return b"".join(encode_event(event) for event in [*events, *reply.closing()])


def whole_of(endpoint, job):
    return json.dumps(REPLIES[endpoint](job).whole()).encode()


def reassemble(shape, stream, manner=None):
    assembler = Assembler(learn_shape(shape), manner or Manner())
    for event in split_events(stream):
        assembler.feed(read_data(event))
    return json.loads(assembler.finish()), assembler.problems


def without_identity(reply):
    return {name: value for name, value in reply.items() if name not in {"id", "created"}}


def ask(endpoint=Endpoint.CHAT, **fields):
    body = json.dumps({"model": "m", **PROMPTS[endpoint], **fields}).encode()
    return parse(endpoint, "application/json", body, request_id="r", headers={}, started_at=0.0)


@given(
    endpoint=st.sampled_from([Endpoint.CHAT, Endpoint.COMPLETIONS]),
    thinks=st.sampled_from([Reasoning.NEVER, Reasoning.ALWAYS]),
    where=st.sampled_from(list(ReasoningField)),
    usage=st.sampled_from([StreamUsage.ASKED, StreamUsage.FINISH_CHUNK, StreamUsage.ZEROS]),
    fields=st.fixed_dictionaries(
        {"n": st.integers(1, 3), "max_tokens": st.integers(1, 60)},
        optional={"logprobs": st.just(value=True), "tools": st.just([TOOL])},
    ),
    other_tokens=st.integers(1, 60),
    per_chunk=st.integers(1, 9),
)
def test_a_reassembled_reply_equals_the_whole(endpoint, thinks, where, usage, fields, other_tokens, per_chunk):
    """The simulated server's stream gives its own JSON reply, with the shape learned from another one of the same form."""
    if endpoint is Endpoint.COMPLETIONS:
        fields = {**fields, "logprobs": 2} if "logprobs" in fields else fields
        fields.pop("tools", None)
        thinks = Reasoning.NEVER
    elif "logprobs" in fields:
        fields["top_logprobs"] = 2
    quirks = Quirks(reasoning_field=where, stream_usage=usage)
    job = job_of(endpoint, quirks, thinks, **fields)
    shape = whole_of(endpoint, job_of(endpoint, quirks, thinks, **{**fields, "max_tokens": other_tokens}))
    found, problems = reassemble(shape, stream_of(endpoint, job, per_chunk))
    assert without_identity(found) == without_identity(json.loads(whole_of(endpoint, job)))
    assert problems == []


@pytest.mark.parametrize("name", ["chat", "chat-nothink"])
@pytest.mark.parametrize("shape", ["chat", "chat-nothink"])
def test_a_recorded_pair_is_equal(name, shape):
    """What `transformers serve` streamed gives what it sent whole, whichever of its replies told the shape."""
    whole = (RECORDED / f"transformers-{name}.txt").read_bytes()
    stream = (RECORDED / f"transformers-{name}-stream.txt").read_bytes()
    learned = (RECORDED / f"transformers-{shape}.txt").read_bytes()
    found, problems = reassemble(learned, stream, manner_of(Dialect.TRANSFORMERS))
    assert without_identity(found) == without_identity(json.loads(whole))
    assert problems == []


def test_a_stream_that_loses_text_is_not_asked_for():
    """A `transformers serve` completion lacks its last, broken character when streamed: it is asked for whole."""
    whole = (RECORDED / "transformers-completions.txt").read_bytes()
    found, _ = reassemble(whole, (RECORDED / "transformers-completions-stream.txt").read_bytes(), manner_of(Dialect.TRANSFORMERS))
    assert found["choices"][0]["text"] != json.loads(whole)["choices"][0]["text"]
    assert form_of(ask(Endpoint.COMPLETIONS), Dialect.TRANSFORMERS) is None
    assert form_of(ask(Endpoint.COMPLETIONS), Dialect.VLLM) is not None


@pytest.mark.parametrize(
    "fields", [{"stream": True}, {"echo": True}, {"modalities": ["audio"]}, {"prompt_logprobs": 1}, {"best_of": 2}]
)
def test_what_a_stream_cannot_stand_for(fields):
    """A request that streams itself, or has a field whose reply is not known, is asked for as it is."""
    assert form_of(ask(**fields), Dialect.VLLM) is None


def test_forms_keep_apart_what_differs():
    """Replies with tools, and with log probabilities, have shapes of their own; null asks for nothing."""
    forms = [form_of(ask(**fields), Dialect.VLLM) for fields in ({}, {"tools": [TOOL]}, {"logprobs": True}, {"tools": None})]
    assert len(set(forms)) == 3
    assert forms[0] == forms[3]


def test_parts_without_a_place_are_problems():
    """A field that no whole reply had is told, and so are a missing usage and a constant that no event carried."""
    shape = {
        "id": "a",
        "object": "chat.completion",
        "created": 1,
        "region": "eu",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1},
    }
    event = {"choices": [{"index": 0, "delta": {"content": "y", "audio": {"id": 1}}, "matched": 5, "finish_reason": "stop"}]}
    found, problems = reassemble(msgspec.json.encode(shape), encode_data(event))
    assert found["choices"][0]["message"]["content"] == "y"
    assert len(problems) == 4
    assert all(re.search("region|audio|matched|usage", problem) for problem in problems)


def encode_data(event):
    return b": ping\n\ndata: " + msgspec.json.encode(event) + b"\n\ndata: [DONE]\n\n"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"choices":[]}', b'{"choices":[{"text":1}]}', b'{"choices":[7]}', b'{"error":{}}']
)
def test_what_is_no_reply_has_no_shape(body):
    """Errors and other JSON teach nothing."""
    assert learn_shape(body) is None
