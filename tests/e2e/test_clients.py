"""The real `openai` client through the real process, configured by the shipped config.yaml: what it parses, and its joules."""

from __future__ import annotations

import json
import re
import time

import openai
import pytest
from jevons_process import CHAT_MODEL, THINKER_MODEL, final_record, get, until

ASK = [{"role": "user", "content": "What is the capital of Peru?"}]
AN_IDLE_BIN_SECONDS = 1.0
"""With nobody in flight: until such a bin has settled, one that is partly idle is divided by time, which is too little."""
PROVE = [{"role": "user", "content": "Prove that there are infinitely many primes."}]
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.fixture
def client(proxy):
    """The client of the documentation, which repeats nothing of its own accord."""
    with openai.OpenAI(base_url=f"{proxy.main}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
async def async_client(proxy):
    """The same, for asyncio."""
    async with openai.AsyncOpenAI(base_url=f"{proxy.main}/v1", api_key="none", max_retries=0) as client:
        yield client


def assert_energy(energy):
    """An energy object of a reply that was just made, on a simulated GPU."""
    assert energy.keys() == {"joules", "low", "high", "method", "status", "scope", "quality"}
    assert 0.0 < energy["low"] <= energy["joules"] <= energy["high"]
    assert (energy["method"], energy["scope"]) == ("simulated", "gpu")
    assert energy["status"] in {"provisional", "final"}


def test_chat(client):
    """A reply has its energy in `usage`, the headers say who answered and why, and the model keeps its own name."""
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=ASK, max_tokens=20)
    reply = raw.parse()
    assert reply.model == CHAT_MODEL
    assert reply.usage.completion_tokens == 20
    energy = reply.usage.model_extra["energy"]
    assert_energy(energy)
    assert reply.usage.energy == energy
    assert raw.headers["x-jevons-upstream"] == "chat"
    assert re.fullmatch(r"difficulty:0\.\d\d;to=chat", raw.headers["x-jevons-route"])
    assert float(raw.headers["x-jevons-energy-joules"]) == pytest.approx(energy["joules"], abs=1e-6)
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.headers["x-jevons-version"]


def test_the_record_of_a_request(client, proxy):
    """What was provisional in the reply becomes final by id, with the tokens, the route and every try."""
    raw = client.chat.completions.with_raw_response.create(
        model="auto", messages=PROVE, max_tokens=40, extra_headers={"x-request-id": "mine"}
    )
    record = final_record(proxy.main, raw.headers["x-request-id"])
    assert record["client_request_id"] == "mine"
    assert (record["upstream"], record["model"], record["outcome"]) == ("thinker", THINKER_MODEL, "ok")
    assert record["route"] == raw.headers["x-jevons-route"] == "rules:proofs;to=thinker"
    assert record["tokens"]["completion"] == 40
    assert record["tokens"]["reasoning"] == 40
    assert_energy(record["energy"])
    [attempt] = record["attempts"]
    assert (attempt["upstream"], attempt["outcome"]) == ("thinker", "ok")
    assert attempt["energy"]["joules"] == pytest.approx(record["energy"]["joules"])


def test_energy_that_is_waited_for(client):
    """Who asks for the final value holds the reply for it."""
    reply = client.chat.completions.create(model="auto", messages=ASK, max_tokens=10, extra_headers={"x-jevons-energy": "final"})
    assert reply.usage.energy["status"] == "final"


def test_the_energy_is_about_what_the_simulator_consumed(client, proxy, models):
    """Alone on the GPU, a request is charged what its own steps took, to within what the counter resolves."""
    raw = client.chat.completions.with_raw_response.create(model="chat", messages=ASK)
    request_id = raw.headers["x-request-id"]
    record = final_record(proxy.main, request_id)
    _, truth = get(f"{models.chat.main}/simulation/truth/{request_id}")
    assert record["energy"]["joules"] == pytest.approx(truth["joules"], rel=0.25)


