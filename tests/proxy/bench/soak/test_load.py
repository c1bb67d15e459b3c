"""Tests of the soak's load against servers that do not do as they should: each fault is told."""

from __future__ import annotations

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from jevons.proxy.bench.soak.load import SoakLoad, Tally

SHAPED = {"error": {"message": "no", "type": "t", "param": None, "code": None}}


def answering(status=200, text="", **options):
    """A server that answers everything alike."""

    async def answer(_request):
        return web.Response(status=status, text=text, **options) if text or not options else web.json_response(**options)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    return TestServer(app)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("data: {}\n\ndata: [DONE]\n\n", "ok"),
        ("data: {}\n\n", "no end"),
        ('data: {"error": {"message": "x"}}\n\ndata: [DONE]\n\n', "an error within the stream"),
    ],
)
async def test_a_stream_is_judged_by_its_end(text, told):
    """One that breaks off, or carries an error, is lost."""
    async with answering(text=text) as server, aiohttp.ClientSession() as session:
        load = SoakLoad(session, str(server.make_url("")).rstrip("/"), seed=1)
        await load.burst(3)
    assert load.tally.answers == {"stream of the burst": {told: 3}}
    assert load.tally.lost == ({} if told == "ok" else {f"stream of the burst: {told}": 3})


async def test_a_load_of_all_kinds_tells_what_was_wrong():
    """Against a server that refuses everything with a shapeless 500 nothing but those who leave is as it should be."""
    async with answering(status=500, text="oops") as server, aiohttp.ClientSession() as session:
        load = SoakLoad(session, str(server.make_url("")).rstrip("/"), seed=1)
        await load.run(4, 0.3)
    kinds = {kind.partition(":")[0] for kind in load.tally.lost}
    assert {"stream", "bad body", "unknown model"} <= kinds
    assert load.tally.requests > 20


async def test_nobody_there_is_told():
    """By the error's name."""
    async with aiohttp.ClientSession() as session:
        load = SoakLoad(session, "http://127.0.0.1:9", seed=1)
        await load.burst(2)
    assert load.tally.lost == {"stream of the burst: ClientConnectorError": 2}


def test_a_tally_counts():
    """What was wanted is not lost."""
    tally = Tally()
    for kind, answer in (("a", "ok"), ("a", "left"), ("b", "refused"), ("b", "no end")):
        tally.add(kind, answer)
    assert tally.requests == 4
    assert tally.lost == {"b: no end": 1}
