"""Tasks that begin at once: they end as any task does, and can be cancelled at any moment."""

import asyncio

import pytest

from jevons.proxy.server.eager import start_at_once

pytest_plugins = ["lean_fixture"]


def test_the_first_step_is_taken_at_once(run):
    """Up to the first wait, and no further."""

    async def scenario():
        loop, steps = asyncio.get_running_loop(), []
        waited_for = loop.create_future()

        async def work():
            steps.append("first")
            steps.append(await waited_for)
            steps.append(asyncio.current_task())

        task = start_at_once(work(), loop)
        assert steps == ["first"]
        waited_for.set_result("second")
        await task
        assert steps == ["first", "second", task]

    run(scenario())


@pytest.mark.parametrize("seconds", [0, 0.001])
def test_it_may_wait_for_the_next_turn_or_for_a_while(run, seconds):
    """The first wait may be for nothing in particular."""

    async def scenario():
        await start_at_once(asyncio.sleep(seconds), asyncio.get_running_loop())

    run(scenario())


def test_what_never_waits_is_done(run):
    """Its task ends all the same, and says so."""

    async def scenario():
        ended = asyncio.Event()

        async def work():
            pass

        task = start_at_once(work(), asyncio.get_running_loop())
        task.add_done_callback(lambda _: ended.set())
        await ended.wait()
        assert task.exception() is None

    run(scenario())


@pytest.mark.parametrize("has_waited", [False, True])
def test_a_bug_is_the_tasks(run, has_waited):
    """Whichever step it is in."""

    async def scenario():
        async def work():
            if has_waited:
                await asyncio.sleep(0)
            raise ValueError("bug")

        with pytest.raises(ValueError, match="bug"):
            await start_at_once(work(), asyncio.get_running_loop())

    run(scenario())


@pytest.mark.parametrize("turns", range(4))
def test_cancelling_reaches_it_wherever_it_is(run, turns):
    """Also before the task could begin: what was begun is tidied up, and what it waited for is cancelled."""

    async def scenario():
        loop, said = asyncio.get_running_loop(), []
        waited_for = loop.create_future()

        async def work():
            try:
                await asyncio.sleep(0)
                await waited_for
            except asyncio.CancelledError:
                said.append("cancelled")
                await asyncio.sleep(0)
                said.append("tidied up")
                raise

        task = start_at_once(work(), loop)
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert said == ["cancelled", "tidied up"]
        assert task.cancelled()

    run(scenario())


def test_cancelling_may_be_refused(run):
    """As any task's: it goes on."""

    async def scenario():
        async def work():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0)

        task = start_at_once(work(), asyncio.get_running_loop())
        task.cancel()
        await task
        assert not task.cancelled()

    run(scenario())
