"""Tests of what is watched."""

from __future__ import annotations

import os

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from jevons.proxy.bench.soak.watch import Sample, Watch, kib_per_hour

PAGE = """\
# TYPE jevons_event_loop_tasks gauge
jevons_event_loop_tasks 12
# TYPE jevons_requests_in_flight gauge
jevons_requests_in_flight{upstream="a"} 2
jevons_requests_in_flight{upstream="b"} 1
# TYPE jevons_energy_joules_total counter
jevons_energy_joules_total{device="d",account="attributed"} 60
jevons_energy_joules_total{device="d",account="idle"} 39
# TYPE jevons_device_energy_joules_total counter
jevons_device_energy_joules_total{device="d"} 100
"""


async def test_one_look():
    """Sums over upstreams and devices; memory, descriptors and threads of the process."""
    app = web.Application()
    app.router.add_get("/metrics", _page)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        found = await Watch(session, str(server.make_url("")).rstrip("/"), os.getpid()).look()
    assert (found.tasks, found.in_flight) == (12, 3)
    assert found.residual == pytest.approx(0.01)
    assert found.rss_kib > 1000
    assert found.descriptors > 3
    assert found.threads >= 1


async def _page(_request):
    return web.Response(text=PAGE)


def sample(at, rss):
    return Sample(at, rss, 1, 1, 1, 0, 0.0)


def test_the_slope_is_of_the_second_half():
    """What is filled once, at the beginning, is no leak."""
    samples = [sample(at, 50_000 + (1000 * at if at < 50 else 50_000 + 2 * at)) for at in range(0, 101, 5)]
    assert kib_per_hour(samples).slope == pytest.approx(7200)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_looks_have_no_slope(count):
    """And not one of 0."""
    assert kib_per_hour([sample(at, 1) for at in range(count)]) is None
