"""Beyond local: a whole proxy with a real litellm before a local provider, as a last resort and by name."""

import asyncio

import pytest
from litellm_provider import Provider, needs_litellm
from proxy_client import BODIES, CHAT, free_port

from jevons.proxy.keys import new_key

pytest_plugins = ["proxy_fixture"]
pytestmark = [needs_litellm, pytest.mark.filterwarnings("default")]  # litellm's own warnings are not ours
MODEL = "openai/gpt-4o-mini"
SIZED = "openai/llama-3.1-8b"


@pytest.fixture
async def provider():
    async with Provider().running() as running:
        yield running


def cloud(provider, model=MODEL, **fields):
    """An upstream that says nothing of its devices: it has none here."""
    own = {"name": "cloud", "model": model, "dialect": "litellm", "devices": None, "api_key": "the-key"}
    return {"url": provider.url, **own, **fields}


def dead():
    """A local server that is not there."""
    return {"url": f"http://127.0.0.1:{free_port()}"}


async def ask(proxy, model="auto", headers=None, **fields):
    return await proxy.post(CHAT, {**BODIES[CHAT], "model": model, **fields}, headers)


@pytest.mark.parametrize("is_stream", [False, True])
async def test_where_nobody_local_answers_the_provider_does(start_proxy, provider, is_stream):
    """Streamed and whole; the record has the money, and no joules for a model of unknown size."""
    proxy = await start_proxy(dead(), cloud(provider))
    reply = await ask(proxy, stream=is_stream)
    assert (reply.status, reply.headers["x-jevons-upstream"]) == (200, "cloud")
    assert (b"data: [DONE]" in reply.body) is is_stream
    record = await proxy.settled(reply.id)
    assert record["cost_usd"] == pytest.approx(50 * 0.15e-6 + 70 * 0.60e-6)
    assert (record["energy"]["joules"], record["outcome"]) == (None, "ok")
    metrics = await proxy.metrics()
    assert metrics["jevons_upstream_cost_usd_total"]["cloud",] == pytest.approx(record["cost_usd"])


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_provider_that_speaks_no_openai_answers_in_its_words(start_proxy, provider, is_stream):
    """Anthropic's messages, whole and streamed, with a tool's call: the client gets OpenAI's shape, and the record the usage."""
    fields = cloud(provider, "anthropic/claude-sonnet-4-5")
    proxy = await start_proxy(
        dead(), {**{name: value for name, value in fields.items() if name != "url"}, "urls": [provider.url]}
    )
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]
    reply = await ask(proxy, stream=is_stream, tools=tools)
    assert (reply.status, reply.headers["x-jevons-upstream"]) == (200, "cloud")
    assert b'"tool_calls"' in reply.body
    assert (b"data: [DONE]" in reply.body) is is_stream
    record = await proxy.settled(reply.id)
    assert (record["tokens"]["prompt"], record["tokens"]["completion"], record["outcome"]) == (50, 70, "ok")
    assert record["cost_usd"] == pytest.approx(50 * 3e-6 + 70 * 15e-6)


async def test_the_energy_of_a_provider_is_an_estimate(start_proxy, provider):
    """By the size in the model's name, with wide bounds, although a device of this machine can be read; its price is unknown."""
    proxy = await start_proxy(dead(), cloud(provider, SIZED))
    reply = await ask(proxy, "cloud")
    record = await proxy.settled(reply.id)
    energy = record["energy"]
    assert (energy["method"], record["cost_usd"]) == ("estimated", None)
    assert energy["high"] > 5 * energy["low"] > 0
    assert reply.json["usage"]["energy"]["method"] == "estimated"


async def test_a_local_server_that_answers_keeps_the_request(start_proxy, start_scripted, provider):
    """The provider hears nothing of it."""
    whole = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"local"},"finish_reason":"stop"}]}'

    async def local(call):
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(whole)}\r\n\r\n"
        await call.send(head.encode() + whole)

    proxy = await start_proxy(await start_scripted(local), cloud(provider))
    reply = await ask(proxy)
    assert reply.headers["x-jevons-upstream"] == "chat"
    assert provider.calls == []


async def test_a_key_can_forbid_it(start_proxy, provider, tmp_path):
    """`cloud: false` is a 503 as a last resort and a 403 by name; nothing is sent."""
    key, line = new_key("alice", "laptop")
    (tmp_path / "keys.yaml").write_text(line.replace("}", ", cloud: false}"))
    proxy = await start_proxy(dead(), cloud(provider), auth={"keys_file": tmp_path / "keys.yaml"})
    headers = {"authorization": f"Bearer {key}"}
    assert (await ask(proxy, headers=headers)).status == 503
    refused = await ask(proxy, "cloud", headers)
    assert (refused.status, refused.error["code"]) == (403, "cloud_not_allowed")
    assert provider.calls == []


async def test_a_client_that_leaves_stops_the_provider(start_proxy, provider):
    """Its connection is closed while it is still generating."""
    proxy = await start_proxy(cloud(provider))
    long = [{"role": "user", "content": "long"}]
    async with proxy.dial() as client, asyncio.timeout(30):
        await client.post(CHAT, {"model": "cloud", "messages": long, "stream": True})
        _, headers = await client.reply_head()
        client.hang_up()
        await provider.has_left.wait()
    record = await proxy.settled(headers["x-request-id"])
    assert (record["outcome"], record["cost_usd"]) == ("cancelled", None)
