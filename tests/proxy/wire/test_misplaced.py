"""Answers that stand where thinking belongs are put in place, and nothing else is touched."""

import json

import pytest

from jevons.proxy.wire.misplaced import put_in_place


def reply(message, **fields):
    """A chat reply with one choice."""
    return json.dumps({"id": "x", "choices": [{"index": 0, "message": message, **fields}], "usage": {"a": 1}}).encode()


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
def test_an_answer_in_the_wrong_place_is_put_right(name):
    """Its bytes are the content's then, and the field it stood in is null."""
    placed = json.loads(put_in_place(reply({"role": "assistant", "content": None, name: "Lima é"}, finish_reason="stop")))
    assert placed["choices"] == [
        {"index": 0, "message": {"role": "assistant", "content": "Lima é", name: None}, "finish_reason": "stop"}
    ]
    assert placed["usage"] == {"a": 1}


@pytest.mark.parametrize(
    "body",
    [
        reply({"content": "Lima", "reasoning": "hm"}),
        reply({"content": None, "reasoning": None}),
        reply({"content": None, "reasoning": "  "}),
        reply({"content": None, "reasoning": "hm", "tool_calls": [{"id": "1"}]}),
        reply({"content": 'He wrote "content": null', "reasoning": "hm"}),
        b'{"content": null}',
        b'{"choices": [{"message": {"content": null, "reasoning": 3}}]}',
        b'{"choices": {"content": null}}',
        b'"content": null',
        b"",
    ],
)
def test_everything_else_is_left_alone(body):
    """An answer, none at all, a call of a tool, and what is no chat reply."""
    assert put_in_place(body) is None
