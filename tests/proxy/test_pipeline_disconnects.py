"""A client that leaves: at every stage, over every endpoint, in every manner, the model server stops and its joules are kept."""

import asyncio
import json
from enum import StrEnum

import openai
import pytest
from proxy_client import BODIES, CHAT
from scripted_upstream import chunk, stream_head
from simulated_upstream import until

from jevons.proxy.exchange import Reasoning
from jevons.proxy.simulation.physics import LLAMA_3_1_8B
from jevons.proxy.simulation.quirks import Hang, Quirks

pytest_plugins = ["proxy_fixture"]

SLOW = LLAMA_3_1_8B.faster(0.2)
"""An answer takes many seconds."""


class Stage(StrEnum):
    """How far the request has come."""

    HEADERS = "before upstream headers"
    TOKEN = "before the first token"
    MIDDLE = "mid-stream"


class Manner(StrEnum):
    """How the client leaves."""

    CLOSED = "closed"
    RESET = "reset"
    AIOHTTP = "aiohttp"


HANGS = {Stage.HEADERS: Hang.BEFORE_HEADERS, Stage.TOKEN: Hang.BEFORE_FIRST_CHUNK, Stage.MIDDLE: Hang.NEVER}


def request_id(received):
    """Of a request at the server."""
    return {name.lower(): value for name, value in received.headers.items()}["x-request-id"]


async def reach(stage, upstream, name, response_head, read):
    """Come to the stage: by what the client sees where it is streamed to, else by what the server has done."""
    if stage is Stage.HEADERS or read is None:
        await until(lambda: name in map(request_id, upstream.server.received))
    if stage is Stage.MIDDLE and read is None:
        await until(lambda: upstream.server.engine.scheduler.truth.get(name))
    if stage is not Stage.HEADERS and read is not None:
        status, _ = await response_head()
        assert status == 200
    if stage is Stage.MIDDLE and read is not None:
        assert await read()


async def leave_raw(proxy, upstream, path, name, stage, manner, *, stream):
    """By a socket of our own."""
    async with proxy.dial() as client:
        await client.post(path, {**BODIES[path], "stream": stream}, {"x-request-id": name})
        await reach(stage, upstream, name, client.reply_head, (lambda: client.reader.read(10)) if stream else None)
        if manner is Manner.RESET:
            client.reset()
        else:
            client.hang_up()


async def leave_aiohttp(proxy, upstream, path, name, stage, *, stream):
    """By cancelling the task of an ordinary client."""
    arrived = asyncio.get_running_loop().create_future()

    async def ask():
        body = json.dumps({"model": "auto", **BODIES[path], "stream": stream})
        async with proxy.session.post(proxy.url + path, data=body, headers={"x-request-id": name}) as response:
            arrived.set_result((response.status, response))
            await asyncio.Event().wait()

    task = asyncio.create_task(ask())

    async def read():
        return await arrived.result()[1].content.readany()

    await reach(stage, upstream, name, lambda: arrived, read if stream else None)
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("stage", Stage)
async def test_a_client_that_leaves_stops_the_upstream_and_is_charged(start_upstream, start_proxy, stage, stream):
    """Whatever the endpoint and the manner: the engine is free at once, the record says so and has joules, the gauge is 0."""
    upstream = await start_upstream(physics=SLOW, quirks=Quirks(hang=HANGS[stage]), thinks=Reasoning.ALWAYS, remembers=100)
    proxy = await start_proxy(upstream)
    balance = proxy.balance()

    async def leave(path, manner):
        name = f"{path} {manner}"
        if manner is Manner.AIOHTTP:
            await leave_aiohttp(proxy, upstream, path, name, stage, stream=stream)
        else:
            await leave_raw(proxy, upstream, path, name, stage, manner, stream=stream)
        async with asyncio.timeout(1):
            await until(lambda: name in upstream.server.engine.cancelled)
        return name

    names = await asyncio.gather(*(leave(path, manner) for path in BODIES for manner in Manner))
    assert await proxy.in_flight() == 0
    for name in names:
        record = await proxy.settled(proxy.find(name))
        assert record["outcome"] == "cancelled"
        (attempt,) = record["attempts"]
        assert attempt["outcome"] == "cancelled"
        assert attempt["energy"]["joules"] > 0
    assert proxy.balance() == pytest.approx(balance, abs=1e-6)
    assert (await proxy.metrics())["jevons_requests_total"]["cancelled", "chat"] == len(names)


@pytest.mark.parametrize("stage", Stage)
async def test_leaving_a_reply_that_is_put_together_from_a_stream(start_upstream, start_proxy, stage):
    """The client waits for a whole reply while its stream is read: it leaves, and the model server stops."""
    upstream = await start_upstream(physics=SLOW, remembers=9)
    proxy = await start_proxy({"url": upstream.url, "reassemble": True})
    await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 2})  # shows what a whole reply looks like
    upstream.server.quirks = Quirks(hang=HANGS[stage])
    balance = proxy.balance()
    async with proxy.dial() as client:
        await client.post(CHAT, {**BODIES[CHAT], "stream": False}, {"x-request-id": "mine"})
        await reach(stage, upstream, "mine", None, None)
        client.reset()
        async with asyncio.timeout(1):
            await until(lambda: "mine" in upstream.server.engine.cancelled)
    assert json.loads(upstream.server.received[-1].body)["stream"] is True
    record = await proxy.settled(proxy.find("mine"))
    assert (record["outcome"], [attempt["outcome"] for attempt in record["attempts"]]) == ("cancelled", ["cancelled"])
    assert record["energy"]["joules"] > 0
    assert proxy.balance() == pytest.approx(balance, abs=1e-6)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("path", BODIES)
