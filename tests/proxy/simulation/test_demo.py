"""How the demo asks: eight at a time, every other one streamed, in order, and not on without a figure. Its run is in `e2e`."""

import asyncio
import sys
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from jevons.proxy.errors import JevonsError
from jevons.proxy.simulation import demo
from jevons.proxy.simulation.demo import CONCURRENCY, Asker, Demo
from jevons.proxy.simulation.demo_stack import DemoStack
from jevons.proxy.simulation.workload import load_questions

QUESTIONS = load_questions()


class Counting(Asker):
    """Answers nothing, and counts who asks at once; the question `fails` fails, once everybody else waits."""

    def __init__(self, fails=None):
        super().__init__(client=None, web=None, stack=None)
        self.__dict__.update(fails=fails, now=0, most=0, cancelled=0, streamed=[])

    async def _ask(self, question, model, *, streamed):
        self.__dict__["now"] += 1
        self.__dict__["most"] = max(self.now, self.most)
        self.streamed.append((question.id, streamed))
        try:
            if self.fails is not None:
                await asyncio.sleep(0 if question.id == self.fails else 600)
                raise JevonsError("failed")
            await asyncio.sleep(0)
        except asyncio.CancelledError:
            self.__dict__["cancelled"] += 1
            raise
        finally:
            self.__dict__["now"] -= 1
        return question.id, model


async def test_eight_at_a_time():
    """All questions are asked of the model, eight at a time, every other one streamed; the answers keep their order."""
    asker, answered = Counting(), []
    answers = await asker.ask_all(QUESTIONS, "auto", lambda: answered.append(1))
    assert answers == [(question.id, "auto") for question in QUESTIONS]
    assert asker.most == CONCURRENCY
    assert dict(asker.streamed) == {question.id: place % 2 == 0 for place, question in enumerate(QUESTIONS)}
    assert len(answered) == len(QUESTIONS)


async def test_one_failure_ends_all():
    """The first that fails ends the round; nobody is left asking."""
    asker = Counting(fails=QUESTIONS[2].id)
    with pytest.raises(JevonsError, match="failed"):
        await asker.ask_all(QUESTIONS, "auto", lambda: None)
    await asyncio.sleep(0)
    assert asker.now == 0
    assert asker.cancelled >= CONCURRENCY - 1
    assert len(asker.streamed) < len(QUESTIONS)


@asynccontextmanager
async def asker_of(*energies):
    """One whose proxy has a record with these energies, one after the other and the last for ever."""
    left = list(energies)

    async def record(_request):
        return web.json_response({"energy": left.pop(0) if len(left) > 1 else left[0]})

    app = web.Application()
    app.router.add_get("/v1/energy/{id}", record)
    runner = web.AppRunner(app)
    await runner.setup()
    stack = DemoStack()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        stack.main = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as session:
            yield Asker(client=None, web=session, stack=stack)
    finally:
        await runner.cleanup()
        await stack._stop()


async def test_it_waits_for_the_final_figure():
    """A provisional figure is asked for again."""
    final = {"joules": 5.0, "status": "final", "quality": []}
    async with asker_of({"joules": 1.0, "status": "provisional", "quality": []}, final) as asker:
        assert (await asker._final("req_1"))["energy"] == final


async def test_a_figure_that_does_not_come(monkeypatch):
    """A figure that stays provisional, or that nobody knows, ends the demo with that reason."""
    async with asker_of({"joules": None, "status": "final", "quality": ["gap"]}) as asker:
        with pytest.raises(JevonsError, match=r"^the energy of req_1 is unknown: gap$"):
            await asker._final("req_1")
    monkeypatch.setattr(demo, "FINAL_SECONDS", 0.0)
    async with asker_of({"joules": 1.0, "status": "provisional", "quality": []}) as asker:
        with pytest.raises(JevonsError, match="did not become final in 0 s"):
            await asker._final("req_1")


async def test_without_the_client(monkeypatch, capfd):
    """Where the client is missing that is said, before anything is started or printed."""
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(JevonsError, match="pip install openai"):
        await Demo(stays_up=False, as_json=False).run()
    assert capfd.readouterr().out == ""
