"""Tests of the live page's routes: the files need no token, the figures do, and a watcher that leaves is forgotten."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from jevons.exporters.live.feed import LiveFeed, LiveSources
from jevons.proxy.metering_state import MeteringState
from jevons.proxy.server.admin import Admin
from jevons.proxy.server.live import MOST_WATCHERS, LivePage


class NoMetrics:
    """Nothing to render."""

    def take(self):
        return lambda _: (b"", "text/plain")


@pytest.fixture
def feed():
    return LiveFeed(LiveSources(metering=MeteringState, in_flight=lambda: 0, version="1.2"))


@pytest.fixture
async def client(feed):
    admin = Admin(metrics=NoMetrics(), health=dict, is_ready=lambda: True, token="secret", page=LivePage(feed))
    app: web.Application = admin.app()
    async with TestClient(TestServer(app)) as client:
        yield client


TOKEN = {"authorization": "Bearer secret"}


@pytest.mark.parametrize("name", ["", "live/page.js", "live/chart.js", "live/page.css", "live/uplot.min.js", "live/icon.svg"])
async def test_files_need_no_token_and_run_nothing_foreign(client, name):
    """They hold no figure; the policy lets in scripts of this origin only."""
    async with client.get(f"/{name}") as reply:
        assert reply.status == 200
        assert await reply.read()
        assert "script-src 'self';" in reply.headers["content-security-policy"]
        assert reply.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/live/uplot.LICENSE", "/live/..%2ffeed.py", "/live/index.html", "/live/x"])
async def test_other_names_are_not_there(client, path):
    """An allow-list, so that no path leads out of the folder."""
    async with client.get(path) as reply:
        assert reply.status == 404


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}])
async def test_figures_need_the_token(client, headers):
    """As the metrics do."""
    async with client.get("/live/events", headers=headers) as reply:
        assert reply.status == 401


async def test_events_come_as_they_happen(client, feed):
    """The state first, then a tick for each reading."""
    async with client.get("/live/events", headers=TOKEN) as reply:
        assert reply.content_type == "text/event-stream"
        assert json.loads((await reply.content.readline()).removeprefix(b"data: "))["kind"] == "state"
        assert await reply.content.readline() == b"\n"
        await asyncio.sleep(0)
        feed.read()
        assert json.loads((await reply.content.readline()).removeprefix(b"data: "))["kind"] == "tick"


async def test_too_many_pages_are_told_to_come_back(client, feed):
    """And there is room again when one is closed."""
    replies: list[aiohttp.ClientResponse] = [await client.get("/live/events", headers=TOKEN) for _ in range(MOST_WATCHERS)]
    async with client.get("/live/events", headers=TOKEN) as refused:
        assert refused.status == 503
        assert refused.headers["retry-after"] == "10"
    for reply in replies:
        reply.close()
    async with asyncio.timeout(10):
        while True:
            feed.read()
            async with client.get("/live/events", headers=TOKEN) as reply:
                if reply.status == 200:
                    return
            await asyncio.sleep(0.01)