async def test_leaving_while_the_energy_is_awaited(start_upstream, start_proxy, path, stream):
    """The answer is there, and held for its energy: who leaves then has a record all the same, with final joules."""
    upstream = await start_upstream(remembers=9)
    proxy = await start_proxy(upstream)
    body = {**BODIES[path], "max_tokens": 5, "stream": stream, "stream_options": {"include_usage": True} if stream else None}
    async with proxy.dial() as client:
        await client.post(path, body, {"x-jevons-energy": "final", "x-request-id": "mine"})
        await until(lambda: upstream.server.engine.scheduler.truth.get("mine"))
        await until(lambda: not upstream.server.engine.scheduler.running)
        client.hang_up()
        async with asyncio.timeout(1):
            await until(lambda: not proxy.is_serving())
    record = await proxy.settled(proxy.find("mine"))
    assert record["outcome"] == "cancelled"
    assert record["energy"]["joules"] > 0
    assert await proxy.in_flight() == 0


@pytest.mark.parametrize("manner", [Manner.CLOSED, Manner.RESET])
async def test_leaving_while_the_body_is_being_sent(start_upstream, start_proxy, manner):
    """Half a body is no request: nothing is sent on, nothing recorded, and nothing goes wrong."""
    upstream = await start_upstream(remembers=1)
    proxy = await start_proxy(upstream)
    for headers in ({}, {"transfer-encoding": "chunked"}):
        async with proxy.dial() as client:
            if headers:
                fields = {"host": "test", **headers}
                await client.head(f"POST {CHAT}", fields, b'5\r\n{"mod')
            else:
                await client.post(CHAT, b'{"model": "auto", "mess', length=1000)
            await asyncio.sleep(0.05)
            client.reset() if manner is Manner.RESET else client.hang_up()
    reply = await proxy.get("/v1/models")
    assert reply.status == 200
    assert not upstream.server.received
    assert (await proxy.metrics())["jevons_requests_total"]["cancelled", "other"] == 0


async def test_leaving_at_the_end_is_not_leaving_early(start_scripted, start_proxy):
    """The `openai` client closes its connection on `[DONE]`, which may be before the upstream has closed its own."""
    events = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'

    async def script(call):
        await call.send(stream_head(), chunk(events))
        await call.forever()

    upstream = await start_scripted(script)
    proxy = await start_proxy(upstream)
    async with openai.AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key="none", max_retries=0) as client:
        stream = await client.chat.completions.create(model="auto", messages=BODIES[CHAT]["messages"], stream=True)
        assert [part.choices[0].delta.content async for part in stream] == ["a"]
        request_id = stream.response.headers["x-request-id"]
    async with asyncio.timeout(1):
        await upstream.calls[0].has_left.wait()
    record = await proxy.settled(request_id)
    assert (record["outcome"], record["attempts"][0]["outcome"]) == ("ok", "ok")


async def test_leaving_in_the_middle_of_a_json_reply(start_scripted, start_proxy):
    """The upstream has begun to answer: its connection is closed, not read to its end."""

    async def script(call):
        await call.send(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{"id":')
        await call.forever()

    await leaves(await start_scripted(script), start_proxy, stream=False)


async def test_leaving_while_a_refusal_is_read(start_scripted, start_proxy):
    """The upstream's 400, which may be over `stream_options`, is still on its way."""

    async def script(call):
        await call.send(b"HTTP/1.1 400 Bad\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{")
        await call.forever()

    await leaves(await start_scripted(script), start_proxy, stream=True)


async def test_leaving_while_a_stream_is_written(start_scripted, start_proxy):
    """A client that reads nothing holds its stream up, and the upstream with it; when it leaves both end."""
    event = b'data: {"choices":[{"delta":{"content":"' + b"x" * 100_000 + b'"}}]}\n\n'

    async def script(call):
        await call.send(stream_head())
        while not call.has_left.is_set():
            await call.send(chunk(event))

    await leaves(await start_scripted(script), start_proxy, stream=True)


async def leaves(upstream, start_proxy, *, stream):
    """Ask, give everything time to fill up, and leave: the upstream's connection must be closed at once."""
    proxy = await start_proxy(upstream)
    async with proxy.dial() as client:
        await client.post(CHAT, {**BODIES[CHAT], "stream": stream}, {"x-request-id": "mine"})
        await until(lambda: upstream.calls)
        await asyncio.sleep(0.1)
        assert proxy.is_serving()
        client.reset()
        async with asyncio.timeout(1):
            await upstream.calls[0].has_left.wait()
            await until(lambda: not proxy.is_serving())
    record = await proxy.settled(proxy.find("mine"))
    assert record["outcome"] == "cancelled"
    assert await proxy.in_flight() == 0
