"""The leg through a real litellm to local providers: replies, streams, errors, cancellation, prices."""

import asyncio
import json
import socket

import pytest
from litellm_provider import Provider, needs_litellm

from jevons.proxy.errors import UpstreamError, UpstreamUnavailable
from jevons.proxy.exchange import Dialect, Endpoint, Timeouts, Upstream
from jevons.proxy.upstreams.client import UpstreamClient
from jevons.proxy.upstreams.litellm_leg import LitellmLeg
from jevons.proxy.upstreams.litellm_library import find_problem

pytestmark = [needs_litellm, pytest.mark.filterwarnings("default")]  # litellm's own warnings are not ours
MODEL = "openai/gpt-4o-mini"
PROVIDERS = {MODEL: "/v1", "ollama_chat/llama3.2:3b": ""}


@pytest.fixture
async def provider():
    async with Provider().running() as running:
        yield running


@pytest.fixture
async def client():
    async with UpstreamClient() as running:
        yield running


def upstream(provider, model=MODEL, key="the-key"):
    url = provider if isinstance(provider, str) else provider.url + PROVIDERS[model]
    return Upstream("cloud", url, model, dialect=Dialect.LITELLM, api_key=key, timeouts=Timeouts(connect_seconds=5))


async def send(client, target, word="hi", endpoint=Endpoint.CHAT, **fields):
    body = {"model": target.model, "messages": [{"role": "user", "content": word}], **fields}
    async with asyncio.timeout(60):
        return await client.send(target, endpoint, json.dumps(body).encode(), "application/json", {})


async def events(reply):
    text = (await reply.read()).decode()
    return [line.removeprefix("data: ") for line in text.split("\n\n") if line]


@pytest.mark.parametrize("model", PROVIDERS)
async def test_a_whole_reply_is_of_openais_shape(client, provider, model):
    """Whatever the provider speaks, text and usage come as chat completions."""
    reply = await send(client, upstream(provider, model))
    whole = json.loads(await reply.read())
    assert (reply.status, reply.is_stream) == (200, False)
    assert whole["choices"][0]["message"]["content"] == "hello there"
    assert (whole["usage"]["prompt_tokens"], whole["usage"]["completion_tokens"]) == (50, 70)


@pytest.mark.parametrize("model", PROVIDERS)
async def test_a_stream_is_of_openais_shape(client, provider, model):
    """Chunks as events, with the usage where it was asked for, and the word that all has come."""
    reply = await send(client, upstream(provider, model), stream=True, stream_options={"include_usage": True})
    *chunks, end = await events(reply)
    parsed = [json.loads(chunk) for chunk in chunks]
    text = "".join(choice["delta"].get("content") or "" for chunk in parsed for choice in chunk["choices"])
    assert (end, text.strip(), reply.is_stream) == ("[DONE]", "w0 w1 w2 w3", True)
    assert [chunk["usage"]["completion_tokens"] for chunk in parsed if chunk.get("usage")] == [70]


@pytest.mark.parametrize("is_stream", [False, True])
async def test_the_price_is_that_of_the_list(client, provider, is_stream):
    """By litellm's own list for the model: 0.15 and 0.60 USD per million tokens; of a model without a price it is unknown."""
    options = {"stream": True, "stream_options": {"include_usage": True}} if is_stream else {}
    priced = await send(client, upstream(provider), **options)
    unpriced = await send(client, upstream(provider, "ollama_chat/llama3.2:3b"), **options)
    await priced.read()
    await unpriced.read()
    assert priced.cost_usd == pytest.approx(50 * 0.15e-6 + 70 * 0.60e-6)
    assert unpriced.cost_usd is None


async def test_only_the_configuration_says_where_and_with_which_key(client, provider):
    """Fields of the request that litellm would obey never reach it."""
    hostile = {"api_base": "http://127.0.0.1:1/v1", "api_key": "stolen", "base_url": "http://127.0.0.1:1/v1"}
    hostile |= {"custom_llm_provider": "ollama", "mock_response": "mocked", "extra_headers": {"x-evil": "1"}, "fallbacks": ["x"]}
    reply = await send(client, upstream(provider), **hostile, seed=7)
    assert json.loads(await reply.read())["choices"][0]["message"]["content"] == "hello there"
    ((key, body),) = provider.calls
    assert key == "Bearer the-key"
    assert body == {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}], "seed": 7}


async def test_a_key_of_the_environment_goes_nowhere(client, provider, monkeypatch):
    """Without a key in the configuration the provider gets none of this process's."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-environment")
    await (await send(client, upstream(provider, key=None))).read()
    assert provider.calls[0][0] == "Bearer none"


@pytest.mark.parametrize("model", PROVIDERS)
async def test_closing_the_reply_closes_the_providers_connection(client, provider, model):
    """A client that leaves stops the generation: the provider sees its connection go."""
    reply = await send(client, upstream(provider, model), "long", stream=True)
    assert await reply.next_block()
    reply.close()
    async with asyncio.timeout(10):
        await provider.has_left.wait()


async def test_a_provider_that_is_told_to_wait_is_not_read(client, provider):
    """What a slow client has not taken is bounded; when it reads on, the stream goes on."""
    reply = await send(client, upstream(provider), "long", stream=True)
    reply._source.pause()
    await asyncio.sleep(0.2)
    while reply._blocks:
        await reply.next_block()
    reply._source.resume()
    async with asyncio.timeout(10):
        assert await reply.next_block()
    reply.close()


@pytest.mark.parametrize(("status", "code"), [(400, None), (429, "rate_limit_exceeded")])
async def test_what_the_provider_refuses_is_told(client, provider, status, code, capsys):
    """With its status, in OpenAI's shape, without the key, and nothing is printed."""
    reply = await send(client, upstream(provider), str(status))
    error = json.loads(await reply.read())["error"]
    assert (reply.status, error["code"]) == (status, code)
    assert "the-key" not in error["message"]
    assert reply.headers["retry-after"] == "7"
    captured = capsys.readouterr()
    assert "litellm" not in captured.out.lower()


@pytest.mark.parametrize("status", [401, 500])
async def test_what_is_the_operators_is_no_clients_error(client, provider, status):
    """A key that is not accepted, and a failure, are the upstream's."""
    with pytest.raises(UpstreamError) as raised:
        await send(client, upstream(provider), str(status))
    assert raised.value.status == 502
    assert "the-key" not in raised.value.message


@pytest.mark.parametrize("model", PROVIDERS)
async def test_a_provider_that_cannot_be_reached(client, model):
    """It is unavailable, so that the next candidate is asked."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(UpstreamUnavailable):
            await send(client, upstream(url, model))


async def test_a_stream_that_breaks_off(client, provider):
    """It does not look complete."""
    reply = await send(client, upstream(provider), "break", stream=True)
    received = []

    def take(block):
        received.append(block)
        return True

    with pytest.raises(UpstreamError):
        await reply.pump(take)
    assert b"w1" in b"".join(received)
    assert b"[DONE]" not in b"".join(received)


async def test_other_endpoints_are_refused(client, provider):
    """A 400 that says which there is, and nothing is sent."""
    reply = await send(client, upstream(provider), endpoint=Endpoint.RESPONSES)
    assert reply.status == 400
    assert "/v1/chat/completions" in (await reply.read()).decode()
    assert provider.calls == []


async def test_a_leg_that_was_never_needed_imports_nothing():
    """Closing it is no work, and there is no thread."""
    leg = LitellmLeg()
    await leg.close()
    assert not leg._thread.is_alive()
    assert find_problem() is None
