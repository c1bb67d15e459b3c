"""The leg through a real litellm to local providers: replies, streams, errors, cancellation, prices."""

import asyncio
import json
import socket
import sys
from asyncio.subprocess import PIPE

import pytest
from anthropic_messages import TOOL
from litellm_provider import Provider, needs_litellm

from jevons.proxy.errors import UpstreamError, UpstreamUnavailable
from jevons.proxy.exchange import Dialect, Endpoint, Timeouts, Upstream
from jevons.proxy.upstreams.client import UpstreamClient
from jevons.proxy.upstreams.litellm_leg import LitellmLeg
from jevons.proxy.upstreams.litellm_library import find_problem

pytestmark = [needs_litellm, pytest.mark.filterwarnings("default")]  # litellm's own warnings are not ours
MODEL = "openai/gpt-4o-mini"
CLAUDE = "anthropic/claude-sonnet-4-5"
PROVIDERS = {MODEL: "/v1", "ollama_chat/llama3.2:3b": "", CLAUDE: ""}
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]


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


@pytest.mark.parametrize("model", [MODEL, CLAUDE])
@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(("status", "code"), [(400, None), (429, "rate_limit_exceeded")])
async def test_what_the_provider_refuses_is_told(client, provider, model, is_stream, status, code, capsys):
    """With its status, in OpenAI's shape, without the key, and nothing is printed."""
    reply = await send(client, upstream(provider, model), str(status), stream=is_stream)
    error = json.loads(await reply.read())["error"]
    assert (reply.status, error["code"]) == (status, code)
    assert "the-key" not in error["message"]
    assert reply.headers["retry-after"] == "7"
    captured = capsys.readouterr()
    assert "litellm" not in captured.out.lower()


@pytest.mark.parametrize("model", [MODEL, CLAUDE])
@pytest.mark.parametrize("status", [401, 500, 529])
async def test_what_is_the_operators_is_no_clients_error(client, provider, model, status):
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


@pytest.mark.parametrize("model", [MODEL, CLAUDE])
async def test_a_stream_that_breaks_off(client, provider, model):
    """It does not look complete; Anthropic's says so in an event."""
    reply = await send(client, upstream(provider, model), "break", stream=True)
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


async def test_a_call_of_a_tool_comes_back_in_openais_shape(client, provider):
    """Anthropic's block becomes a `tool_calls` entry; its schema, the system's word and the limit went out in its own shape."""
    target = upstream(provider, CLAUDE)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What weather has Lima?"}]
    reply = await send(client, target, messages=messages, tools=TOOLS, max_tokens=99)
    choice = json.loads(await reply.read())["choices"][0]
    (call,) = choice["message"]["tool_calls"]
    assert (choice["finish_reason"], call["function"]["name"], json.loads(call["function"]["arguments"])) == (
        "tool_calls",
        "weather",
        TOOL,
    )
    ((key, sent),) = provider.calls
    assert (key, sent["model"], sent["max_tokens"]) == ("the-key", "claude-sonnet-4-5", 99)
    assert "Be brief." in json.dumps(sent["system"])
    assert sent["tools"][0]["input_schema"]["properties"] == {"city": {"type": "string"}}


async def test_a_streamed_call_of_a_tool(client, provider):
    """Its arguments come in parts, which together are what Anthropic sent; then the reason, the usage and the end."""
    options = {"stream": True, "stream_options": {"include_usage": True}, "tools": TOOLS}
    *chunks, end = await events(await send(client, upstream(provider, CLAUDE), **options))
    parsed = [json.loads(chunk) for chunk in chunks]
    choices = [choice for chunk in parsed for choice in chunk["choices"]]
    calls = [call["function"] for choice in choices for call in choice["delta"].get("tool_calls") or ()]
    assert [call["name"] for call in calls if call.get("name")] == ["weather"]
    assert json.loads("".join(call.get("arguments") or "" for call in calls)) == TOOL
    assert [choice["finish_reason"] for choice in choices if choice.get("finish_reason")] == ["tool_calls"]
    assert [chunk["usage"]["prompt_tokens"] for chunk in parsed if chunk.get("usage")] == [50]
    assert end == "[DONE]"


