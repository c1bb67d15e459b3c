"""The whole proxy in this process, on real sockets, before simulated or scripted model servers and a simulated device."""

import logging
from contextlib import AsyncExitStack

import aiohttp
import pytest
from proxy_client import Proxy, running
from scripted_upstream import ScriptedUpstream, Tap
from simulated_upstream import MODEL, until

from jevons.proxy.app import App
from jevons.proxy.config import Config

pytest_plugins = ["simulation_fixture"]


@pytest.fixture
async def start_proxy(simulated_gpu, caplog):
    """Start a proxy before these upstreams; it runs until the test ends, and nothing in it may have gone wrong by then.

    An upstream is anything with a `url`, or a mapping of what its section of the configuration says. The first is called
    `chat`, the others `chat-2` and so on; all are taken for vLLM on the simulated GPU where they say nothing else.
    """
    async with AsyncExitStack() as stack:

        async def start(*upstreams, **config):
            sections = [_section(number, upstream, simulated_gpu.path) for number, upstream in enumerate(upstreams, 1)]
            listeners = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "drain_seconds": 1}
            app = App(Config.model_validate({**listeners, "upstreams": sections, **config}))
            addresses = await stack.enter_async_context(running(app))
            ledgers = app.metering.attribution.devices.values()
            await until(lambda: all(ledger.counter.raw_joules is not None for ledger in ledgers))
            connector = aiohttp.TCPConnector(limit=0)
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
            return Proxy(app, addresses.main, addresses.admin, session)

        yield start
    errors = [record for record in caplog.get_records("call") if record.levelno >= logging.ERROR]
    assert [record.getMessage() for record in errors] == []


@pytest.fixture
async def start_scripted():
    """Start a model server that answers as a script says."""
    async with AsyncExitStack() as stack:

        async def start(script):
            return await stack.enter_async_context(ScriptedUpstream(script).running())

        yield start


@pytest.fixture
async def start_tap():
    """Listen in on a server."""
    async with AsyncExitStack() as stack:

        async def start(upstream):
            return await stack.enter_async_context(Tap(upstream.url).running())

        yield start


def _section(number, upstream, gpu):
    fields = upstream if isinstance(upstream, dict) else {"url": upstream.url}
    name = "chat" if number == 1 else f"chat-{number}"
    usual = {"name": name, "model": MODEL, "dialect": "vllm", "devices": [f"simulated:{gpu}"], **fields}
    if "urls" in fields:
        return usual
    return {**usual, "url": fields["url"] if fields["url"].endswith("/v1") else fields["url"] + "/v1"}
