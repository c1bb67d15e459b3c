"""The owner and its workers, of which some are real processes."""

import asyncio

import pytest
from proxy_client import free_port, running
from simulated_upstream import until
from workers_fixture import config, taken_port

from jevons.exporters.exporter import Sources
from jevons.exporters.prometheus import PrometheusExporter
from jevons.proxy.errors import JevonsError
from jevons.proxy.exchange import Endpoint, Outcome, Record
from jevons.proxy.metering_state import MeteringState
from jevons.proxy.observed import LineState, ServerState
from jevons.proxy.workers import messages
from jevons.proxy.workers.owner import OwnerApp


def owner(**more):
    """One of two workers, that has not begun."""
    return OwnerApp(config(**{"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", **more}), None, workers=2, log_level="error")


async def test_it_runs_and_ends():
    """All workers are ready when it says so, and gone when it has ended."""
    app = owner()
    async with running(app) as addresses:
        assert addresses.main.startswith("http://127.0.0.1:")
        crew = app.crew
        assert len(crew.hands) == 2
        assert app._report_health()["workers"] == {"wanted": 2, "ready": 2, "restarts": 0}
        app._take(config(upstreams=[{"name": "second", "url": "http://127.0.0.1:9/v1", "model": "m"}]))
        assert b'upstream="second"' in app.take()("")[0]
        await until(lambda: app._told_engines is not None and len(app._told_engines.engines) == 2)
    assert not crew.hands


async def test_an_address_that_is_taken():
    """It ends with that as its reason."""
    with taken_port() as taken:
        app = owner(listen=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(JevonsError, match="cannot listen on"):
            await app.run(asyncio.Event(), lambda _: None)


async def test_what_workers_count_adds_up():
    """Counters, clients that wait, servers, lines and budgets; of one that is gone only what it has counted stays."""
    app = owner(listen=f"127.0.0.1:{free_port()}")
    counted = PrometheusExporter(
        Sources(upstreams=["chat"], policies=app.router.chain.names, metering=MeteringState, version="1")
    )
    for number in range(2):
        app._join(number)
        counted.answered(Record("r", "default", Endpoint.CHAT, 1.0, upstream="chat", outcome=Outcome.OK))
        passed = messages.Passed(
            3,
            tuple(counted.take_changes()),
            b'[{"id": "r"}]',
            used={"h": (1, 2.0, 0.0)},
            servers=(ServerState("chat", float(number), 1),),
            lines=(LineState("chat", 1, 2, 3, 4),),
        )
        app._note(number, passed)
    assert b'jevons_requests_total{outcome="ok",upstream="chat"} 2.0' in app.take()("")[0]
    assert app.count_in_flight() == 6
    assert app.servers_seen() == [ServerState("chat", 1.0, 2)]
    assert app.lines_seen() == [LineState("chat", 2, 4, 6, 8)]
    assert len(app.live.state()["requests"]) == 2
    app._lose(1)
    assert app.count_in_flight() == 3
    assert app._uses.for_member(0) == {"h": (1, 2.0)}
    assert b'jevons_requests_total{outcome="ok",upstream="chat"} 2.0' in app.take()("")[0]
