"""Frames between the owner and a worker, and who is told when the line breaks."""

import asyncio
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.errors import JevonsError
from jevons.proxy.workers.link import Frames, Link, frame
from jevons.proxy.workers.messages import Drain, Find, Found, Ready, ToOwner, ToWorker


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=8), st.integers(1, 50))
def test_any_split_of_the_bytes_gives_the_same_messages(numbers, size):
    """However they arrive."""
    sent = [Find(number, "r" * number, "t") for number in numbers]
    data = b"".join(map(frame, sent))
    frames = Frames(ToWorker)
    found = [message for at in range(0, len(data), size) for message in frames.feed(data[at : at + size])]
    assert found == sent


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x01\xc1", frame(Found(1, None)).replace(b"Found", b"Fount")]
)
def test_what_no_end_of_ours_sends(data):
    """It is refused, with a word on where."""
    with pytest.raises(JevonsError, match="owner and a worker"):
        Frames(ToWorker).feed(data)


async def test_both_ways_and_to_the_end():
    """Messages pass; the end of one is told to the other, once, and nothing is sent to who is gone."""
    ours, theirs = socket.socketpair()
    heard, lost = asyncio.Queue(), asyncio.Event()
    link: Link = Link(ToOwner, heard.put_nowait, lost.set)
    other: Link = Link(ToWorker, heard.put_nowait, lambda: None)
    await link.open(ours)
    await other.open(theirs)
    assert link.is_open
    link.send(Drain())
    other.send(Ready("url"))
    assert {type(await heard.get()), type(await heard.get())} == {Drain, Ready}
    other.close()
    await lost.wait()
    assert not link.is_open
    link.send(Drain())
    link.close()


async def test_one_that_does_not_read(monkeypatch):
    """It is given up, and not kept in memory for ever."""
    monkeypatch.setattr("jevons.proxy.workers.link.MOST_QUEUED_BYTES", 1_000_000)
    ours, theirs = socket.socketpair()
    lost = asyncio.Event()
    link: Link = Link(ToOwner, print, lost.set)
    await link.open(ours)
    with theirs:
        while link.is_open and not lost.is_set():
            link.send(Found(1, b"x" * 100_000))
            await asyncio.sleep(0)
        await lost.wait()
