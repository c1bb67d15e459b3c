"""Reading a whole reply for the policies that judge it."""

import json

import pytest

from jevons.policies.answer import Answer, ToolCall
from jevons.proxy.answers import read_answer
from jevons.proxy.exchange import Endpoint
from jevons.proxy.wire.parsing import parse

SCHEMA = {"type": "object", "required": ["city"]}


def ask(**fields):
    """A chat request with these fields."""
    body = json.dumps({"model": "auto", "messages": [], **fields}).encode()
    return parse(Endpoint.CHAT, "application/json", body, request_id="r", headers={}, started_at=0.0)


def answer(message, asked=None, **fields):
    """How a reply with this message is read."""
    body = json.dumps({"choices": [{"message": message, **fields}, {"message": {"content": "second"}}]}).encode()
    return read_answer(asked or ask(), body)


def test_text_reason_refusal_and_probabilities():
    """Of the first choice."""
    logprobs = {"content": [{"token": "L", "logprob": -1.0}, {"token": "i", "logprob": -2.0}, {"token": "m"}]}
    assert answer({"content": "Lim"}, finish_reason="length", logprobs=logprobs) == Answer("Lim", "length", mean_logprob=-1.5)
    assert answer({"content": None, "refusal": "No."}, finish_reason="stop") == Answer("", "stop", "No.")


def test_what_was_asked_for_comes_with_it():
    """The schema of the text, and those of the tools."""
    json_schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    assert answer({"content": "{}"}, ask(response_format=json_schema)) == Answer("{}", wants_json=True, schema=SCHEMA)
    assert answer({"content": "{}"}, ask(response_format={"type": "json_object"})) == Answer("{}", wants_json=True)
    assert answer({"content": "{}"}, ask(response_format={"type": "text"})) == Answer("{}")
    tools = [
        {"type": "function", "function": {"name": "f", "parameters": SCHEMA}},
        {"type": "function", "function": {"name": "g"}},
    ]
    calls = [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]
    expected = Answer("", tool_calls=(ToolCall("f", "{}"),), tools={"f": SCHEMA, "g": {}})
    assert answer({"content": None, "tool_calls": calls}, ask(tools=tools)) == expected


@pytest.mark.parametrize(
    "fields", [{"tools": [{}, 3, {"function": 3}]}, {"tools": "x"}, {"response_format": {"type": "json_schema"}}]
)
def test_odd_requests_have_no_schema(fields):
    """What is not where it belongs is not there."""
    found = answer({"content": "x"}, ask(**fields))
    assert (found.schema, found.tools) == (None, {})


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"choices": []}', b'{"choices": [{"message": {"content": 3}}]}'])
def test_what_is_no_chat_reply_has_no_answer(body):
    """And is nobody's to judge."""
    assert read_answer(ask(), body) is None
