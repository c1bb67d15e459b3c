"""A request that one worker does not know."""

import asyncio

import msgspec
import pytest

from jevons.proxy.workers import finding
from jevons.proxy.workers.finding import Finder
from jevons.proxy.workers.messages import Find, Found


class Ledger:
    """One that knows one request."""

    async def find(self, request_id, tenant):
        del tenant
        return {"request_id": request_id} if request_id == "old" else None

    def feedback(self, request_id, tenant, score):
        """Nobody asks here."""


@pytest.fixture
def sent():
    return asyncio.Queue()


@pytest.fixture
def finder(sent):
    return Finder(lambda number, message: sent.put_nowait((number, message)), lambda: [0, 1, 2], Ledger())


async def test_one_of_the_others_knows(finder, sent):
    """The first that does is believed, and no one else is waited for."""
    finder.ask(0, Find(7, "r", "t"))
    asked = [await sent.get(), await sent.get()]
    assert [number for number, _ in asked] == [1, 2]
    number = asked[0][1].number
    finder.answered(Found(number, None))
    finder.answered(Found(number, b"{}"))
    assert await sent.get() == (0, Found(7, b"{}"))
    finder.answered(Found(number, b"late"))


@pytest.mark.parametrize(("request_id", "reply"), [("old", msgspec.json.encode({"request_id": "old"})), ("none", None)])
async def test_nobody_knows(finder, sent, request_id, reply):
    """Then the ledger is asked; where it does not know either, that is the answer."""
    finder.ask(0, Find(1, request_id, "t"))
    for _ in range(2):
        _, question = await sent.get()
        finder.answered(Found(question.number, None))
    assert await sent.get() == (0, Found(1, reply))


async def test_a_worker_that_does_not_answer(finder, sent, monkeypatch):
    """It is not waited for."""
    monkeypatch.setattr(finding, "PATIENCE_SECONDS", 0.01)
    finder.ask(0, Find(1, "old", "t"))
    await sent.get()
    await sent.get()
    assert (await sent.get())[1].reply is not None


async def test_a_worker_alone(sent):
    """There is nobody else to ask."""
    finder = Finder(lambda number, message: sent.put_nowait((number, message)), lambda: [0], None)
    finder.ask(0, Find(1, "old", "t"))
    assert await sent.get() == (0, Found(1, None))
