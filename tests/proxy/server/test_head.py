"""What must be in a request's head, and how its headers are read."""

import pytest

from jevons.proxy.errors import BadRequest
from jevons.proxy.server.head import HEAD_LIMIT_BYTES, HEADERS_LIMIT, find_fault, head_too_long, is_too_long, read_headers


def test_headers_that_come_twice_are_joined():
    """In their order; bytes beyond ASCII are kept as they are."""
    assert read_headers([(b"A", b"1"), (b"b", b"\xff"), (b"a", b"2")]) == {"a": "1, 2", "b": "\xff"}


def test_a_name_of_any_length_is_read():
    """Also one that nobody knows."""
    assert read_headers([(b"X-" + b"A" * 1000, b"1")]) == {"x-" + "a" * 1000: "1"}


@pytest.mark.parametrize(
    ("url", "fields", "is_beyond"),
    [
        (b"/v1", [(b"a", b"b")], False),
        (b"/v1", [(b"a", b"b" * (HEAD_LIMIT_BYTES - 4))], False),
        (b"/v1", [(b"a", b"b" * (HEAD_LIMIT_BYTES - 3))], True),
        (b"/" * (HEAD_LIMIT_BYTES + 1), [], True),
        (b"/v1", [(b"a", b"b")] * HEADERS_LIMIT, False),
        (b"/v1", [(b"a", b"b")] * (HEADERS_LIMIT + 1), True),
    ],
)
def test_a_head_is_as_long_as_its_parts(url, fields, is_beyond):
    """Its target, names and values count, and their number."""
    assert is_too_long(url, fields) is is_beyond


@pytest.mark.parametrize(
    ("version", "headers", "fault"),
    [
        ("1.1", {"host": "a"}, None),
        ("1.1", {"host": ""}, None),
        ("1.0", {}, None),
        ("1.1", {"host": "a", "transfer-encoding": "Chunked "}, None),
        ("1.1", {}, "it must have one Host header"),
        ("1.1", {"host": "a, b"}, "it must have one Host header"),
        ("1.0", {"host": "a, b"}, "it must have one Host header"),
        ("2.0", {"host": "a"}, "its version is another"),
        ("0.9", {}, "its version is another"),
        ("1.1", {"host": "a", "transfer-encoding": "gzip, chunked"}, "its transfer coding is not `chunked`"),
        ("1.0", {"transfer-encoding": "chunked"}, "its transfer coding is not `chunked`"),
        ("1.1", {"host": "a", "transfer-encoding": "identity"}, "its transfer coding is not `chunked`"),
    ],
)
def test_faults(version, headers, fault):
    """Each is named, for HTTP/1.0 as for HTTP/1.1."""
    assert find_fault(version, headers) == fault


def test_a_head_without_end_is_the_clients_mistake():
    """400, with both limits named."""
    error = head_too_long()
    assert isinstance(error, BadRequest)
    assert error.message == "The request's head is larger than 32768 bytes, or has more than 128 headers."
