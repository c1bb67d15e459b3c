"""The simulated server over real HTTP: every endpoint, its errors, and its truth."""

import asyncio
import json

import aiohttp
import pytest
from simulated_upstream import MODEL, chat, until

from jevons.proxy.exchange import Endpoint, Reasoning
from jevons.proxy.simulation.quirks import ErrorShape, Hang, Quirks

pytest_plugins = ["simulation_fixture"]

MESSAGES = {"max_tokens": 2000, **chat()}
BODIES = {
    "/v1/chat/completions": chat(),
    "/v1/completions": {"prompt": "Hello"},
    "/v1/responses": {"input": "Hello"},
    "/v1/messages": MESSAGES,
    "/v1/messages/count_tokens": chat(),
    "/v1/embeddings": {"input": ["Hello", "there"]},
    "/v1/rerank": {"query": "Hello", "documents": ["Hello", "you"]},
    "/rerank": {"query": "Hello", "documents": ["Hello", "you"]},
    "/v2/rerank": {"query": "Hello", "documents": ["Hello", "you"]},
}
GENERATING = ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"]


@pytest.mark.parametrize("path", BODIES)
async def test_every_endpoint_answers(start_upstream, path):
    """Each endpoint gives JSON, echoes the request id and, where it worked, charges it."""
    upstream = await start_upstream(thinks=Reasoning.ALWAYS)
    status, headers, body = await upstream.post(path, BODIES[path], headers={"X-Request-Id": "me"})
    assert status == 200
    assert body
    assert headers["X-Request-Id"] == "me"
    status, truth = await upstream.get("/simulation/truth/me")
    if path == "/v1/messages/count_tokens":
        assert status == 404
    else:
        assert truth["joules"] > 0


@pytest.mark.parametrize("path", GENERATING)
async def test_every_generating_endpoint_streams(start_upstream, path):
    """The stream echoes the request id and ends as its kind does."""
    upstream = await start_upstream()
    events = await upstream.stream(path, BODIES[path], headers={"X-Request-Id": "me"})
    name, data = events[-1]
    assert (data if data == "[DONE]" else name) in {"[DONE]", "response.completed", "message_stop"}
    assert "me" in upstream.server.engine.scheduler.truth


async def test_the_truth_is_the_energy_of_the_steps(start_upstream):
    """Over requests of all kinds at once, the truths sum to the energy of the engine's steps."""
    upstream = await start_upstream(thinks=Reasoning.SWITCHABLE)
    bodies = [chat(f"Question {number}", n=1 + number % 2, max_tokens=40) for number in range(10)]
    await asyncio.gather(*(upstream.post("/v1/chat/completions", body) for body in bodies))
    await upstream.post("/v1/embeddings", {"input": "Hello"})
    scheduler = upstream.server.engine.scheduler
    assert len(scheduler.truth) == 11
    assert sum(scheduler.truth.values()) == pytest.approx(scheduler.joules)
    _, state = await upstream.get("/simulation/state")
    assert state["joules"] == pytest.approx(scheduler.joules)
    assert (state["running"], state["waiting"], state["cancelled"]) == (0, 0, [])


async def test_usage_is_what_the_engine_did(start_upstream):
    """The counts in the reply are those of the scheduler, so a proxy that trusts them is right."""
    upstream = await start_upstream(thinks=Reasoning.ALWAYS)
    _, _, body = await upstream.post("/v1/chat/completions", chat(n=2, max_tokens=100))
    scheduler = upstream.server.engine.scheduler
    assert body["usage"]["completion_tokens"] == scheduler.output_tokens == 200
    assert body["usage"]["completion_tokens_details"]["reasoning_tokens"] == 200
    assert body["usage"]["prompt_tokens"] == 8


async def test_a_repeated_prompt_is_cached(start_upstream):
    """The second time, whole blocks of the prompt are neither read nor paid for, and usage says so."""
    upstream = await start_upstream()
    body = chat("word " * 100, max_tokens=1)
    first, second = [await upstream.post("/v1/chat/completions", body, headers={"X-Request-Id": name}) for name in "ab"]
    assert first[2]["usage"]["prompt_tokens_details"]["cached_tokens"] == 0
    assert second[2]["usage"]["prompt_tokens_details"]["cached_tokens"] == 96
    truth = upstream.server.engine.scheduler.truth
    assert truth["b"] < truth["a"]


