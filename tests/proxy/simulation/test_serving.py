"""A simulated server as a process: it says where it listens, serves, and ends on SIGTERM."""

import asyncio
import signal
import sys
from pathlib import Path

import aiohttp
import pytest
from simulated_upstream import chat

from jevons.proxy.errors import MeterError
from jevons.proxy.metering.simulated import SimulatedMeter
from jevons.proxy.simulation.serving import ServingConfig, serve

pytest_plugins = ["simulation_fixture"]

PROGRAM = """
import asyncio, pathlib, sys
from jevons.proxy.exchange import Reasoning
from jevons.proxy.simulation.serving import ServingConfig, serve
asyncio.run(serve(ServingConfig(pathlib.Path(sys.argv[1]), "sim", Reasoning(sys.argv[2]))))
"""


async def start(gpu, thinks):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, gpu.path, thinks, stdout=asyncio.subprocess.PIPE
    )
    url = (await process.stdout.readline()).decode().strip()
    return process, url


async def test_two_processes_on_one_gpu(simulated_gpu):
    """Both answer, their energy is on the one counter, and SIGTERM ends both with 0, a stream in flight included."""
    meter = SimulatedMeter(simulated_gpu.path)
    [device] = meter.open()
    processes, urls = zip(*[await start(simulated_gpu, thinks) for thinks in ("never", "always")], strict=True)
    async with aiohttp.ClientSession() as session:
        for url in urls:
            body = {"model": "sim", **chat(max_tokens=5)}
            async with session.post(f"{url}/v1/chat/completions", json=body, headers={"X-Request-Id": "me"}) as response:
                assert response.status == 200
            async with session.get(f"{url}/simulation/truth/me") as response:
                assert (await response.json())["joules"] > 0
        body = {"model": "sim", "stream": True, **chat(max_tokens=5000)}
        async with session.post(f"{urls[1]}/v1/chat/completions", json=body) as response:
            await response.content.readuntil(b"\n\n")
            for process in processes:
                process.send_signal(signal.SIGTERM)
            assert [await process.wait() for process in processes] == [0, 0]
    [sample] = meter.read()
    assert device.is_simulated
    assert sample.joules > 0


async def test_serve_announces_itself(simulated_gpu):
    """The address is given to whoever asked for it, once the server answers there."""
    urls = asyncio.Queue()
    task = asyncio.create_task(serve(ServingConfig(simulated_gpu.path, "sim"), announce=urls.put_nowait))
    url = await urls.get()
    async with aiohttp.ClientSession() as session, session.get(f"{url}/health") as response:
        assert response.status == 200
    signal.raise_signal(signal.SIGINT)
    await task


async def test_serve_needs_a_gpu():
    """Without the GPU's file the server does not start, and says why."""
    with pytest.raises(MeterError, match="no simulated GPU"):
        await serve(ServingConfig(Path("/nowhere/gpu"), "sim"))
