"""Finding model servers, over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.exchange import Dialect, Reasoning
from jevons.proxy.upstreams.detection import (
    MAX_REPLY_BYTES,
    REASONING_BY_NAME,
    Found,
    FoundModel,
    can_chat,
    detect_dialect,
    detect_servers,
    guess_reasoning,
)

TRANSFORMERS_PAGE = {"paths": {path: {} for path in ("/v1/chat/completions", "/v1/models", "/health", "/load_model", "/reset")}}
OLDER_TRANSFORMERS_PAGE = {"paths": {path: {} for path in ("/v1/chat/completions", "/v1/responses", "/v1/models", "/health")}}


def listing(*models, **more):
    return {"object": "list", "data": [{"id": model, "object": "model", **more} for model in models]}


def answering(pages, *, headers=None, status=200, seen=None):
    """A server that answers GET on `pages` with JSON, or with a handler's own answer, and 404 elsewhere."""

    async def handle(request):
        if seen is not None:
            seen.append((request.method, request.path, request.headers.get("Authorization")))
        page = pages.get(request.path)
        if page is None:
            return web.Response(status=404)
        if callable(page):
            return await page(request)
        text = page if isinstance(page, str) else json.dumps(page)
        return web.Response(text=text, content_type="application/json", headers=headers, status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    return TestServer(app, host="127.0.0.1")


@pytest.fixture
async def serve():
    """Starts servers and stops them after the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(pages, **options):
            return await stack.enter_async_context(answering(pages, **options))

        yield start


@pytest.fixture
async def session():
    """A client session like the proxy's own."""
    async with aiohttp.ClientSession() as made:
        yield made


def base_url(server):
    return f"http://127.0.0.1:{server.port}/v1"


async def test_finds_servers_in_the_order_of_the_ports(session, serve):
    """Each server that lists models is found, with its dialect, its models and what it says of their context."""
    vllm = await serve({"/v1/models": listing("llama", "llama", "lora", owned_by="vllm", max_model_len=4096)})
    page = {"models": [], "data": [{"id": "gguf", "owned_by": "llamacpp", "meta": {"n_ctx": 8192, "n_embd": 1}}]}
    llama_cpp = await serve({"/v1/models": page})
    found = await detect_servers(session, (llama_cpp.port, unused_port(), vllm.port))
    assert found == [
        Found(base_url(llama_cpp), Dialect.LLAMA_CPP, (FoundModel("gguf", 8192),)),
        Found(base_url(vllm), Dialect.VLLM, (FoundModel("llama", 4096), FoundModel("lora", 4096))),
    ]


async def test_passes_over_itself(session, serve):
    """Another jevons is no model server."""
    server = await serve({"/v1/models": listing("auto", owned_by="vllm")}, headers={"x-jevons-version": "1"})
    assert await detect_servers(session, (server.port,)) == []
    assert await detect_dialect(session, base_url(server)) is Dialect.OPENAI


DEEP = '{"data": ' + "[" * 100_000


@pytest.mark.parametrize(
    "page",
    [
        "<html>hello</html>",
        "",
        "[]",
        "{}",
        DEEP,
        '{"data": 5}',
        '{"data": [{"name": "x"}]}',
        '{"data": []}',
        '{"data": [{"id": ""}]}',
        '{"data": [{"id": " "}]}',
        '{"data": [{"id": 5}]}',
        '{"data": [{"id": "\\ud8"}]}',
        "\x00",
    ],
    ids=range(13),
)
async def test_strangers_are_passed_over(session, serve, page):
    """Whatever else listens on the port, it is no model server and no error."""
    server = await serve({"/v1/models": page})
    assert await detect_servers(session, (server.port,)) == []


async def test_a_model_that_says_odd_things_of_itself_is_still_found(session, serve):
    """What a model says of itself in a way that cannot be is unknown, and hides neither it nor the others."""
    page = {"data": [{"id": "a", "max_model_len": 0, "meta": {"n_ctx": "4096"}}, {"id": "b", "meta": 5, "owned_by": ["vllm"]}]}
    server = await serve({"/v1/models": page})
    [found] = await detect_servers(session, (server.port,))
    assert found.models == (FoundModel("a"), FoundModel("b"))
    assert found.dialect is Dialect.OPENAI


async def test_refused_listing_is_no_find(session, serve):
    """A server that wants a key is left for the configuration, where a key can be given."""
    server = await serve({"/v1/models": listing("llama")}, status=401)
    assert await detect_servers(session, (server.port,)) == []


async def test_redirects_are_not_followed(session, serve):
    """A server on this machine cannot send the search elsewhere."""
    elsewhere = await serve({"/v1/models": listing("llama", owned_by="vllm")})

    async def redirect(_request):
        raise web.HTTPTemporaryRedirect(base_url(elsewhere) + "/models")

    server = await serve({"/v1/models": redirect})
    assert await detect_servers(session, (server.port,)) == []


async def test_endless_answers_are_cut(session, serve):
    """An answer without end is dropped once it is too large."""
    sent = 0

    async def endless(request):
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while sent < 64 * MAX_REPLY_BYTES:
                await response.write(b" " * 65536)
                sent += 65536
        return response

    server = await serve({"/v1/models": endless})
    assert await detect_servers(session, (server.port,)) == []
    assert sent < 64 * MAX_REPLY_BYTES


async def test_what_speaks_no_http_is_passed_over(session):
    """A port that answers with something else, or hangs up, is no model server."""

    async def talk(_reader, writer):
        writer.write(b"220 mail ready\r\n")
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await detect_servers(session, (port,)) == []
        assert await detect_dialect(session, f"http://127.0.0.1:{port}/v1") is Dialect.AUTO


async def test_a_server_that_hangs_is_passed_over(session):
    """A port that takes the connection and then says nothing holds up nobody for longer than the time allowed."""
    is_over = asyncio.Event()

    async def hang(_reader, writer):
        await is_over.wait()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await detect_servers(session, (port,), timeout_seconds=0.05) == []
        assert await detect_dialect(session, f"http://127.0.0.1:{port}/v1", timeout_seconds=0.05) is Dialect.AUTO
        is_over.set()


async def test_only_asks(session, serve):
    """Detection sends nothing but GET, and no credentials of its own."""
    seen = []
    server = await serve({"/v1/models": listing("llama")}, seen=seen)
    await detect_servers(session, (server.port,))
    assert {method for method, _, _ in seen} == {"GET"}
    assert {authorization for _, _, authorization in seen} == {None}


@pytest.mark.parametrize(
    ("owner", "dialect"),
    [
        ("vllm", Dialect.VLLM),
        ("sglang", Dialect.SGLANG),
        ("llamacpp", Dialect.LLAMA_CPP),
        ("library", Dialect.OLLAMA),
        ("deepseek", Dialect.DEEPSEEK),
        ("system", Dialect.OPENAI),
    ],
)
async def test_dialect_by_owner(session, serve, owner, dialect):
    """A server that names itself in its list of models is asked nothing more."""
    seen = []
    server = await serve({"/v1/models": listing("llama", owned_by=owner)}, seen=seen)
    assert await detect_dialect(session, base_url(server)) is dialect
    assert [path for _, path, _ in seen] == ["/v1/models"]


@pytest.mark.parametrize(
    ("pages", "dialect"),
    [
        ({"/get_model_info": {"model_path": "x"}, "/version": {"version": "1"}}, Dialect.SGLANG),
        ({"/props": {"default_generation_settings": {}}, "/api/version": {"version": "1"}}, Dialect.LLAMA_CPP),
        ({"/api/version": {"version": "0.12.3"}}, Dialect.OLLAMA),
        ({"/version": {"version": "0.11.0"}, "/openapi.json": {"paths": {"/v1/chat/completions": {}}}}, Dialect.VLLM),
        ({"/openapi.json": TRANSFORMERS_PAGE}, Dialect.TRANSFORMERS),
        ({"/openapi.json": OLDER_TRANSFORMERS_PAGE}, Dialect.TRANSFORMERS),
        ({"/openapi.json": {"paths": {"/v1/chat/completions": {}, "/v1/responses": {}, "/mine": {}}}}, Dialect.OPENAI),
        ({"/openapi.json": {"paths": {"/health": {}}}}, Dialect.OPENAI),
        ({"/openapi.json": {"paths": []}, "/version": [], "/props": "nonsense"}, Dialect.OPENAI),
        ({"/version": {"error": "unexpected endpoint"}}, Dialect.OPENAI),
        ({}, Dialect.OPENAI),
    ],
)
async def test_dialect_by_probing(session, serve, pages, dialect):
    """A server that does not name itself is known by a page that only its kind has, and is plain OpenAI otherwise."""
    server = await serve({"/v1/models": listing("org/llama", owned_by="org"), **pages})
    assert await detect_dialect(session, base_url(server)) is dialect


async def test_dialect_behind_a_key(session, serve):
    """The upstream's key goes with every question, to that server alone."""
    seen = []
    server = await serve({"/v1/models": listing("llama", owned_by="vllm"), "/props": {}}, seen=seen)
    assert await detect_dialect(session, base_url(server), api_key="hush") is Dialect.VLLM
    assert seen == [("GET", "/v1/models", "Bearer hush")]


async def test_dialect_of_a_server_that_lists_nothing(session, serve):
    """A server that refuses its list of models may still be known by another page."""
    server = await serve({"/version": {"version": "0.11.0"}})
    assert await detect_dialect(session, base_url(server)) is Dialect.VLLM


async def test_dialect_of_a_server_that_is_loading(session, serve):
    """While a server answers with its own errors, or not at all, its kind stays open."""
    server = await serve({"/v1/models": {"error": {"message": "Loading model"}}}, status=503)
    assert await detect_dialect(session, base_url(server)) is Dialect.AUTO
    assert await detect_dialect(session, f"http://127.0.0.1:{unused_port()}/v1") is Dialect.AUTO


async def test_dialect_of_known_hosts(session):
    """The providers' own addresses are known without asking them."""
    assert await detect_dialect(session, "https://api.deepseek.com") is Dialect.DEEPSEEK
    assert await detect_dialect(session, "https://api.openai.com/v1") is Dialect.OPENAI


GUESSES = {
    Reasoning.NEVER: [
        "meta-llama/Llama-3.1-8B-Instruct",
        "gpt-4o",
        "Qwen/Qwen3-4B-Instruct-2507",
        "qwen3-coder:30b",
        "Qwen/Qwen3-Embedding-0.6B",
        "Qwen3-Reranker-4B",
        "Qwen/Qwen3-8B-Base",
        "deepseek-v3",
        "deepseek-chat",
        "ibm-granite/granite-3.1-8b-instruct",
        "mistral:7b",
        "Qwen3-Next-80B-A3B-Instruct",
        "grok-4-fast-non-reasoning",
        "openai/whisper-large-v3",
        "o1ala",
        "",
    ],
    Reasoning.ALWAYS: [
        "deepseek-ai/DeepSeek-R1",
        "deepseek-r1:7b",
        "DeepSeek-R1-Distill-Qwen-7B",
        "Qwen/QwQ-32B",
        "o1",
        "o3-mini",
        "openai/o4-mini",
        "mistralai/Magistral-Small-2506",
        "Qwen/Qwen3-4B-Thinking-2507",
        "moonshotai/Kimi-K2-Thinking",
        "openai/gpt-oss-20b",
        "microsoft/Phi-4-reasoning",
        "deepseek-reasoner",
        "zai-org/GLM-Z1-9B",
        "GLM-4.1V-9B-Thinking",
        "allenai/Olmo-3-7B-Think",
    ],
    Reasoning.SWITCHABLE: [
        "Qwen/Qwen3-8B",
        "qwen3:8b",
        "Qwen3-30B-A3B-FP8",
        "deepseek-ai/DeepSeek-V3.1",
        "DeepSeek-V3.2-Exp",
        "granite3.3:8b",
        "ibm-granite/granite-3.2-8b-instruct",
        "HuggingFaceTB/SmolLM3-3B",
        "zai-org/GLM-4.5-Air",
        "/models/Qwen3_8B",
    ],
}


@pytest.mark.parametrize(("kind", "model"), [(kind, model) for kind, models in GUESSES.items() for model in models])
def test_guesses_reasoning(kind, model):
    """A model's name tells whether it thinks."""
    assert guess_reasoning(model) is kind


def test_no_row_of_the_table_is_dead():
    """Each pattern of the table decides for some known name."""
    names = [model.lower().rsplit("/", 1)[-1].replace("_", "-") for models in GUESSES.values() for model in models]
    names += ["qwen3-8b-no-think", "openthinker:7b"]
    deciding = {next((index for index, (row, _) in enumerate(REASONING_BY_NAME) if re.search(row, name)), None) for name in names}
    assert deciding >= set(range(len(REASONING_BY_NAME)))


@given(st.text())
def test_any_name_is_guessed(model):
    """Whatever the name, there is a guess, and neither case nor organisation changes it."""
    assert guess_reasoning(model) in Reasoning
    assert guess_reasoning(f"org/{model}") is guess_reasoning(model)


def test_models_that_do_not_chat():
    """Embedding, ranking and transcribing models are told from those that answer."""
    assert [can_chat(name) for name in ("BAAI/bge-m3", "nomic-embed-text", "whisper-1", "llama3", "embeddings-org/llama")] == [
        False,
        False,
        False,
        True,
        True,
    ]
