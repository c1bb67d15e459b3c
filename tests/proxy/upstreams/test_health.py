"""Which upstreams are there and what kind they are, asked over real HTTP and never by an inference."""

import asyncio

import aiohttp
import pytest
from scripted_upstream import bare_server, http_reply, speaks_ssh
from simulated_upstream import MODEL, until

from jevons.proxy.exchange import Dialect, Upstream
from jevons.proxy.upstreams.health import Health

pytest_plugins = ["proxy_fixture"]


@pytest.fixture
async def make_health():
    """Health of upstreams at these urls, named `0`, `1` and so on, asked every 20 ms."""
    async with aiohttp.ClientSession() as session:

        def make(*urls, **fields):
            upstreams = [Upstream(str(number), f"{url}/v1", MODEL, **fields) for number, url in enumerate(urls)]
            return Health(session, upstreams, check_seconds=0.02)

        yield make


async def test_one_upstream_is_enough(make_health, start_upstream):
    """Ready as soon as one can be used; each problem is said in words, and an upstream not asked yet has none."""
    upstream = await start_upstream()
    health = make_health("http://127.0.0.1:1", upstream.url)
    assert (health.problems, health.is_ready) == ({}, False)
    await health.check()
    assert health.problems == {"0": "Connection refused", "1": None}
    assert health.is_ready


async def test_an_upstream_that_was_taken_away_is_forgotten(make_health, start_upstream):
    """The list is the proxy's, which changes it on a reload: nobody is ready by a server that is not used any more."""
    health = make_health("http://127.0.0.1:1", (await start_upstream()).url)
    await health.check()
    del health._upstreams[1]
    await health.check()
    assert health.problems == {"0": "Connection refused"}
    assert not health.is_ready


@pytest.mark.parametrize("host", ["https://127.0.0.1:1", "http://no-such-host.invalid", f"http://{'a' * 64}.invalid"])
async def test_no_upstream_can_end_the_asking(make_health, host):
    """Whatever is wrong with an address becomes that upstream's problem."""
    health = make_health(host)
    await health.check()
    assert health.problems["0"]
    assert not health.is_ready


async def test_a_server_that_does_not_speak_http_is_a_problem(make_health):
    """Something else listens there."""
    async with bare_server(speaks_ssh) as address:
        health = make_health(f"http://{address}")
        await health.check()
    assert health.problems["0"]
    assert not health.is_ready


@pytest.mark.parametrize("dialect", [dialect for dialect in Dialect if dialect is not Dialect.LITELLM])
async def test_any_http_answer_means_up(make_health, start_scripted, dialect):
    """It is the network that is asked about: a server may refuse to list its models. Nothing is asked that would infer."""

    async def script(call):
        await call.send(http_reply(b"no", 500))

    upstream = await start_scripted(script)
    health = make_health(upstream.url, dialect=dialect)
    await health.check()
    assert health.problems == {"0": None}
    assert not upstream.calls  # every question was a GET


async def test_the_key_is_shown(make_health, start_upstream):
    """A server that wants a key gets its own with every question, and its kind is found."""
    upstream = await start_upstream(api_key="secret")
    health = make_health(upstream.url, api_key="secret")
    await health.check()
    assert health.dialect("0") is Dialect.VLLM


async def test_who_answers_is_told_every_time(start_upstream):
    """`on_up` hears of each that answers, also where another process has asked."""
    upstream = await start_upstream()
    listed, up = [Upstream("well", f"{upstream.url}/v1", MODEL), Upstream("gone", "http://127.0.0.1:1/v1", MODEL)], []
    async with aiohttp.ClientSession() as session:
        health = Health(session, listed, on_up=up.append)
        await health.check()
        assert up == ["well"]
        health.hear({"well": "down", "gone": None}, {})
        assert up == ["well", "gone"]


async def test_the_dialect_is_found_once_it_can_be(make_health, start_upstream):
    """AUTO until the server has answered; a configured one is not asked for."""
    upstream = await start_upstream(owned_by="sglang")
    health = make_health(upstream.url)
    assert health.dialect("0") is Dialect.AUTO
    await health.check()
    assert health.dialect("0") is Dialect.SGLANG
    health = make_health(upstream.url, dialect=Dialect.OLLAMA)
    await health.check()
    assert health.dialect("0") is Dialect.OLLAMA


async def test_a_server_that_comes_back_is_usable_again(make_health, start_upstream):
    """The asking goes on."""
    upstream = await start_upstream()
    gone = upstream.server.running()
    url = await gone.__aenter__()
    health = make_health(url)
    asking = asyncio.create_task(health.run())
    async with asyncio.timeout(5):
        await until(lambda: health.is_ready)
        await gone.__aexit__(None, None, None)
        await until(lambda: not health.is_ready)
    assert not asking.done()
    asking.cancel()


async def test_what_another_process_has_found_out(make_health):
    """It is taken over as it is, in the mapping that others hold on to."""
    health = make_health("http://127.0.0.1:9")
    problems = health.problems
    health.hear({"0": None}, {"0": Dialect.VLLM})
    assert problems == {"0": None}
    assert health.is_ready
    assert health.dialects == {"0": Dialect.VLLM}
    health.hear({"0": "gone"}, {})
    assert not health.is_ready
    assert health.dialect("0") is Dialect.AUTO
