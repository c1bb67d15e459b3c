"""Chat, completions and transcriptions: the stream and the whole say the same."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.exchange import Endpoint, Reasoning
from jevons.proxy.simulation.answers import Kind, write_answers
from jevons.proxy.simulation.asked import Asked, read_asked
from jevons.proxy.simulation.chat_replies import ChatReply, CompletionReply, TranscriptionReply
from jevons.proxy.simulation.quirks import Quirks, ReasoningField
from jevons.proxy.simulation.replies import DONE, Job

TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"properties": {"zone": {"type": "string"}}}}}


def job_of(endpoint=Endpoint.CHAT, *, thinks=Reasoning.NEVER, quirks=None, **fields):
    prompt = {"messages": [{"role": "user", "content": "Hello"}]} if endpoint is Endpoint.CHAT else {"prompt": "Hello"}
    asked = read_asked(endpoint, {"model": "m", "stream": True, **prompt, **fields})
    quirks = quirks or Quirks()
    return Job("id", 7, asked, write_answers(asked, thinks, quirks), 0, quirks, thinks is not Reasoning.NEVER)


def play(reply, job, per_chunk=1):
    """The data of all events, the sequences taking turns."""
    events = reply.opening()
    longest = max(len(answer.tokens) for answer in job.answers)
    for start in range(0, longest, per_chunk):
        for index, answer in enumerate(job.answers):
            if tokens := answer.tokens[start : start + per_chunk]:
                events += reply.chunk(index, tokens, is_last=start + per_chunk >= len(answer.tokens))
    return [event.data for event in [*events, *reply.closing()]]


def joined(chunks, index, field):
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    return "".join(delta.get(field) or "" for delta in deltas)


@given(per_chunk=st.integers(1, 9), n=st.integers(1, 3), max_tokens=st.integers(1, 500))
def test_a_chat_stream_says_what_the_whole_says(per_chunk, n, max_tokens):
    """For any chunk size the deltas join to the message, and each choice finishes once, in its last chunk."""
    job = job_of(thinks=Reasoning.ALWAYS, n=n, max_tokens=max_tokens)
    *chunks, done = play(ChatReply(job), job, per_chunk)
    assert done == DONE
    for choice in ChatReply(job).whole()["choices"]:
        index = choice["index"]
        assert joined(chunks, index, "content") == (choice["message"]["content"] or "")
        assert joined(chunks, index, "reasoning_content") == (choice["message"]["reasoning_content"] or "")
        finishes = [part["finish_reason"] for chunk in chunks for part in chunk["choices"] if part["index"] == index]
        assert finishes[-1] == choice["finish_reason"]
        assert set(finishes[:-1]) == {None}


def test_a_chat_stream_begins_with_the_role():
    """The first chunk of each choice has the role and no text."""
    job = job_of(n=2)
    first, second, third, *_ = play(ChatReply(job), job)
    assert first["id"] == "chatcmpl-id"
    assert first["object"] == "chat.completion.chunk"
    assert [chunk["choices"][0]["delta"] for chunk in (first, second)] == [{"role": "assistant", "content": ""}] * 2
    assert [chunk["choices"][0]["index"] for chunk in (first, second, third)] == [0, 1, 0]


def test_usage_comes_in_an_extra_chunk_when_asked():
    """With include_usage there is one chunk without choices before the end mark, and no usage elsewhere."""
    job = job_of(thinks=Reasoning.ALWAYS, stream_options={"include_usage": True})
    *chunks, usage_chunk, done = play(ChatReply(job), job)
    assert done == DONE
    assert usage_chunk["choices"] == []
    assert usage_chunk["usage"] == ChatReply(job).whole()["usage"]
    assert all("usage" not in chunk for chunk in chunks)


def test_a_stream_without_an_end_mark():
    """A server that sends no `[DONE]` stops at its last chunk."""
    job = job_of(quirks=Quirks(sends_done=False))
    assert play(ChatReply(job), job)[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("field", [ReasoningField.REASONING, ReasoningField.REASONING_CONTENT])
def test_thinking_has_two_names(field):
    """The name of the field is the server's choice, in deltas and in the message."""
    job = job_of(thinks=Reasoning.ALWAYS, quirks=Quirks(reasoning_field=field))
    *chunks, _done = play(ChatReply(job), job)
    message = ChatReply(job).whole()["choices"][0]["message"]
    assert joined(chunks, 0, field.value) == message[field.value] == job.answers[0].text(Kind.REASONING)
    assert message.keys().isdisjoint({"reasoning", "reasoning_content"} - {field.value})


