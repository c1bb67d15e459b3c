"""A worker's archive is its owner."""

import asyncio

from jevons.proxy.workers import asking
from jevons.proxy.workers.asking import Archive
from jevons.proxy.workers.messages import Find, Found, Scored


class Line:
    """A link that keeps what is sent."""

    def __init__(self):
        self.sent = []

    def send(self, message):
        self.sent.append(message)


async def test_questions_and_their_answers():
    """Each gets its own, in whatever order; an answer to nobody's question is dropped."""
    line = Line()
    archive = Archive(line)
    one = asyncio.create_task(archive.find("a", "t"))
    two = asyncio.create_task(archive.find("b", "t"))
    await asyncio.sleep(0)
    assert line.sent == [Find(1, "a", "t"), Find(2, "b", "t")]
    archive.answered(Found(2, None))
    archive.answered(Found(1, b'{"request_id": "a"}'))
    archive.answered(Found(1, None))
    assert await one == {"request_id": "a"}
    assert await two is None
    archive.answered(Found(1, None))


async def test_an_owner_that_does_not_answer(monkeypatch):
    """After a while that is taken for not known."""
    monkeypatch.setattr(asking, "PATIENCE_SECONDS", 0.01)
    assert await Archive(Line()).find("a", "t") is None


def test_a_score_is_passed_on():
    """To whoever keeps them."""
    line = Line()
    Archive(line).feedback("a", "t", 0.5)
    assert line.sent == [Scored("a", "t", 0.5)]
