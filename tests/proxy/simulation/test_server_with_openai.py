"""The simulated server under the real `openai` client: what it parses is what real servers send."""

import json

import openai
import pytest
from simulated_upstream import MODEL

from jevons.proxy.exchange import Reasoning
from jevons.proxy.simulation.quirks import Quirks

pytest_plugins = ["simulation_fixture"]

ASK = [{"role": "user", "content": "Why is the sky blue?"}]
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.fixture
async def connect(start_upstream):
    """A client of a server with these options."""
    clients = []

    async def connect(**options):
        upstream = await start_upstream(**options)
        clients.append(openai.AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key="none", max_retries=0))
        return clients[-1]

    yield connect
    for client in clients:
        await client.close()


async def test_chat(connect):
    """A plain reply has n choices, logprobs and usage with its details."""
    client = await connect(thinks=Reasoning.ALWAYS)
    reply = await client.chat.completions.create(model=MODEL, messages=ASK, n=2, logprobs=True, top_logprobs=2, max_tokens=2500)
    assert [choice.index for choice in reply.choices] == [0, 1]
    assert reply.choices[0].message.content
    assert reply.choices[0].message.reasoning_content
    assert len(reply.choices[0].logprobs.content[0].top_logprobs) == 2
    tokens = sum(len(choice.logprobs.content) for choice in reply.choices)
    assert reply.usage.completion_tokens == tokens
    assert 0 < reply.usage.completion_tokens_details.reasoning_tokens < tokens


async def test_a_chat_stream(connect):
    """Streamed chunks have thinking first, then the answer, then the usage."""
    client = await connect(thinks=Reasoning.ALWAYS)
    stream = await client.chat.completions.create(model=MODEL, messages=ASK, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    is_thinking = [getattr(delta, "reasoning_content", None) is not None for delta in deltas[1:]]
    assert is_thinking == sorted(is_thinking, reverse=True)
    assert chunks[-1].usage.completion_tokens == len(deltas) - 1
    assert chunks[-1].usage.completion_tokens_details.reasoning_tokens == sum(is_thinking)


async def test_tools(connect):
    """The stream helper assembles the same call that the plain reply has."""
    client = await connect()
    options = {"model": MODEL, "messages": ASK, "tools": [TOOL], "tool_choice": "required"}
    reply = await client.chat.completions.create(**options)
    [call] = reply.choices[0].message.tool_calls
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments)["city"]
    async with client.chat.completions.stream(**options) as stream:
        streamed = await stream.get_final_completion()
    assert streamed.choices[0].message.tool_calls[0].function.arguments == call.function.arguments
    assert streamed.choices[0].finish_reason == "tool_calls"


async def test_completions(connect):
    """Two prompts give two choices, and a stream gives the same text."""
    client = await connect()
    reply = await client.completions.create(model=MODEL, prompt=["One", "Two"], max_tokens=8)
    assert [choice.finish_reason for choice in reply.choices] == ["length", "length"]
    stream = await client.completions.create(model=MODEL, prompt="One", max_tokens=8, stream=True)
    assert "".join([chunk.choices[0].text async for chunk in stream]) == reply.choices[0].text


async def test_responses(connect):
    """The client's own assembly of the stream is the response that a plain call gives."""
    client = await connect(thinks=Reasoning.ALWAYS)
    reply = await client.responses.create(model=MODEL, input="Why?")
    assert [item.type for item in reply.output] == ["reasoning", "message"]
    assert reply.usage.output_tokens_details.reasoning_tokens > 0
    async with client.responses.stream(model=MODEL, input="Why?") as stream:
        async for _event in stream:
            pass
        final = await stream.get_final_response()
    assert final.output_text == reply.output_text
    assert final.usage == reply.usage.model_copy(update={"input_tokens_details": final.usage.input_tokens_details})


async def test_embeddings(connect):
    """The client asks for base64 and gets numbers."""
    client = await connect()
    reply = await client.embeddings.create(model=MODEL, input=["one", "two"])
    assert [len(item.embedding) for item in reply.data] == [64, 64]
    assert reply.usage.prompt_tokens == 2


async def test_models(connect):
    """The list names the one model."""
    client = await connect()
    assert [model.id async for model in client.models.list()] == [MODEL]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, openai.BadRequestError), (429, openai.RateLimitError), (503, openai.InternalServerError)],
)
async def test_errors_become_the_clients_own(connect, status, kind):
    """Each status raises the client's exception for it."""
    client = await connect(quirks=Quirks(error_status=status))
    with pytest.raises(kind, match="simulated failure"):
        await client.chat.completions.create(model=MODEL, messages=ASK)


async def test_a_server_that_dies_is_a_connection_error(connect):
    """A stream that breaks off raises; it does not look complete."""
    client = await connect(quirks=Quirks(dies_after_tokens=3))
    stream = await client.chat.completions.create(model=MODEL, messages=ASK, stream=True)
    with pytest.raises(openai.APIConnectionError):
        async for _chunk in stream:
            pass
