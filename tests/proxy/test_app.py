"""The composition root: a configuration becomes a proxy that listens, and ends in order, whatever it was that ended it."""

import asyncio
import re
import signal
import socket
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from simulated_upstream import MODEL, chat

from jevons.proxy.address import Address
from jevons.proxy.app import App, Listener, run_until_signal
from jevons.proxy.config_file import parse_config
from jevons.proxy.errors import ConfigError, JevonsError

pytest_plugins = ["simulation_fixture"]

FOREVER_SECONDS = 600.0
ANYWHERE = Address("127.0.0.1", 0)


class Handlers:
    """An application with a request that takes until it is let go, and what became of it."""

    def __init__(self):
        self.has_begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.ended = []

    def app(self):
        """The application."""
        app = web.Application()
        app.router.add_get("/", self._quick)
        app.router.add_get("/slow", self._slow)
        return app

    async def _quick(self, _request):
        return web.Response(text="quick")

    async def _slow(self, request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun ")
        self.has_begun.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("done")
        await response.write(b"done")
        return response


@asynccontextmanager
async def slow_request(listener, handlers):
    """One request in the middle of its answer."""
    async with aiohttp.ClientSession() as session, session.get(f"{listener.url}/slow") as response:
        await handlers.has_begun.wait()
        yield response


async def test_a_listener_says_where_it_listens():
    """The address holds the port that the system chose, and somebody answers there."""
    handlers = Handlers()
    async with (
        Listener(handlers.app(), ANYWHERE, drain_seconds=FOREVER_SECONDS) as listener,
        aiohttp.ClientSession() as session,
        session.get(listener.url) as response,
    ):
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", listener.url)
        assert await response.text() == "quick"


def has_version_6():
    """Whether this machine has a loopback of version 6."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_version_6(), reason="no IPv6 on this machine")
async def test_a_listener_on_version_6():
    """A version 6 host stands in brackets."""
    async with Listener(Handlers().app(), Address("::1", 0), drain_seconds=FOREVER_SECONDS) as listener:
        assert listener.url.startswith("http://[::1]:")


async def test_a_listener_that_cannot_bind():
    """The error says which address and why, in the system's words and once."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(JevonsError) as caught:
            await Listener(Handlers().app(), address, drain_seconds=0).__aenter__()
    assert str(caught.value) == f"cannot listen on {address}: address already in use"


async def test_a_host_that_is_unknown():
    """So does the error for a host name that does not resolve."""
    with pytest.raises(JevonsError, match=r"^cannot listen on nowhere\.invalid:8800: (?!unknown error)"):
        await Listener(Handlers().app(), Address("nowhere.invalid", 8800), drain_seconds=0).__aenter__()


async def test_leaving_waits_for_what_is_in_flight():
    """Nobody new gets in, and the answer in flight is finished."""
    handlers = Handlers()
    listener = Listener(handlers.app(), ANYWHERE, drain_seconds=FOREVER_SECONDS)
    await listener.__aenter__()
    async with slow_request(listener, handlers) as response:
        leaving = asyncio.create_task(listener.__aexit__(None, None, None))
        async with aiohttp.ClientSession() as session:
            while True:
                try:
                    async with session.get(listener.url):
                        await asyncio.sleep(0)
                except aiohttp.ClientConnectionError:
                    break
        assert not leaving.done()
        handlers.may_end.set()
        assert await response.text() == "begun done"
        await leaving
    assert handlers.ended == ["done"]


@pytest.mark.parametrize("drain_seconds", [0.0, 0.1])
async def test_leaving_cuts_off_at_the_deadline(drain_seconds):
    """What is not done by then is cancelled, and its client sees no end; a deadline of 0 is one."""
    handlers = Handlers()
    listener = Listener(handlers.app(), ANYWHERE, drain_seconds=drain_seconds)
    await listener.__aenter__()
    async with slow_request(listener, handlers) as response:
        await listener.__aexit__(None, None, None)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.text()
    assert handlers.ended == ["cancelled"]


async def test_leaving_with_an_error_waits_for_nobody():
    """Where something has gone wrong what is in flight is cut off at once."""
    handlers = Handlers()
    listener = Listener(handlers.app(), ANYWHERE, drain_seconds=FOREVER_SECONDS)
    await listener.__aenter__()
    async with slow_request(listener, handlers) as response:
        await listener.__aexit__(ValueError, ValueError(), None)
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.text()
    assert handlers.ended == ["cancelled"]


async def test_leaving_does_not_wait_for_idle_connections():
    """A connection that is kept open and asks nothing is closed."""
    listener = Listener(Handlers().app(), ANYWHERE, drain_seconds=FOREVER_SECONDS)
    await listener.__aenter__()
    async with aiohttp.ClientSession() as session:
        async with session.get(listener.url) as response:
            await response.read()
        await listener.__aexit__(None, None, None)


@pytest.fixture
async def config(start_upstream, simulated_gpu):
    """The configuration of a proxy in front of one simulated server; `config(line, …)` adds lines to it."""
    upstream = await start_upstream()

    def make(*lines):
        text = [
            f"upstreams: [{{name: chat, url: '{upstream.url}/v1', model: {MODEL}, devices: ['simulated:{simulated_gpu.path}']}}]",
            *lines,
        ]
        given = "".join(lines)
        text += [f"{name}: 127.0.0.1:0" for name in ("listen", "admin") if f"{name}:" not in given]
        return parse_config("\n".join(text))

    return make


async def test_it_serves_until_told_to_stop(config):
    """Once it listens it says where, answers on both addresses, reports its own state, and returns when told to."""
    app = App(config())
    stop, addresses = asyncio.Event(), asyncio.get_running_loop().create_future()
    running = asyncio.create_task(app.run(stop, addresses.set_result))
    main, admin = (await addresses).main, (await addresses).admin
    async with aiohttp.ClientSession() as session:
        async with session.post(f"{main}/v1/chat/completions", json={"model": "auto", **chat(max_tokens=3)}) as response:
            assert response.status == 200
            assert response.headers["x-jevons-version"] == app.version
        async with session.get(f"{admin}/healthz") as response:
            health = await response.json()
        async with session.get(f"{admin}/metrics") as response:
            assert "jevons_requests_total" in await response.text()
    assert health.keys() == {"status", "version", "config", "meters"}
    assert (health["status"], health["version"]) == ("ok", app.version)
    assert health["config"].keys() == {"hash", "loaded_at", "error"}
    assert not app.is_draining
    stop.set()
    await running
    assert app.is_draining


@pytest.mark.parametrize("listener", ["listen", "admin"])
async def test_a_port_that_is_taken(config, listener):
    """The error is the listener's own, in no group, whichever of the two it is."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(JevonsError, match=rf"^cannot listen on 127\.0\.0\.1:{port}: address already in use$"):
            await App(config(f"{listener}: 127.0.0.1:{port}")).run(asyncio.Event(), lambda _: None)


async def test_a_bug_in_a_loop_ends_it_loudly(config):
    """A loop that fails takes the process down with its own error, and does not leave it serving without figures."""
    app = App(config())
    addresses = asyncio.get_running_loop().create_future()

    def fail():
        raise ZeroDivisionError

    app.metering.settle = fail
    with pytest.raises(ExceptionGroup) as caught:
        await app.run(asyncio.Event(), addresses.set_result)
    assert [type(error) for error in caught.value.exceptions] == [ZeroDivisionError]
    assert addresses.done()


async def test_keys_that_are_not_there(tmp_path):
    """A keys file that cannot be used is an error of the configuration, before anything is opened."""
    (tmp_path / "keys.yaml").write_text("[]")
    text = "upstreams: [{name: chat, url: 'http://127.0.0.1:8000/v1', model: m}]\nauth: {keys_file: keys.yaml}\n"
    config = parse_config(text, folder=tmp_path)
    with pytest.raises(ConfigError, match="no keys"):
        App(config)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it(config, number):
    """Either signal ends it in good order."""
    app = App(config())
    await run_until_signal(app, lambda _: signal.raise_signal(number))
    assert app.is_draining


async def test_a_second_signal_says_that_it_cut_off(config):
    """A second signal ends it with an error that says what that did."""
    app = App(config())
    addresses = asyncio.get_running_loop().create_future()
    running = asyncio.create_task(run_until_signal(app, addresses.set_result))
    async with aiohttp.ClientSession() as session:
        body = {"model": "auto", "stream": True, **chat(max_tokens=5000)}
        async with session.post(f"{(await addresses).main}/v1/chat/completions", json=body) as response:
            await response.content.readuntil(b"\n\n")
            signal.raise_signal(signal.SIGTERM)
            await asyncio.sleep(0)
            signal.raise_signal(signal.SIGTERM)
            with pytest.raises(JevonsError, match="second signal"):
                await running


async def test_a_signal_before_it_listens(config):
    """A signal that comes while devices are still being opened ends it there and then."""
    app = App(config())
    said = []
    running = asyncio.create_task(run_until_signal(app, said.append))
    await asyncio.sleep(0)
    signal.raise_signal(signal.SIGTERM)
    await running
    assert said == []
