"""Worker processes, started and started again."""

import asyncio
import os
import signal
import socket

import pytest
from simulated_upstream import until
from workers_fixture import taken_port, welcome

from jevons.proxy.errors import JevonsError
from jevons.proxy.workers import messages
from jevons.proxy.workers.crew import Crew, reserve


def crew_of(size, port, heard):
    """One that notes what it hears and who comes and goes."""
    return Crew(
        size,
        greet=lambda number: welcome(port, number, size),
        receive=lambda number, message: heard.append((number, type(message))),
        joined=lambda number: heard.append((number, "joined")),
        gone=lambda number: heard.append((number, "gone")),
    )


async def test_one_that_dies_is_replaced():
    """The others stay; who asks is told of each that is gone, and at the end all end."""
    with reserve("127.0.0.1", 0) as held:
        heard = []
        crew = crew_of(2, held.getsockname()[1], heard)
        running = asyncio.create_task(crew.run())
        await crew.is_complete.wait()
        assert crew.problem is None
        pids = {number: hand.process.pid for number, hand in crew.hands.items()}
        os.kill(pids[0], signal.SIGKILL)
        await until(lambda: crew.restarts and len(crew.hands) == 2 and all(hand.is_ready for hand in crew.hands.values()))
        assert crew.hands[1].process.pid == pids[1]
        assert crew.hands[0].process.pid != pids[0]
        crew.send(0, messages.Find(1, "r", "t"))
        crew.send(7, messages.Find(1, "r", "t"))
        await until(lambda: (0, messages.Found) in heard)
        await crew.drain(1.0)
        await running
    assert [event for event in heard if event == (0, "gone")] == [(0, "gone")] * 2
    assert not crew.hands


async def test_one_that_cannot_begin():
    """Why is known, and nobody waits for the others."""
    with taken_port() as taken:
        crew = crew_of(1, taken.getsockname()[1], [])
        running = asyncio.create_task(crew.run())
        await crew.is_complete.wait()
        await running
    assert crew.problem is not None
    assert "address already in use" in crew.problem


def test_an_address_is_held():
    """For sockets that share it, and for no others."""
    with reserve("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        with socket.socket() as shared:
            shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            shared.bind(("127.0.0.1", port))
            shared.listen()
            with pytest.raises(JevonsError, match=f"cannot listen on 127.0.0.1:{port}: address already in use"):
                reserve("127.0.0.1", port)
