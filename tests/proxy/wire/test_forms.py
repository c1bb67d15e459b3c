"""Multipart forms, sent on with another model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.errors import BadRequest
from jevons.proxy.wire.forms import PARTS_LIMIT, VALUE_LIMIT_BYTES, cut_form, read_form, read_value

TYPE = "multipart/form-data; boundary=XyZ"


def part(head: bytes, value: bytes) -> bytes:
    return b"--XyZ\r\n" + head + b"\r\n\r\n" + value + b"\r\n"


def field(name: bytes, value: bytes) -> bytes:
    return part(b'Content-Disposition: form-data; name="' + name + b'"', value)


AUDIO = part(b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav', b"RIFF\r\n--Xy\x00\xff")
END = b"--XyZ--\r\n"


@pytest.mark.parametrize(
    "content_type", [TYPE, 'Multipart/Form-Data; charset=x; boundary="XyZ"', "multipart/form-data;boundary=XyZ"]
)
def test_only_the_model_changes(content_type: str) -> None:
    """Files, other fields, order and the boundary stay byte for byte."""
    before, after = AUDIO + field(b"language", b"en"), field(b"prompt", "Grüße".encode()) + END
    body = before + field(b"model", b"auto") + after
    form = cut_form(content_type, body, read_form(content_type, body), without=frozenset())
    assert form.encode("whisper-1", {"ignored": 1}) == before + field(b"model", b"whisper-1") + after
    assert form.content_type == content_type


@pytest.mark.parametrize("order", ["before", "after"])
def test_unwanted_parts_are_cut_out(order: str) -> None:
    """A field that must not reach a server is taken out with its delimiter, wherever it stands."""
    bad, model = field(b"api_base", b"http://evil"), field(b"model", b"m")
    body = (bad + AUDIO + model if order == "before" else model + AUDIO + bad) + END
    form = cut_form(TYPE, body, read_form(TYPE, body), without=frozenset({"api_base"}))
    assert form.encode("n", {}) == body.replace(bad, b"").replace(model, field(b"model", b"n"))


def test_values_are_read_by_name() -> None:
    """A short value is text; a missing part is None; an empty one is empty."""
    body = field(b"model", b"m") + field(b"empty", b"") + END
    fields = read_form(TYPE, body)
    assert [read_value(body, fields, name) for name in ("model", "empty", "missing")] == ["m", "", None]


@pytest.mark.parametrize(
    ("content_type", "body", "words"),
    [
        ("application/json", b"{}", "multipart/form-data"),
        ("multipart/form-data", field(b"model", b"m") + END, "boundary"),
        (TYPE, b"", "boundary"),
        (TYPE, field(b"model", b"m"), "breaks off"),
        (TYPE, b"preamble\r\n" + field(b"model", b"m") + END, "starts with something else"),
        (TYPE, field(b"model", b"m").replace(b"\r\n", b"\n") + END, "boundary"),
        (TYPE, b"--XyZevil\r\n" + field(b"model", b"m") + END, "boundary"),
        (TYPE, field(b"model", b"a") + field(b"model", b"b") + END, "two parts named 'model'"),
        (TYPE, b"--XyZ\r\n\r\nvalue\r\n" + END, "no plain name"),
        (TYPE, b"--XyZ\r\nno end of the head\r\n" + END, "no head"),
        (TYPE, part(b"Content-Disposition: form-data; name*=utf-8''model", b"m") + END, "no plain name"),
        (TYPE, part(b'Content-Disposition: form-data; name="x"; name="model"', b"m") + END, "no plain name"),
        (TYPE, part(b'Content-Disposition: form-data; filename="; name="; name="model"', b"m") + END, None),
        (TYPE, part(b'Content-Disposition: form-data; filename="a\\"; name="model"', b"m") + END, "no plain name"),
        (TYPE, part(b'Content-Disposition: form-data;\r\n name="model"', b"m") + END, "no plain name"),
        (
            TYPE,
            part(b'Content-Disposition: form-data; name="x"\r\nContent-Disposition: form-data; name="model"', b"m") + END,
            "plain name",
        ),
        (TYPE, b"".join(field(b"f%d" % number, b"") for number in range(PARTS_LIMIT + 1)) + END, "more than 64 parts"),
        (TYPE, part(b"X: " + b"y" * 10_000 + b'\r\nContent-Disposition: form-data; name="model"', b"m") + END, "too long"),
    ],
)
def test_a_form_that_two_readers_might_read_differently_is_refused(content_type: str, body: bytes, words: str | None) -> None:
    """What is routed must be what the server reads: every ambiguity is a 400 that says what is wrong."""
    if words is None:
        assert list(read_form(content_type, body)) == ["model"]
        return
    with pytest.raises(BadRequest, match=words):
        read_form(content_type, body)


def test_a_model_name_of_megabytes_is_refused() -> None:
    """A field that is read into memory has a limit, and the error names it."""
    body = field(b"model", b"x" * (VALUE_LIMIT_BYTES + 1)) + END
    with pytest.raises(BadRequest, match="longer than") as caught:
        read_value(body, read_form(TYPE, body), "model")
    assert caught.value.param == "model"


def test_a_value_that_is_no_text_is_refused() -> None:
    """Bytes that are not UTF-8 are no model's name."""
    body = field(b"model", b"\xff") + END
    with pytest.raises(BadRequest, match="UTF-8"):
        read_value(body, read_form(TYPE, body), "model")


@given(
    body=st.lists(st.sampled_from([b"--XyZ", b"\r\n", b"--", AUDIO, field(b"model", b"m"), b"\r\n\r\n", END]), max_size=8).map(
        b"".join
    )
)
def test_any_body_is_read_or_refused(body: bytes) -> None:
    """Nothing but BadRequest comes out of garbage, and what is accepted is reassembled whole."""
    try:
        fields = read_form(TYPE, body)
        model = read_value(body, fields, "model")
    except BadRequest:
        return
    if model is not None:
        assert cut_form(TYPE, body, fields, without=frozenset()).encode(model, {}) == body