async def test_the_result_of_a_tool_goes_back(client, provider):
    """The second turn: OpenAI's `tool` message is Anthropic's `tool_result`, of the same call."""
    call = {"id": "toolu_1", "type": "function", "function": {"name": "weather", "arguments": json.dumps(TOOL)}}
    messages = [
        {"role": "user", "content": "What weather has Lima?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "toolu_1", "content": "drizzle"},
    ]
    reply = await send(client, upstream(provider, CLAUDE), messages=messages, tools=TOOLS)
    assert reply.status == 200
    ((_, sent),) = provider.calls
    assert sent["messages"][1]["content"][-1] == {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": TOOL}
    result = sent["messages"][2]["content"][0]
    assert (result["type"], result["tool_use_id"], "drizzle" in json.dumps(result["content"])) == ("tool_result", "toolu_1", True)


@pytest.mark.parametrize("is_stream", [False, True])
async def test_the_price_of_anthropics_tokens(client, provider, is_stream):
    """By litellm's list for the model: 3 and 15 USD per million tokens, whole and streamed."""
    options = {"stream": True, "stream_options": {"include_usage": True}} if is_stream else {}
    reply = await send(client, upstream(provider, CLAUDE), **options)
    await reply.read()
    assert reply.cost_usd == pytest.approx(50 * 3e-6 + 70 * 15e-6)


ALONE = """
import asyncio, json, sys

url, *models = sys.argv[1:]
port, tried = int(url.rpartition(":")[2]), []

def refuse(event, arguments):
    if event == "socket.getaddrinfo":
        host, at = arguments[:2]
    elif event in {"socket.connect", "socket.sendto", "socket.sendmsg"} and isinstance(arguments[1], tuple):
        host, at = arguments[1][:2]
    else:
        return
    if (host, at) != ("127.0.0.1", port):
        tried.append([event, str(host), at])
        raise ConnectionRefusedError

sys.addaudithook(refuse)

from jevons.proxy.errors import RequestError
from jevons.proxy.exchange import Dialect, Endpoint, Timeouts, Upstream
from jevons.proxy.upstreams.client import UpstreamClient

async def ask_all():
    statuses = []
    async with UpstreamClient() as client:
        for model in models:
            base = url + "/v1" if model.startswith("openai/") else url
            upstream = Upstream("cloud", base, model, dialect=Dialect.LITELLM, timeouts=Timeouts(connect_seconds=5))
            for word in ("hi", "429", "500"):
                for is_stream in (False, True):
                    body = {"model": model, "messages": [{"role": "user", "content": word}], "stream": is_stream}
                    try:
                        reply = await client.send(upstream, Endpoint.CHAT, json.dumps(body).encode(), "application/json", {})
                        await reply.read()
                        statuses.append(reply.status)
                    except RequestError as error:
                        statuses.append(error.status)
    return statuses

print(json.dumps([asyncio.run(ask_all()), tried]))
"""
ASKED = [MODEL, "openai/nobody-knows-this", "ollama_chat/llama3.2:3b", "ollama_chat/mine:8b", CLAUDE, "anthropic/claude-mine"]


async def test_its_use_contacts_nobody_but_the_provider(provider):
    """No Ollama on its usual port, no list of prices, no telemetry: of a process of its own every other address is refused."""
    command = [sys.executable, "-c", ALONE, provider.url, *ASKED]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
    out, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    statuses, tried = json.loads(out.splitlines()[-1])
    assert tried == []
    assert [statuses[place : place + 2] for place in range(0, len(statuses), 6)] == [[200, 200]] * len(ASKED)
    assert statuses[8:12] == [429, 429, 502, 502]
    assert len(provider.calls) == len(statuses)