def test_a_tool_call_in_both_forms():
    """The stream names the function once and then adds arguments; joined they are the whole's."""
    job = job_of(tools=[TOOL], tool_choice="required")
    *chunks, _done = play(ChatReply(job), job)
    calls = [chunk["choices"][0]["delta"]["tool_calls"][0] for chunk in chunks if "tool_calls" in chunk["choices"][0]["delta"]]
    assert [call.get("id") is not None for call in calls] == [True] + [False] * (len(calls) - 1)
    assert calls[0]["function"]["name"] == "clock"
    [whole] = ChatReply(job).whole()["choices"][0]["message"]["tool_calls"]
    assert "".join(call["function"]["arguments"] for call in calls) == whole["function"]["arguments"]
    assert json.loads(whole["function"]["arguments"]).keys() == {"zone"}
    assert whole["id"] == calls[0]["id"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_logprobs_have_an_entry_for_every_token():
    """Chat gives an object per token, with as many alternatives as asked."""
    job = job_of(logprobs=True, top_logprobs=2, max_tokens=5)
    entries = ChatReply(job).whole()["choices"][0]["logprobs"]["content"]
    assert [entry["token"] for entry in entries] == [token.text for token in job.answers[0].tokens]
    assert {len(entry["top_logprobs"]) for entry in entries} == {2}
    assert bytes(entries[0]["bytes"]).decode() == entries[0]["token"]


@given(per_chunk=st.integers(1, 9), prompts=st.lists(st.text("ab ", min_size=1), min_size=1, max_size=3), n=st.integers(1, 2))
def test_a_completion_stream_says_what_the_whole_says(per_chunk, prompts, n):
    """A list of prompts with `n` each makes as many choices, and their texts and offsets join."""
    job = job_of(Endpoint.COMPLETIONS, prompt=prompts, n=n, logprobs=1, max_tokens=20)
    *chunks, done = play(CompletionReply(job), job, per_chunk)
    assert done == DONE
    choices = CompletionReply(job).whole()["choices"]
    assert len(choices) == n * len(prompts)
    for choice in choices:
        parts = [part for chunk in chunks for part in chunk["choices"] if part["index"] == choice["index"]]
        assert "".join(part["text"] for part in parts) == choice["text"]
        offsets = [offset for part in parts for offset in part["logprobs"]["text_offset"]]
        assert offsets == choice["logprobs"]["text_offset"]
        assert len(choice["logprobs"]["token_logprobs"]) == 20
        assert parts[-1]["finish_reason"] == choice["finish_reason"] == "length"


def test_a_completion_stream_has_the_usage_chunk_too():
    """Completions follow the same rule of usage as chat."""
    job = job_of(Endpoint.COMPLETIONS, stream_options={"include_usage": True})
    *_, usage_chunk, _done = play(CompletionReply(job), job)
    assert usage_chunk["choices"] == []
    assert usage_chunk["usage"] == CompletionReply(job).whole()["usage"]
    assert CompletionReply(job_of(Endpoint.COMPLETIONS, logprobs=None)).whole()["choices"][0]["logprobs"] is None


def test_a_transcription_has_only_text():
    """The stream's deltas join to the text; usage is the sound's length."""
    asked = Asked(Endpoint.TRANSCRIPTIONS, "m", (("<sound>",) * 100,), stream=True)
    job = Job("id", 7, asked, write_answers(asked, Reasoning.NEVER, Quirks()), 0, Quirks(), can_think=False)
    *chunks, done = play(TranscriptionReply(job), job)
    whole = TranscriptionReply(job).whole()
    assert done == DONE
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == whole["text"]
    assert whole["usage"] == {"type": "duration", "seconds": 2}
