"""A simulated GPU and simulated model servers on it, for tests that need something to talk to."""

from contextlib import AsyncExitStack

import aiohttp
import pytest
from simulated_upstream import FAST, MODEL, Upstream

from jevons.proxy.simulation.engine import Engine
from jevons.proxy.simulation.gpu import SimulatedGpu
from jevons.proxy.simulation.server import SimulatedServer


@pytest.fixture
def simulated_gpu(tmp_path):
    """A GPU that idles at 75 W."""
    with SimulatedGpu.create(tmp_path / "gpu") as gpu:
        yield gpu


@pytest.fixture
async def start_upstream(simulated_gpu):
    """Start a simulated server with these options; it runs until the test ends."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())

        async def start(*, physics=FAST, max_batch=64, **options):
            engine = Engine(physics, simulated_gpu, max_batch=max_batch)
            server = SimulatedServer(engine, model=MODEL, **options)
            url = await stack.enter_async_context(server.running())
            return Upstream(server, url, session)

        yield start
