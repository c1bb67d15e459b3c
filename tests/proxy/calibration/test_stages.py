"""The plan of a calibration's load, and how a stage is run."""

import asyncio

import aiohttp
import pytest
from simulated_upstream import MODEL

from jevons.proxy.calibration.stages import Stage, plan_stages, play
from jevons.proxy.calibration.streams import ChatClient
from jevons.proxy.errors import JevonsError, UpstreamError
from jevons.proxy.exchange import Dialect, Upstream
from jevons.proxy.simulation.quirks import Quirks

pytest_plugins = ["simulation_fixture"]


@pytest.mark.parametrize(("seconds", "streams"), [(13.0, 2), (60.0, 16), (600.0, 128)])
def test_a_plan_fills_its_time_and_never_more(seconds, streams):
    """The stages with their pauses take no longer than told, ask for no more at once than told, and differ in every respect."""
    stages = plan_stages(seconds, streams)
    assert sum(stage.seconds + 0.4 for stage in stages) == pytest.approx(seconds)
    assert {stage.streams for stage in stages} >= {1, streams}
    assert max(stage.streams for stage in stages) == streams
    assert len({stage.words for stage in stages}) == 2
    assert len({stage.output_tokens for stage in stages}) == 3


def test_a_small_context_is_respected():
    """Prompt and answer fit into what the server takes."""
    assert all(stage.words * 1.3 + stage.output_tokens < 1024 for stage in plan_stages(60.0, 4, context_tokens=1024))


def test_too_short():
    """Less than a second a stage is refused, with what it takes."""
    with pytest.raises(JevonsError, match=r"takes 12\.8 s of load at least"):
        plan_stages(5.0, 4)


@pytest.fixture
async def client(start_upstream):
    """A client of a simulated server, and the server."""
    upstream = await start_upstream()
    async with aiohttp.ClientSession() as session:
        yield ChatClient(session, Upstream("chat", f"{upstream.url}/v1", MODEL), Dialect.VLLM), upstream.server


async def test_a_stage_keeps_so_many_streams_going(client):
    """Each stream that ends is replaced by another, and at the end all are cut off: nothing is left running."""
    chat, server = client
    played = await play(chat, Stage(3, 20, 5, 0.5))
    assert played.ended - played.began == pytest.approx(0.5, abs=0.3)
    assert len(played.streams) > 3
    ended = [stream for stream in played.streams if stream.completion_tokens]
    assert ended
    assert all(stream.completion_tokens == 5 == len(stream.chunks) for stream in ended)
    assert (server.engine.scheduler.running, server.engine.scheduler.waiting) == (0, 0)


async def test_a_server_that_fails_ends_the_stage(client):
    """An error of the server is the stage's, in its words."""
    chat, server = client
    server.quirks = Quirks(error_status=500)
    with pytest.raises(UpstreamError, match="answers 500"):
        await asyncio.wait_for(play(chat, Stage(3, 20, 5, 5.0)), 20.0)