async def test_the_thinking_switch_saves_energy(start_upstream):
    """With thinking switched off the same question takes a fraction of tokens and joules."""
    upstream = await start_upstream(thinks=Reasoning.SWITCHABLE)
    for name, wanted in (("on", True), ("off", False)):
        body = chat(chat_template_kwargs={"enable_thinking": wanted})
        await upstream.post("/v1/chat/completions", body, headers={"X-Request-Id": name})
    truth = upstream.server.engine.scheduler.truth
    assert truth["on"] > 5 * truth["off"]


async def test_responses_can_be_continued(start_upstream):
    """A response that was stored may be continued; another id, or one not stored, is not found."""
    upstream = await start_upstream()
    _, _, first = await upstream.post("/v1/responses", {"input": "Hello", "max_output_tokens": 2})
    assert first["status"] == "incomplete"
    follow_up = {"input": "And?", "previous_response_id": first["id"], "store": False}
    status, _, second = await upstream.post("/v1/responses", follow_up)
    assert status == 200
    status, _, error = await upstream.post("/v1/responses", {"input": "?", "previous_response_id": second["id"]})
    assert status == 404
    assert error["error"]["param"] == "response_id"


async def test_transcriptions_take_a_form(start_upstream):
    """Sound comes as a form, streamed or not; without a file the form is refused."""
    upstream = await start_upstream()

    def form(**fields):
        data = aiohttp.FormData({"model": MODEL, **fields})
        data.add_field("file", b"\0" * 64_000, filename="sound.wav")
        return data

    url = upstream.url + Endpoint.TRANSCRIPTIONS.value
    async with upstream.session.post(url, data=form()) as response:
        body = await response.json()
    assert body["text"]
    assert body["usage"]["seconds"] == 3
    async with upstream.session.post(url, data=form(stream="true")) as response:
        assert (await response.read()).endswith(b"data: [DONE]\n\n")
    async with upstream.session.post(url, data={"model": MODEL}) as response:
        assert response.status == 400


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "other", **chat()}, 404, "model"),
        ({"messages": []}, 400, "messages"),
        ({**chat("word " * 1000, max_tokens=1000)}, 400, None),
        ({**chat(), "stream_options": {"include_usage": True}}, 400, "stream_options"),
    ],
)
async def test_errors_in_the_servers_words(start_upstream, body, status, param):
    """Wrong model, no messages, too long, options without a stream: each with its status and field."""
    upstream = await start_upstream()
    upstream.server.context_tokens = 1500
    given, headers, error = await upstream.post("/v1/chat/completions", body, headers={"X-Request-Id": "me"})
    assert given == status
    assert error["error"]["param"] == param
    assert headers["X-Request-Id"] == "me"


@pytest.mark.parametrize("raw", [b"{", b"[1]", b"\xff"])
async def test_a_body_that_is_no_object_is_refused(start_upstream, raw):
    """Broken JSON, another kind of JSON, and bytes that are no text give 400."""
    upstream = await start_upstream()
    async with upstream.session.post(upstream.url + "/v1/chat/completions", data=raw) as response:
        assert response.status == 400
        assert "error" in await response.json()


async def test_the_server_says_what_it_is(start_upstream):
    """Models, health, version and metrics are those of the server it plays."""
    upstream = await start_upstream()
    _, models = await upstream.get("/v1/models")
    assert (models["data"][0]["id"], models["data"][0]["owned_by"]) == (MODEL, "vllm")
    assert (await upstream.get("/version"))[1] == {"version": "0.0.0+simulated"}
    for path in ("/health", "/metrics"):
        async with upstream.session.get(upstream.url + path) as response:
            assert response.status == 200
    other = await start_upstream(owned_by="llamacpp")
    assert (await other.get("/version"))[0] == 404
    assert (await other.get("/nowhere"))[0] == 404


async def test_a_key_is_asked_for(start_upstream):
    """With a key set, what has another or none is refused, and health needs none."""
    upstream = await start_upstream(api_key="secret")
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer secret"}, 200),
        ({"x-api-key": "secret"}, 200),
    ):
        assert (await upstream.post("/v1/completions", {"prompt": "Hi"}, headers=headers))[0] == status
    async with upstream.session.get(upstream.url + "/health") as response:
        assert response.status == 200


async def test_the_server_remembers_what_it_received(start_upstream):
    """Tests can look at the bytes and headers that arrived, as many as asked."""
    upstream = await start_upstream(remembers=1)
    await upstream.post("/v1/completions", {"prompt": "Hi"})
    await upstream.post("/v1/chat/completions", chat(), headers={"X-Mine": "1"})
    [received] = upstream.server.received
    assert received.path == "/v1/chat/completions"
    assert received.headers["X-Mine"] == "1"
    assert json.loads(received.body) == {"model": MODEL, **chat()}


