"""Verbs of ours as processes: they say where they listen, end when told to, and when we end."""

import asyncio
import sys
from asyncio.subprocess import PIPE

import aiohttp
import pytest
from aiohttp import web

from jevons.proxy.simulation.children import CHILD, addresses_in, first_line, poll_until_ready, stop
from jevons.proxy.simulation.gpu import SimulatedGpu


async def start(program, *arguments):
    """A Python program that follows our end of its standard input."""
    return await asyncio.create_subprocess_exec(sys.executable, "-c", program, *arguments, stdin=PIPE, stdout=PIPE)


async def test_it_ends_when_its_standard_input_does(tmp_path):
    """However we come to an end, nobody is left to hold the device."""
    SimulatedGpu.create(tmp_path / "gpu0").close()
    process = await start(CHILD, "simulate", "--gpu", str(tmp_path / "gpu0"), "--model", "simulated-8b")
    line = await first_line(process, 30.0)
    assert len(addresses_in(line)) == 1
    process.stdin.close()
    async with asyncio.timeout(30.0):
        assert await process.wait() == 0


async def test_one_that_says_nothing():
    """In time or at its end: an empty line, and what to do about it is for whoever asked."""
    silent = await start("import time; time.sleep(60)")
    assert await first_line(silent, 0.05) == ""
    await stop(silent, 10.0)
    assert silent.returncode == -15
    await stop(silent, 10.0)
    over = await start("")
    assert await first_line(over, 30.0) == ""
    await stop(over, 10.0)


async def test_one_that_does_not_want_to_end():
    """It is asked, and then made to."""
    stubborn = await start("import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)")
    assert await first_line(stubborn, 30.0) == "up"
    await stop(stubborn, 0.05)
    assert stubborn.returncode == -9


@pytest.mark.parametrize(
    ("line", "addresses"),
    [
        ("jevons listens on http://127.0.0.1:1/v1, admin on http://127.0.0.1:2", ["http://127.0.0.1:1", "http://127.0.0.1:2"]),
        ("", []),
        ("error: no", []),
    ],
)
def test_where_it_listens(line, addresses):
    """Both addresses, bare."""
    assert addresses_in(line) == addresses


async def test_ready_when_it_says_so(unused_tcp_port_factory):
    """It is asked until the answer is yes; nobody there is an error of the asking."""
    answers = iter([503, 503, 200])
    asked = []

    async def readyz(request):
        asked.append(request.path)
        return web.Response(status=next(answers))

    app = web.Application()
    app.router.add_get("/readyz", readyz)
    runner = web.AppRunner(app)
    await runner.setup()
    port = unused_tcp_port_factory()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with aiohttp.ClientSession() as session:
        await poll_until_ready(session, f"http://127.0.0.1:{port}")
        assert asked == ["/readyz"] * 3
        await runner.cleanup()
        with pytest.raises(aiohttp.ClientError):
            await poll_until_ready(session, f"http://127.0.0.1:{port}")
