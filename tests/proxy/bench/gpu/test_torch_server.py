"""The server whose steps are computed: many requests, more than it has room for; needs torch, runs on a processor."""

import asyncio

import aiohttp
import pytest

pytest.importorskip("torch", reason="needs the extra [realserver]: `make test-real` installs it")

from jevons.proxy.bench.gpu.decoder import SHAPES, Decoder
from jevons.proxy.bench.gpu.torch_server import TorchEngine
from jevons.proxy.bench.gpu.world import run_all
from jevons.proxy.calibration.streams import ChatClient, Stream
from jevons.proxy.exchange import Dialect, Upstream
from jevons.proxy.simulation.server import SimulatedServer

pytest_plugins = ["simulation_fixture"]
pytestmark = pytest.mark.realserver


async def test_requests_come_and_go(simulated_gpu):
    """Ten at once with room for four, and some that leave: all that stay get their tokens, and every slot is used again."""
    engine = TorchEngine(Decoder(SHAPES["random-tiny"], slots=4, context=256, device="cpu"), simulated_gpu, slots=4)
    server = SimulatedServer(engine, model="random-tiny")
    async with server.running() as url, aiohttp.ClientSession() as session:
        chat = ChatClient(session, Upstream("chat", f"{url}/v1", "random-tiny"), Dialect.VLLM)
        leaving = [asyncio.create_task(chat.ask(Stream(20, 0.0), 150)) for _ in range(3)]
        streams = [Stream(20, 0.0) for _ in range(10)]
        running = asyncio.create_task(run_all(chat, streams, 40))
        await asyncio.sleep(0.2)
        for task in leaving:
            task.cancel()
        await running
        await asyncio.gather(*leaving, return_exceptions=True)
    assert [stream.completion_tokens for stream in streams] == [40] * 10
    assert len(engine._slots) + len(engine._free) == 4