@pytest.mark.parametrize("path", BODIES.keys() - {"/v1/messages/count_tokens"})
async def test_a_failing_server_fails_everywhere(start_upstream, path):
    """The error quirk answers every endpoint with its status, shape and Retry-After."""
    quirks = Quirks(error_status=503, error_shape=ErrorShape.STRING, retry_after_seconds=2)
    upstream = await start_upstream(quirks=quirks)
    status, headers, body = await upstream.post(path, BODIES[path])
    assert status == 503
    assert headers["Retry-After"] == "2"
    assert body == {"error": "simulated failure"}


@pytest.mark.parametrize("field", ["stream_options", "chat_template_kwargs", "logprobs"])
async def test_a_strict_server_refuses_what_it_does_not_know(start_upstream, field):
    """422 with a detail that names the field, and nothing of the kind without it."""
    upstream = await start_upstream(quirks=Quirks(refuses_unknown_fields=True))
    status, _, body = await upstream.post("/v1/chat/completions", chat(stream=True, **{field: {}}))
    assert status == 422
    assert field in body["detail"]
    assert (await upstream.post("/v1/chat/completions", chat(max_tokens=3)))[0] == 200


@pytest.mark.parametrize("is_streamed", [True, False])
@pytest.mark.parametrize("hang", [Hang.BEFORE_HEADERS, Hang.BEFORE_FIRST_CHUNK, Hang.NEVER])
@pytest.mark.parametrize("path", GENERATING)
async def test_a_client_that_leaves_cancels(start_upstream, simulated_gpu, path, hang, is_streamed):
    """At every stage and on every endpoint, leaving takes the request out of the engine."""
    upstream = await start_upstream(quirks=Quirks(hang=hang), thinks=Reasoning.ALWAYS)
    engine = upstream.server.engine
    body = {"model": MODEL, **BODIES[path], "stream": is_streamed, "max_tokens": 100_000}

    async def ask():
        async with upstream.session.post(upstream.url + path, json=body, headers={"X-Request-Id": "me"}) as response:
            await response.read()

    task = asyncio.create_task(ask())
    await until(lambda: engine.scheduler.waiting if hang is not Hang.NEVER else engine.scheduler.output_tokens > 3)
    task.cancel()
    await asyncio.wait([task])
    await until(lambda: engine.cancelled)
    assert list(engine.cancelled) == ["me"]
    assert engine.scheduler.running == engine.scheduler.waiting == 0
    assert (engine.scheduler.truth["me"] > 0) is (hang is Hang.NEVER)


async def test_embeddings_can_hang_and_be_left(start_upstream):
    """Prompt work hangs in the queue like everything else."""
    upstream = await start_upstream(quirks=Quirks(hang=Hang.BEFORE_HEADERS))
    task = asyncio.create_task(upstream.post("/v1/embeddings", {"input": "Hi"}, headers={"X-Request-Id": "me"}))
    await until(lambda: upstream.server.engine.scheduler.waiting)
    task.cancel()
    await asyncio.wait([task])
    await until(lambda: list(upstream.server.engine.cancelled) == ["me"])


async def test_a_full_batch_makes_the_rest_wait(start_upstream):
    """With a batch of two, six requests are all answered, never more than two at a time."""
    upstream = await start_upstream(max_batch=2)
    tasks = [asyncio.create_task(upstream.post("/v1/completions", {"prompt": f"{number}"})) for number in range(6)]
    await until(lambda: upstream.server.engine.scheduler.waiting)
    assert upstream.server.engine.scheduler.running <= 2
    assert [status for status, _, _ in await asyncio.gather(*tasks)] == [200] * 6


async def test_answers_of_a_given_length(start_upstream):
    """A prompt whose length is given is answered at that length, thinking included, and no longer than the client allows."""
    upstream = await start_upstream(thinks=Reasoning.ALWAYS, lengths={"Say hello.": 700})
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "Say hello."}]}
    for body, tokens in ((asked, 700), ({**asked, "max_tokens": 90}, 90)):
        status, _, reply = await upstream.post("/v1/chat/completions", body)
        assert (status, reply["usage"]["completion_tokens"]) == (200, tokens)


async def test_a_server_without_metrics(start_upstream):
    """Some have none."""
    upstream = await start_upstream(has_metrics=False)
    status, _ = await upstream.get("/metrics")
    assert status == 404
