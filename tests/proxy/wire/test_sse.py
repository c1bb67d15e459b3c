"""Where an event stream may be cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_samples import cut

from jevons.proxy.wire.sse import EventSplitter, read_data, replace_data, split_events

LINES = st.sampled_from(
    [b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"\r\r", b"data: x", b"data: y\xc3\xa9", b": ka", b"id: 1", b""]
)
STREAMS = st.lists(LINES, max_size=30).map(b"".join)
CUTS = st.lists(st.integers(0, 500), max_size=12)


def events_by_the_standard(stream: bytes) -> list[bytes]:
    """The events of a stream, read byte by byte: a line ends with CRLF, LF or CR, an empty line ends an event."""
    events, event, line, at = [], b"", b"", 0
    while at < len(stream):
        size = 2 if stream[at : at + 2] == b"\r\n" else 1
        piece = stream[at : at + size]
        at += size
        event += piece
        if piece not in {b"\r\n", b"\n", b"\r"}:
            line += piece
            continue
        if not line:
            events.append(event)
            event = b""
        line = b""
    return [*events, event] if event else events


@given(stream=STREAMS, places=CUTS)
def test_any_split_gives_the_same_events(stream: bytes, places: list[int]) -> None:
    """However the network cuts a stream, the same whole events come out, and every byte of it."""
    splitter = EventSplitter()
    pieces = [splitter.feed(block) for block in cut(stream, places)]
    pieces.append(splitter.flush())
    assert b"".join(pieces) == stream
    assert [event for piece in pieces for event in split_events(piece)] == events_by_the_standard(stream)


@given(stream=STREAMS, places=CUTS, cap=st.integers(0, 12))
def test_a_cap_loses_nothing(stream: bytes, places: list[int], cap: int) -> None:
    """With any cap all bytes come out in order, and never more than the cap is held back."""
    splitter = EventSplitter(cap_bytes=cap)
    fed = given_out = b""
    for block in cut(stream, places):
        fed += block
        given_out += splitter.feed(block)
        assert fed.startswith(given_out)
        assert len(fed) - len(given_out) <= cap
        if splitter.is_at_boundary:
            whole = events_by_the_standard(given_out)
            assert b"".join(whole) == given_out
    assert given_out + splitter.flush() == stream


@given(stream=STREAMS, places=CUTS)
def test_what_is_held_back_is_at_most_one_event(stream: bytes, places: list[int]) -> None:
    """An event goes out with the block that ends it, unless its last byte is a CR that an LF may follow."""
    splitter = EventSplitter()
    fed = given_out = b""
    for block in cut(stream, places):
        fed += block
        given_out += splitter.feed(block)
        held = fed[len(given_out) :]
        assert len(split_events(held)) <= 1 or held.endswith(b"\r")


def test_a_crlf_cut_in_half_is_one_line_end() -> None:
    """The LF of a CRLF that arrives in the next block belongs to the event before it."""
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\r\n\r") == b""
    assert splitter.feed(b"\ndata: b\r\n\r\n") == b"data: a\r\n\r\ndata: b\r\n\r\n"


def test_a_lone_cr_ends_an_event_once_the_next_byte_is_known() -> None:
    """A CR that no LF follows was the whole line end."""
    splitter = EventSplitter()
    assert splitter.feed(b"data: a\r\r") == b""
    assert splitter.feed(b"d") == b"data: a\r\r"
    assert splitter.flush() == b"d"


def test_an_oversized_event_passes_and_the_next_is_whole_again() -> None:
    """Beyond the cap an event is forwarded in pieces up to its end; then events are held back as before."""
    splitter = EventSplitter(cap_bytes=1000)
    line = b"data: " + b"x" * 10_000_000
    given_out = [splitter.feed(line[at : at + 65536]) for at in range(0, len(line), 65536)]
    assert b"".join(given_out) == line
    assert not splitter.is_at_boundary
    assert splitter.feed(b"\n") == b"\n"
    assert splitter.feed(b"\ndata: ne") == b"\n"
    assert splitter.is_at_boundary
    assert splitter.feed(b"xt\n\n") == b"data: next\n\n"


def test_a_block_of_whole_events_is_not_copied() -> None:
    """The common case hands on the very object that arrived."""
    block = b"data: a\n\ndata: b\n\n"
    assert EventSplitter().feed(block) is block


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b'data: {"a":1}\n\n', b'{"a":1}'),
        (b'data:{"a":1}\r\n\r\n', b'{"a":1}'),
        (b'event: x\ndata: {"a":\ndata: 1}\nid: 3\n\n', b'{"a":\n1}'),
        (b": data: no\n\n", b""),
        (b"metadata: no\n\n", b""),
    ],
)
def test_data_is_read_as_the_standard_says(event: bytes, data: bytes) -> None:
    """One space behind the colon is not data, lines are joined by LF, other fields are not data."""
    assert read_data(event) == data


@pytest.mark.parametrize(
    ("event", "replaced"),
    [
        (b"event: x\r\ndata: old\r\nid: 3\r\n\r\n", b"event: x\r\ndata: new\r\nid: 3\r\n\r\n"),
        (b"data:old\n\n", b"data:new\n\n"),
        (b"data: o\nid: 3\ndata: ld\n\n", b"data: new\nid: 3\n\n"),
        (b"data: old", b"data: new"),
    ],
)
def test_replaced_data_leaves_every_other_line(event: bytes, replaced: bytes) -> None:
    """Other fields, line ends and the empty line stay as they came."""
    assert replace_data(event, b"new") == replaced
