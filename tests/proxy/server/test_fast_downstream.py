"""A reply on the fast path, byte by byte."""

import asyncio

import pytest

from jevons.proxy.server.fast_downstream import FastDownstream


class Wire:
    """What a connection is to its reply; keeps what is written."""

    def __init__(self):
        self.is_full = False
        self.written = []
        self.has_drained = self.is_closed = False

    def write(self, data):
        self.written.append(data)

    async def drain(self):
        self.has_drained = True

    def close(self):
        self.is_closed = True


def test_keeps_the_protocol_of_the_request_path():
    """Nothing has been said before something is said."""
    downstream = FastDownstream(connection=None, keep_alive=True)
    assert not downstream.has_started
    assert not downstream.is_finished


@pytest.mark.parametrize(
    ("status", "keep_alive", "first", "last"),
    [
        (200, True, b"HTTP/1.1 200 OK\r\n", b"content-length: 2\r\n\r\n{}"),
        (200, False, b"HTTP/1.1 200 OK\r\n", b"content-length: 2\r\nconnection: close\r\n\r\n{}"),
        (529, True, b"HTTP/1.1 529 \r\n", b"content-length: 2\r\n\r\n{}"),
    ],
)
def test_a_whole_reply_is_one_write(status, keep_alive, first, last):
    """With the framing that the body needs, and its end of the connection where that is not kept."""
    wire = Wire()
    downstream = FastDownstream(wire, keep_alive=keep_alive)
    asyncio.run(downstream.reply(status, {"a": "b"}, b"{}"))
    assert wire.written == [first + b"a: b\r\n" + last]
    assert downstream.has_started
    assert downstream.is_finished


def test_a_value_with_a_line_break_is_left_out():
    """It would be a header of its own, or a body; a letter that is none in a header becomes a question mark."""
    wire = Wire()
    asyncio.run(FastDownstream(wire, keep_alive=True).reply(200, {"a": "1\r\nevil: 1", "b": "2\nx", "c": "\u0141"}, b""))
    assert wire.written == [b"HTTP/1.1 200 OK\r\nc: ?\r\ncontent-length: 0\r\n\r\n"]


def test_a_stream_is_chunks():
    """Nothing at all is no chunk, which would be the end."""
    wire = Wire()
    downstream = FastDownstream(wire, keep_alive=True)

    async def stream():
        await downstream.start(200, {})
        downstream.put(b"")
        await downstream.write(b"abc")
        wire.is_full = True
        assert downstream.is_full
        await downstream.write(b"0123456789abcdef")
        await downstream.finish()

    asyncio.run(stream())
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    assert b"".join(wire.written) == head + b"3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"
    assert wire.has_drained
    assert downstream.is_finished


def test_to_abort_is_to_close_without_the_end():
    """Whoever reads chunks knows that something is missing."""
    wire = Wire()
    downstream = FastDownstream(wire, keep_alive=True)
    downstream.abort()
    assert wire.is_closed
    assert not downstream.is_finished
