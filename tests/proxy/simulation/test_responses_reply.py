"""Responses: items come into being under events, and the last event holds what the whole reply is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.exchange import Endpoint, Reasoning
from jevons.proxy.simulation.answers import Kind, write_answers
from jevons.proxy.simulation.asked import read_asked
from jevons.proxy.simulation.quirks import Quirks, StreamUsage
from jevons.proxy.simulation.replies import Job
from jevons.proxy.simulation.responses_reply import ResponsesReply

TOOL = {"type": "function", "name": "clock", "parameters": {"properties": {"zone": {"type": "string"}}}}


def job_of(thinks=Reasoning.NEVER, quirks=None, **fields):
    quirks = quirks or Quirks()
    asked = read_asked(Endpoint.RESPONSES, {"model": "m", "input": "Hello", **fields})
    return Job("id", 7, asked, write_answers(asked, thinks, quirks), 2, quirks, thinks is not Reasoning.NEVER)


def play(job, per_chunk=1):
    reply = ResponsesReply(job)
    tokens = job.answers[0].tokens
    events = reply.opening()
    for start in range(0, len(tokens), per_chunk):
        events += reply.chunk(0, tokens[start : start + per_chunk], is_last=start + per_chunk >= len(tokens))
    return [*events, *reply.closing()]


@given(per_chunk=st.integers(1, 50), max_output_tokens=st.integers(1, 3000))
def test_the_last_event_is_the_whole_reply(per_chunk, max_output_tokens):
    """For any chunk size and any limit, the stream ends with what the JSON reply is, and numbers its events."""
    job = job_of(Reasoning.ALWAYS, max_output_tokens=max_output_tokens)
    events = play(job, per_chunk)
    assert events[-1].data["response"] == ResponsesReply(job).whole()
    assert [event.data["sequence_number"] for event in events] == list(range(len(events)))
    assert all(event.name == event.data["type"] for event in events)
    response = events[-1].data["response"]
    assert response["usage"]["output_tokens"] == min(max_output_tokens, len(job.answers[0].tokens))
    assert (response["status"] == "incomplete") is (job.answers[0].finish_reason == "length")


def test_the_order_of_events():
    """The reasoning item begins and ends before the message, between the response's own events."""
    names = [event.name for event in play(job_of(Reasoning.ALWAYS), per_chunk=10_000)]
    assert names == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.reasoning_text.delta",
        "response.reasoning_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]


def test_the_deltas_join_to_the_items():
    """Reasoning and answer each stand in their own item."""
    job = job_of(Reasoning.ALWAYS)
    events = play(job)
    reasoning, message = events[-1].data["response"]["output"]
    for name, item, kind in (("reasoning_text", reasoning, Kind.REASONING), ("output_text", message, Kind.CONTENT)):
        text = "".join(event.data["delta"] for event in events if event.name == f"response.{name}.delta")
        assert text == item["content"][0]["text"] == job.answers[0].text(kind)
    assert (reasoning["type"], message["type"], message["role"]) == ("reasoning", "message", "assistant")


def test_a_function_call_is_an_item():
    """The call has its name from the beginning and its arguments in deltas."""
    events = play(job_of(tools=[TOOL], tool_choice="required"))
    [call] = events[-1].data["response"]["output"]
    arguments = "".join(event.data["delta"] for event in events if event.name == "response.function_call_arguments.delta")
    assert call["type"] == "function_call"
    assert call["name"] == "clock"
    assert call["arguments"] == arguments
    assert json.loads(arguments).keys() == {"zone"}
    assert [event.data["arguments"] for event in events if event.name == "response.function_call_arguments.done"] == [arguments]


@pytest.mark.parametrize(
    ("quirks", "cached"),
    [(Quirks(), 2), (Quirks(reports_cached_tokens=False), 0), (Quirks(stream_usage=StreamUsage.NEVER), None)],
)
def test_usage_in_its_own_words(quirks, cached):
    """Input and output tokens with their details; null from a server that never says."""
    usage = ResponsesReply(job_of(Reasoning.ALWAYS, quirks)).whole()["usage"]
    assert (usage and usage["input_tokens_details"]["cached_tokens"]) == cached


def test_a_delta_needs_an_item():
    """An answer without tokens has no item and closes all the same."""
    assert ResponsesReply(job_of()).closing()[0].data["response"]["output"] == []
