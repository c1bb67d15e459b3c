"""What the checks have at hand: the accounts' balance, loads that run and end."""

import aiohttp
import pytest
from simulated_upstream import MODEL

from jevons.proxy.bench.gpu.world import Balance, run_all, steady_load
from jevons.proxy.calibration.streams import ChatClient, Stream
from jevons.proxy.errors import UpstreamError
from jevons.proxy.exchange import Dialect, Upstream
from jevons.proxy.simulation.quirks import Quirks

pytest_plugins = ["simulation_fixture"]

PAGE = """\
# TYPE jevons_device_energy_joules counter
jevons_device_energy_joules_total{device="a"} 100.0
jevons_device_energy_joules_total{device="b"} 0.0
# TYPE jevons_energy_joules counter
jevons_energy_joules_total{device="a",account="attributed"} 60.0
jevons_energy_joules_total{device="a",account="idle"} %s
jevons_energy_joules_total{device="b",account="idle"} 0.0
"""


@pytest.mark.parametrize(("idle", "error"), [(40.0, 0.0), (39.0, 0.01), (41.0, 0.01)])
def test_the_balance_of_a_scrape(idle, error):
    """The accounts of each device are held against its total; one that has consumed nothing says nothing."""
    balance = Balance()
    balance.read(PAGE % idle)
    assert balance.errors == [pytest.approx(error)]


@pytest.fixture
async def client(start_upstream):
    """A client of a simulated server, and the server."""
    upstream = await start_upstream()
    async with aiohttp.ClientSession() as session:
        yield ChatClient(session, Upstream("chat", f"{upstream.url}/v1", MODEL), Dialect.VLLM), upstream.server


async def test_all_run_to_their_end(client):
    """Each of the streams has all its tokens, and they began together."""
    chat, _ = client
    streams = [Stream(10, 0.0) for _ in range(4)]
    await run_all(chat, streams, 30)
    assert [stream.completion_tokens for stream in streams] == [30] * 4
    assert max(stream.began for stream in streams) - min(stream.began for stream in streams) < 0.1


async def test_a_failure_is_raised_as_it_is(client):
    """The server's refusal is the error, not a group of them."""
    chat, server = client
    server.quirks = Quirks(error_status=503)
    with pytest.raises(UpstreamError, match="answers 503"):
        await run_all(chat, [Stream(10, 0.0), Stream(10, 0.0)], 30)


async def test_a_steady_load_ends_with_its_block(client):
    """Streams are replaced while the block lasts; after it none is left at the server."""
    chat, server = client
    async with steady_load(chat, 2, words=10, output_tokens=5) as streams:
        await run_all(chat, [Stream(10, 0.0)], 400)
    assert len(streams) > 2
    async with chat.session.get(f"{chat.upstream.base_url.removesuffix('/v1')}/health"):
        pass
    assert server.engine.scheduler.running == 0


async def test_a_steady_load_that_fails_is_said(client):
    """An error of the server during the block comes out of it."""
    chat, server = client

    async def fail_under_load():
        async with steady_load(chat, 2, words=10, output_tokens=5):
            await run_all(chat, [Stream(10, 0.0)], 40)
            server.quirks = Quirks(error_status=500)
            for _ in range(50):
                async with chat.session.get(f"{chat.upstream.base_url}/models"):
                    pass

    with pytest.raises(UpstreamError, match="answers 500"):
        await fail_under_load()