def test_a_stream(client):
    """Thinking comes first and the usage last, with the energy; no chunk is ours but that."""
    stream = client.chat.completions.create(
        model="thinker", messages=ASK, stream=True, max_tokens=30, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    *others, last = chunks
    assert last.choices == []
    assert last.usage.completion_tokens == 30
    assert_energy(last.usage.energy)
    assert all(chunk.usage is None for chunk in others)
    assert sum(bool(chunk.choices[0].delta.model_extra.get("reasoning_content")) for chunk in others) == 30


def test_a_stream_without_usage(client, proxy):
    """A client that did not ask for the usage does not get it, and its request is metered all the same."""
    raw = client.chat.completions.with_raw_response.create(model="chat", messages=ASK, stream=True, max_tokens=12)
    chunks = list(raw.parse())
    assert all(chunk.choices for chunk in chunks)
    assert all(chunk.usage is None for chunk in chunks)
    record = final_record(proxy.main, raw.headers["x-request-id"])
    assert record["tokens"]["completion"] == 12
    assert "tokens_estimated" not in record["energy"]["quality"]


def test_two_answers_with_their_probabilities(client):
    """`n` and `logprobs` come through, and both answers are on the bill."""
    reply = client.chat.completions.create(model="chat", messages=ASK, n=2, logprobs=True, top_logprobs=2, max_tokens=15)
    assert [choice.index for choice in reply.choices] == [0, 1]
    assert [len(choice.logprobs.content) for choice in reply.choices] == [15, 15]
    assert len(reply.choices[1].logprobs.content[0].top_logprobs) == 2
    assert reply.usage.completion_tokens == 30
    assert_energy(reply.usage.energy)


def test_tools(client):
    """A tool's call arrives whole, and the client assembles the same one from a stream."""
    options = {"model": "chat", "messages": ASK, "tools": [TOOL], "tool_choice": "required"}
    reply = client.chat.completions.create(**options)
    [call] = reply.choices[0].message.tool_calls
    assert json.loads(call.function.arguments)["city"]
    with client.chat.completions.stream(**options) as stream:
        streamed = stream.get_final_completion()
    assert streamed.choices[0].message.tool_calls[0].function.arguments == call.function.arguments


def test_responses(client):
    """The Responses API, whole and streamed: the energy is in its usage, and a follow-up goes to where the state is."""
    reply = client.responses.create(model="auto", input=PROVE[0]["content"], max_output_tokens=25)
    assert reply.model == THINKER_MODEL
    assert_energy(reply.usage.energy)
    follow_up = client.responses.with_raw_response.create(
        model="auto", input="Go on.", previous_response_id=reply.id, max_output_tokens=10
    )
    assert follow_up.headers["x-jevons-upstream"] == "thinker"
    with client.responses.stream(model="chat", input="Why?", max_output_tokens=15) as stream:
        final = list(stream)[-1].response
    assert final.output_text
    assert_energy(final.usage.energy)


def test_completions_and_embeddings(client):
    """The older completions and the embeddings carry their energy in `usage` too."""
    completion = client.completions.create(model="chat", prompt=["One", "Two"], max_tokens=8)
    assert [choice.finish_reason for choice in completion.choices] == ["length", "length"]
    assert_energy(completion.usage.energy)
    embeddings = client.embeddings.create(model="chat", input=["one " * 200, "two " * 200])
    assert [len(item.embedding) for item in embeddings.data] == [64, 64]
    assert "energy" in embeddings.usage.model_extra


def test_models(client):
    """The list names `auto`, the upstreams and their models."""
    assert {model.id for model in client.models.list()} == {"auto", "chat", "thinker", CHAT_MODEL, THINKER_MODEL}
    assert client.models.retrieve(THINKER_MODEL).id == THINKER_MODEL


def test_the_callers_own_word(client):
    """A pinned model, the tier of the header and the effort each decide before any rule."""
    pinned = client.chat.completions.with_raw_response.create(model=CHAT_MODEL, messages=PROVE, max_tokens=2)
    tier = client.chat.completions.with_raw_response.create(
        model="auto", messages=ASK, max_tokens=2, extra_headers={"x-jevons-tier": "reasoning"}
    )
    effort = client.chat.completions.with_raw_response.create(model="auto", messages=ASK, max_tokens=2, reasoning_effort="high")
    assert [raw.headers["x-jevons-upstream"] for raw in (pinned, tier, effort)] == ["chat", "thinker", "thinker"]


def test_errors_are_the_clients_own(client):
    """An unknown model and a bad request raise what they raise with OpenAI, with the request's id."""
    with pytest.raises(openai.NotFoundError, match="gpt-7") as unknown:
        client.chat.completions.create(model="gpt-7", messages=ASK)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    assert unknown.value.request_id.startswith("req_")
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="auto", messages="no list")


async def test_async_chat_and_stream(async_client):
    """The asynchronous client gets the same."""
    reply = await async_client.chat.completions.create(model="auto", messages=ASK, max_tokens=10)
    assert_energy(reply.usage.energy)
    stream = await async_client.chat.completions.create(
        model="auto", messages=ASK, stream=True, max_tokens=10, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert_energy(chunks[-1].usage.energy)
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert streamed == reply.choices[0].message.content


def assert_cancelled(proxy, server, request_id):
    """The engine has let go of the request, and its joules up to then are on its account."""
    until(lambda: request_id in get(f"{server.main}/simulation/state")[1]["cancelled"])
    record = final_record(proxy.main, request_id)
    assert record["outcome"] == "cancelled"
    assert record["energy"]["joules"] > 0.0
    assert record["tokens"]["completion"] > 0
    assert "tokens_estimated" in record["energy"]["quality"]
    return record


def test_a_client_that_leaves_a_stream(client, proxy, models):
    """Closing the stream stops the engine, and what it took until then is accounted for."""
    time.sleep(AN_IDLE_BIN_SECONDS)
    raw = client.chat.completions.with_raw_response.create(model="thinker", messages=PROVE, stream=True)
    stream = raw.parse()
    for _, _chunk in zip(range(20), stream, strict=False):
        pass
    stream.close()
    record = assert_cancelled(proxy, models.thinker, raw.headers["x-request-id"])
    _, truth = get(f"{models.thinker.main}/simulation/truth/{raw.headers['x-request-id']}")
    assert record["energy"]["joules"] == pytest.approx(truth["joules"], rel=0.4)


async def test_an_async_client_that_leaves_a_stream(async_client, proxy, models):
    """So does the asynchronous one."""
    raw = await async_client.chat.completions.with_raw_response.create(model="thinker", messages=PROVE, stream=True)
    stream = raw.parse()
    async for _chunk in stream:
        break
    await stream.close()
    until(lambda: raw.headers["x-request-id"] in get(f"{models.thinker.main}/simulation/state")[1]["cancelled"])
    assert final_record(proxy.main, raw.headers["x-request-id"])["outcome"] == "cancelled"


def test_a_client_that_gives_up_waiting(client, models):
    """Leaving before a reply in one piece is there stops the engine as well."""
    _, before = get(f"{models.thinker.main}/simulation/state")
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.3).chat.completions.create(model="thinker", messages=PROVE)
    until(lambda: len(get(f"{models.thinker.main}/simulation/state")[1]["cancelled"]) > len(before["cancelled"]))
    until(lambda: get(f"{models.thinker.main}/simulation/state")[1]["running"] == 0)
