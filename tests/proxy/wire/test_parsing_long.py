"""Long bodies, which are taken apart so that no step of reading them takes long."""

from __future__ import annotations

import json

import pytest

from jevons.proxy.errors import BadRequest
from jevons.proxy.exchange import Endpoint, Request
from jevons.proxy.wire import parsing


def read(body: bytes, endpoint: Endpoint) -> Request:
    return parsing.parse(endpoint, "application/json", body, request_id="req-1", headers={}, started_at=7.0)


LONG = "word " * 20_000
LONG_BODIES = [
    (Endpoint.COMPLETIONS, {"prompt": list(range(20_000)), "n": 2}),
    (Endpoint.COMPLETIONS, {"prompt": [[1, 2, 3]] * 10_000}),
    (Endpoint.COMPLETIONS, {"prompt": None, "input": list(range(20_000))}),
    (Endpoint.COMPLETIONS, {"prompt": "x", "input": list(range(20_000))}),
    (Endpoint.COMPLETIONS, {"prompt": ["several", LONG], "max_tokens": 5}),
    (Endpoint.EMBEDDINGS, {"input": [[7] * 500] * 100, "documents": ["a", "b"], "query": LONG}),
    (Endpoint.EMBEDDINGS, {"input": [1, [2, 3], LONG]}),
    (Endpoint.CHAT, {"messages": [{"role": "user", "content": LONG}], "stream": True, "n": 3}),
    (Endpoint.CHAT, {"messages": [{"role": "user", "content": f"turn {at}"} for at in range(4000)], "tools": [{}]}),
    (Endpoint.MESSAGES, {"system": LONG, "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}),
]


@pytest.mark.parametrize(("endpoint", "fields"), LONG_BODIES)
def test_a_long_body_is_read_as_a_short_one_is(monkeypatch, endpoint: Endpoint, fields: dict[str, object]) -> None:
    """Taken apart or decoded in one go: the same request, and the same bytes for the server."""
    body = json.dumps({"model": "m", **fields}).encode()
    apart = read(body, endpoint)
    monkeypatch.setattr(parsing, "_LONG_BYTES", len(body))
    whole = read(body, endpoint)
    assert apart == whole
    assert apart.body.encode("other", {}) == whole.body.encode("other", {})


@pytest.mark.parametrize(
    ("endpoint", "fields", "param"),
    [
        (Endpoint.CHAT, {"messages": [{"content": LONG}, {"role": 7}]}, "messages[1].role"),
        (Endpoint.CHAT, {"messages": LONG}, "messages"),
        (Endpoint.CHAT, {"messages": [{"role": "user", "content": LONG}], "n": "two"}, "n"),
        (Endpoint.CHAT, {"text": LONG}, "messages"),
        (Endpoint.COMPLETIONS, {"prompt": [*range(20_000), 1.5]}, "prompt[20000]"),
        (Endpoint.COMPLETIONS, {"prompt": list(range(20_000)), "stream": 1}, "stream"),
    ],
)
def test_what_is_wrong_in_a_long_body_is_named(endpoint: Endpoint, fields: dict[str, object], param: str) -> None:
    """As in a short one."""
    with pytest.raises(BadRequest) as caught:
        read(json.dumps({"model": "m", **fields}).encode(), endpoint)
    assert caught.value.param == param
