"""Messages: content blocks come into being under events that join to the whole message."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.exchange import Endpoint, Reasoning
from jevons.proxy.simulation.answers import write_answers
from jevons.proxy.simulation.asked import read_asked
from jevons.proxy.simulation.messages_reply import MessagesReply
from jevons.proxy.simulation.quirks import Quirks, StreamUsage
from jevons.proxy.simulation.replies import Job

TOOL = {"name": "clock", "input_schema": {"properties": {"zone": {"type": "string"}}}}


def job_of(thinks=Reasoning.NEVER, quirks=None, **fields):
    body = {"model": "m", "max_tokens": 5000, "messages": [{"role": "user", "content": "Hello"}], **fields}
    asked = read_asked(Endpoint.MESSAGES, body)
    quirks = quirks or Quirks()
    return Job("id", 7, asked, write_answers(asked, thinks, quirks), 2, quirks, thinks is not Reasoning.NEVER)


def play(job, per_chunk=1):
    reply = MessagesReply(job)
    tokens = job.answers[0].tokens
    events = reply.opening()
    for start in range(0, len(tokens), per_chunk):
        events += reply.chunk(0, tokens[start : start + per_chunk], is_last=start + per_chunk >= len(tokens))
    return [*events, *reply.closing()]


def assembled(events):
    """The content blocks as a client puts them together."""
    blocks = []
    for event in events:
        match event.data:
            case {"type": "content_block_start", "index": index, "content_block": block}:
                assert index == len(blocks)
                blocks.append(dict(block))
            case {"type": "content_block_delta", "index": index, "delta": {"type": kind, **fields}}:
                [(name, text)] = fields.items()
                assert kind == {"text": "text_delta", "thinking": "thinking_delta"}.get(name, kind)
                key = "input" if name == "partial_json" else name
                blocks[index][key] = (blocks[index].get(key) or "") + text
    for block in blocks:
        if block["type"] == "tool_use":
            block["input"] = json.loads(block["input"])
    return blocks


@given(per_chunk=st.integers(1, 50), max_tokens=st.integers(1, 3000))
def test_the_blocks_join_to_the_whole_message(per_chunk, max_tokens):
    """For any chunk size and any limit, what the events build is the message's content, and the counts agree."""
    job = job_of(Reasoning.ALWAYS, max_tokens=max_tokens)
    events = play(job, per_chunk)
    whole = MessagesReply(job).whole()
    blocks = assembled(events)
    assert blocks == whole["content"]
    assert events[-2].data["usage"] == whole["usage"]
    assert events[-2].data["delta"]["stop_reason"] == whole["stop_reason"]
    assert (whole["stop_reason"] == "max_tokens") is (job.answers[0].finish_reason == "length")


def test_the_order_of_events():
    """The thinking block is signed and closed before the text, between the message's own events."""
    names = [event.name for event in play(job_of(Reasoning.ALWAYS), per_chunk=10_000)]
    assert names == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


def test_a_tool_use_is_a_block():
    """Its input arrives as pieces of JSON and stands parsed in the whole message."""
    job = job_of(tools=[TOOL], tool_choice={"type": "any"})
    [block] = assembled(play(job))
    assert block == MessagesReply(job).whole()["content"][0]
    assert block["name"] == "clock"
    assert block["input"].keys() == {"zone"}
    assert MessagesReply(job).whole()["stop_reason"] == "tool_use"


def test_a_tool_use_cut_short_has_no_input():
    """Arguments that `max_tokens` cut are no JSON and come as an empty input."""
    job = job_of(tools=[TOOL], tool_choice={"type": "any"}, max_tokens=1)
    assert MessagesReply(job).whole()["content"][0]["input"] == {}


@pytest.mark.parametrize(
    ("quirks", "usage"),
    [
        (Quirks(), {"input_tokens": 6, "output_tokens": 0, "cache_read_input_tokens": 2}),
        (Quirks(reports_cached_tokens=False), {"input_tokens": 6, "output_tokens": 0}),
        (Quirks(stream_usage=StreamUsage.NEVER), None),
    ],
)
def test_usage_in_its_own_words(quirks, usage):
    """The prompt's tokens are there from the start."""
    assert play(job_of(quirks=quirks))[0].data["message"]["usage"] == usage
