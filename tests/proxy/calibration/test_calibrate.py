"""How a calibration ends where it cannot be right. A whole one, with the truth found, is the first part of `bench gpu`'s test."""

import asyncio
from dataclasses import replace

import pytest
from simulated_upstream import MODEL

from jevons.proxy.calibration.calibrate import Options, calibrate, describe_neighbours
from jevons.proxy.errors import JevonsError, MeterError, UpstreamError
from jevons.proxy.exchange import Upstream
from jevons.proxy.simulation.physics import LLAMA_3_1_8B

pytest_plugins = ["simulation_fixture"]

SHORT = Options(seconds=13.0, streams=6, idle_seconds=1.5)


def silent(_line):
    """Nobody listens."""


@pytest.fixture
def describe(simulated_gpu):
    """The upstream of a simulated server."""

    def describe(server, **options):
        return Upstream("chat", f"{server.url}/v1", MODEL, devices=(f"simulated:{simulated_gpu.path}",), **options)

    return describe


async def test_a_server_that_is_not_there(unused_tcp_port, simulated_gpu):
    """Nobody at the address is said at once, before any load."""
    upstream = Upstream("chat", f"http://127.0.0.1:{unused_tcp_port}/v1", MODEL, devices=(f"simulated:{simulated_gpu.path}",))
    with pytest.raises(UpstreamError, match=f"no model server answers at http://127.0.0.1:{unused_tcp_port}/v1"):
        await calibrate(upstream, SHORT, silent)


async def test_no_device(start_upstream):
    """Without a device that can be read there is nothing to fit to."""
    server = await start_upstream()
    upstream = Upstream("chat", f"{server.url}/v1", MODEL, devices=("simulated:/nowhere",))
    with pytest.raises(MeterError, match="nothing to calibrate with"):
        await calibrate(upstream, SHORT, silent)


async def test_a_server_that_others_use(start_upstream, describe):
    """Where the server makes tokens although we ask for none, or its device is busy with them, the calibration is refused."""
    server = await start_upstream(physics=LLAMA_3_1_8B)
    body = {"messages": [{"role": "user", "content": "go on"}], "max_tokens": 4000, "min_tokens": 4000}
    other = asyncio.create_task(server.stream("/v1/chat/completions", body))
    with pytest.raises(JevonsError, match=r"is not idle|others are using the server"):
        await calibrate(describe(server), SHORT, silent)
    other.cancel()


async def test_another_server_on_the_device_is_named(start_upstream, describe):
    """Where the device is busy with a neighbour's requests, the refusal says whose."""
    server, neighbour = await start_upstream(), await start_upstream(physics=LLAMA_3_1_8B)
    body = {"messages": [{"role": "user", "content": "go on"}], "max_tokens": 4000, "min_tokens": 4000}
    other = asyncio.create_task(neighbour.stream("/v1/chat/completions", body))
    thinker = replace(describe(neighbour), name="thinker")
    with pytest.raises(MeterError, match=r"is not idle.*Upstream thinker, .* made [1-9]\d* tokens meanwhile"):
        await calibrate(describe(server), SHORT, silent, neighbours=[thinker])
    other.cancel()


def test_neighbours_that_rested_are_not_mentioned():
    """Nor those that do not say; who had work is named, with how much."""
    assert describe_neighbours(["a", "b"], [0.0, None]) == []
    [line] = describe_neighbours(["a", "b"], [0.0, 120.0])
    assert "Upstream b" in line
    assert "120 tokens" in line


async def test_too_short_is_said_before_anything_is_asked(describe, start_upstream):
    """A time that no plan fits is an error without a single request."""
    server = await start_upstream(remembers=10)
    with pytest.raises(JevonsError, match="too short"):
        await calibrate(describe(server), Options(seconds=3.0), silent)
    assert not server.server.received
