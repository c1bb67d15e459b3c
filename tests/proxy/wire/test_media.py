"""Tests of which media a request may name."""

from __future__ import annotations

import json

import pytest

from jevons.proxy.errors import BadRequest
from jevons.proxy.wire.media import MediaRule

DATA = "data:image/png;base64,AAAA"
INSIDE = "http://169.254.169.254/latest/meta-data"
DATA_ONLY = MediaRule(frozenset())
SOME = MediaRule(frozenset({"images.example.com"}))


def chat(part):
    """A body with one part in its last turn."""
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": "x"}, part]}]}).encode()


PLACES = {
    "chat": lambda url: chat({"type": "image_url", "image_url": {"url": url}}),
    "chat, short": lambda url: chat({"type": "image_url", "image_url": url}),
    "video": lambda url: chat({"type": "video_url", "video_url": {"url": url}}),
    "audio": lambda url: chat({"type": "audio_url", "audio_url": {"url": url}}),
    "messages": lambda url: chat({"type": "image", "source": {"type": "url", "url": url}}),
    "in a tool's result": lambda url: chat({"type": "tool_result", "content": [{"type": "image", "source": {"url": url}}]}),
    "responses": lambda url: json.dumps(
        {"model": "m", "input": [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]}
    ).encode(),
    "a file": lambda url: json.dumps({"input": [{"content": [{"type": "input_file", "file_url": url}]}]}).encode(),
    "escaped": lambda url: chat({"type": "image_url", "image_url": {"url": url}}).replace(b"image_url", b"image\\u005furl"),
}
places = pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)


@places
def test_data_within_the_request_always_may(place):
    """Nothing is fetched for it."""
    DATA_ONLY.check(place(DATA))
    DATA_ONLY.check(place("DATA:image/png;base64,AAAA"))


@places
def test_an_address_is_refused_with_its_field(place):
    """Wherever a server would look for one."""
    with pytest.raises(BadRequest, match="data: URLs only") as failure:
        DATA_ONLY.check(place(INSIDE))
    assert failure.value.param in {"messages", "input"}


@places
def test_without_a_rule_it_passes(place):
    """The server's own affair."""
    MediaRule().check(place(INSIDE))


@pytest.mark.parametrize("url", ["https://images.example.com/a.png", "http://IMAGES.example.com:8080/a"])
def test_a_host_that_is_listed_may_be_named(url):
    """Whatever its case, scheme and port."""
    SOME.check(PLACES["chat"](url))


@pytest.mark.parametrize(
    "url",
    [
        "https://images.example.com.evil.net/a",
        "https://images.example.com@evil.net/",
        "https://evil.net/?images.example.com",
        "https://a:b@images.example.com/",
        "file:///etc/passwd",
        "//images.example.com/a",
        "https://evil.net\\@images.example.com/",
        "http://[::1",
        "",
    ],
)
def test_what_only_looks_like_it_is_refused(url):
    """Users, suffixes, other schemes, and what two parsers read in two ways."""
    with pytest.raises(BadRequest, match=r"or from images\.example\.com"):
        SOME.check(PLACES["chat"](url))


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":[{"role":"user","content":"see http://example.com/image_url"}]}',
        b'{"messages":[],"tools":[{"function":{"parameters":{"properties":{"url":{"type":"string"}}}}}],"image_url":1}',
        b'{"messages":[{"tool_calls":[{"function":{"arguments":"{\\"url\\":\\"http://x\\"}"}}],"x_url":null}]}',
        b'["image_url"]',
        b"not json image_url",
    ],
)
def test_text_and_tools_are_no_media(body):
    """An address in a text, in a tool's parameters or in what a tool was called with is fetched by nobody."""
    DATA_ONLY.check(body)
