"""The program of a worker, as a real process."""

import asyncio
import socket
import sys
from contextlib import asynccontextmanager

import aiohttp
import pytest
from workers_fixture import taken_port, welcome

from jevons.proxy.metering.shared_counts import SharedCounts
from jevons.proxy.workers import messages
from jevons.proxy.workers.link import Link


@asynccontextmanager
async def started():
    """One, with our end of its line: (process, link, what it says)."""
    ours, theirs = socket.socketpair()
    _, counts = SharedCounts.create(1)
    said: asyncio.Queue = asyncio.Queue()
    link: Link = Link(messages.ToOwner, said.put_nowait, lambda: said.put_nowait(None))
    with theirs:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-P", "-m", "jevons.proxy.workers.process"),
            *(str(theirs.fileno()), str(counts), "1"),
            pass_fds=(theirs.fileno(), counts),
        )
    await link.open(ours)
    try:
        yield process, link, said
    finally:
        link.close()
        await process.wait()


async def test_it_serves_until_it_is_drained():
    """It says where, answers, and ends by itself with the last of its counts."""
    async with started() as (process, link, said):
        link.send(welcome(0))
        ready = await said.get()
        assert isinstance(ready, messages.Ready)
        async with aiohttp.ClientSession() as session, session.get(f"{ready.url}/v1/models") as reply:
            assert reply.status == 200
        link.send(messages.Drain())
        assert await process.wait() == 0


async def test_an_address_that_it_cannot_have():
    """It says so, and ends."""
    with taken_port() as taken:
        async with started() as (process, link, said):
            link.send(welcome(taken.getsockname()[1]))
            failed = await said.get()
            while not isinstance(failed, messages.Failed):
                failed = await said.get()
            assert "address already in use" in failed.reason
            assert await process.wait() == 1


@pytest.mark.parametrize("is_welcome", [True, False])
async def test_an_owner_that_is_gone(is_welcome):
    """There is nobody to serve for."""
    async with started() as (process, link, said):
        if is_welcome:
            link.send(welcome(0))
            await said.get()
        link.close()
        assert await process.wait() == 0
