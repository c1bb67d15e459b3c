"""Requests of a wanted size, and what is noted of their replies."""

import time

import aiohttp
import pytest
from aiohttp import web
from simulated_upstream import MODEL

from jevons.proxy.calibration.streams import ChatClient, Stream, chat_body, write_prompt
from jevons.proxy.errors import UpstreamError
from jevons.proxy.exchange import Dialect, Upstream

pytest_plugins = ["simulation_fixture"]


@pytest.fixture
async def client(start_upstream):
    """A client of a simulated server."""
    upstream = await start_upstream()
    async with aiohttp.ClientSession() as session:
        yield ChatClient(session, Upstream("chat", f"{upstream.url}/v1", MODEL), Dialect.VLLM)


async def test_a_stream_has_the_length_asked_for(client):
    """Every token arrives as a chunk, longer answers than the model would give included; the counts are the server's."""
    stream = Stream(50, time.monotonic())
    await client.ask(stream, 400)
    assert stream.completion_tokens == 400 == len(stream.chunks)
    assert stream.prompt_tokens == pytest.approx(50, abs=8)
    assert stream.cached_tokens == 0
    assert stream.chunks == sorted(stream.chunks)
    assert stream.began < stream.chunks[0]


async def test_no_prompt_is_in_a_cache(client):
    """A prompt of the same length again begins otherwise, so that the server has to read all of it."""
    for _ in range(2):
        stream = Stream(200, time.monotonic())
        await client.ask(stream, 2)
        assert stream.cached_tokens == 0
    assert write_prompt(3) != write_prompt(3)
    assert len(write_prompt(77).split()) == 77


def test_the_length_is_asked_for_where_servers_take_it():
    """`ignore_eos` and `min_tokens` go to the kinds of server that know them, and to no other."""
    bodies = {kind: chat_body("m", words=3, output_tokens=9, dialect=kind) for kind in Dialect}
    assert bodies[Dialect.VLLM]["ignore_eos"] is True
    assert bodies[Dialect.VLLM]["min_tokens"] == 9
    assert "min_tokens" not in bodies[Dialect.LLAMA_CPP]
    assert bodies[Dialect.LLAMA_CPP]["ignore_eos"] is True
    for kind in (Dialect.OPENAI, Dialect.OLLAMA, Dialect.TRANSFORMERS):
        assert not bodies[kind].keys() & {"ignore_eos", "min_tokens"}
    assert "stream_options" not in bodies[Dialect.TRANSFORMERS]
    assert all(body["max_tokens"] == 9 and body["stream"] for body in bodies.values())


async def test_a_server_that_refuses(client):
    """Its status and its words are the error's."""
    wrong = ChatClient(client.session, Upstream("chat", client.upstream.base_url, "another"), Dialect.VLLM)
    with pytest.raises(UpstreamError, match="answers 404"):
        await wrong.ask(Stream(3, 0.0), 1)


async def test_nobody_there(unused_tcp_port):
    """A connection that is refused is an error with the address."""
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{unused_tcp_port}/v1"
        with pytest.raises(UpstreamError, match=str(unused_tcp_port)):
            await ChatClient(session, Upstream("chat", url, "m"), Dialect.VLLM).ask(Stream(3, 0.0), 1)


async def test_a_stream_of_something_else(aiohttp_events):
    """An event that is no chat chunk is an error, not a token less."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(UpstreamError, match="cannot be read"):
            await ChatClient(session, Upstream("chat", aiohttp_events, "m"), Dialect.VLLM).ask(Stream(3, 0.0), 1)


@pytest.fixture
async def aiohttp_events():
    """A server whose every stream is one event that is no JSON."""

    async def answer(_request):
        return web.Response(text="data: never mind\n\n", content_type="text/event-stream")

    application = web.Application()
    application.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    await runner.cleanup()
