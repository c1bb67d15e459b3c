"""What of a request litellm sees."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.errors import BadRequest
from jevons.proxy.exchange import Endpoint
from jevons.proxy.upstreams.litellm_request import FIELDS, MESSAGE_FIELDS, read_fields


def read(**fields):
    return read_fields(Endpoint.CHAT, json.dumps({"messages": [], **fields}).encode())


def content(*parts):
    return {"messages": [{"role": "user", "content": list(parts)}]}


@given(st.dictionaries(st.text(max_size=20), st.integers()))
def test_only_named_fields_pass(fields):
    """Whatever else a request holds, at the top or in a turn, stays behind."""
    names = {**fields, "api_base": 1, "mock_response": 1, "metadata": 1, "tools": []}
    names["messages"] = [{**fields, "cache_control": 1, "role": "user"}]
    found = read(**names)
    assert set(found) <= FIELDS
    assert set(found["messages"][0]) <= MESSAGE_FIELDS


def test_a_usual_request_passes_whole():
    """Turns, tools, an image as data and the limits; what is null is as if it were not there."""
    tools = [{"type": "function", "function": {"name": "f"}}]
    parts = content({"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}})
    assert read(**parts, tools=tools, max_tokens=5, stop=None) == {**parts, "tools": tools, "max_tokens": 5}


@pytest.mark.parametrize(
    "fields",
    [
        content({"type": "image_url", "image_url": {"url": "http://10.0.0.1/secret"}}),
        content({"type": "image_url", "image_url": "file:///etc/passwd"}),
        content({"type": "image_url"}),
        content({"type": "file", "file": {"file_id": "https://10.0.0.1/secret"}}),
        content("text"),
        {"messages": ["text"]},
        {"tools": [{"type": "mcp", "server_url": "http://10.0.0.1"}]},
        {"tools": ["f"]},
    ],
    ids=repr,
)
def test_what_would_be_fetched_or_run_is_refused(fields):
    """It fetches images and files that a request names, and runs tools of its own."""
    with pytest.raises(BadRequest) as raised:
        read(**fields)
    assert raised.value.param in {"messages[0]", "tools[0]"}


def test_other_endpoints_are_refused():
    """The error says which there is."""
    with pytest.raises(BadRequest, match=r"/v1/chat/completions only"):
        read_fields(Endpoint.MESSAGES, b"{}")
