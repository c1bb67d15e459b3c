"""The servers' own counters: found on pages as the engines write them, asked for in the background, and never at any price."""

import asyncio

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from simulated_upstream import until

from jevons.proxy.exchange import Dialect, Upstream
from jevons.proxy.observed import ServedTokens
from jevons.proxy.upstreams import engine_metrics
from jevons.proxy.upstreams.engine_metrics import (
    ABSENT_SECONDS,
    CLOSE_SECONDS,
    USUAL_SECONDS,
    EngineMetrics,
    metrics_url,
    read_served,
)

VLLM = b"""\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 3.0
# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 12345.0
# HELP vllm:prompt_tokens_created Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_created gauge
vllm:prompt_tokens_created{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 1.7635e+09
vllm:prompt_tokens_by_source_total{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct",source="local_compute"} 9345.0
vllm:prompt_tokens_cached_total{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 3000.0
# HELP vllm:generation_tokens_total Number of generation tokens processed.
# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 6.789e+03
vllm:iteration_tokens_total_sum{engine="0",model_name="meta-llama/Llama-3.1-8B-Instruct"} 19134.0
"""
SGLANG = b"""\
# TYPE sglang:prompt_tokens_total counter
sglang:prompt_tokens_total{model_name="qwen"} 800.0
# TYPE sglang:generation_tokens_total counter
sglang:generation_tokens_total{model_name="qwen"} 90.0
# TYPE sglang:cached_tokens_total counter
sglang:cached_tokens_total{cache_source="device",model_name="qwen"} 100.0
sglang:cached_tokens_total{cache_source="host",model_name="qwen"} 20.0
"""
LLAMA_CPP = b"""\
# HELP llamacpp:prompt_tokens_total Number of prompt tokens processed.
# TYPE llamacpp:prompt_tokens_total counter
llamacpp:prompt_tokens_total 33065
# HELP llamacpp:tokens_predicted_total Number of generation tokens processed.
# TYPE llamacpp:tokens_predicted_total counter
llamacpp:tokens_predicted_total 7801
llamacpp:tokens_predicted_seconds_total 91.2
"""


@pytest.mark.parametrize(
    ("page", "served"),
    [
        (VLLM, ServedTokens(12345.0, 6789.0, 3000.0)),
        (SGLANG, ServedTokens(800.0, 90.0, 120.0, prompt_at_end=True, output_at_end=True)),
        (LLAMA_CPP, ServedTokens(33065.0, 7801.0, None, is_prompt_fresh=True, output_at_end=True)),
    ],
    ids=["vllm", "sglang", "llama.cpp"],
)
def test_each_engine_is_understood(page, served):
    """The counts of each engine, and when it counts, are read off the page that it writes."""
    assert read_served(page) == served


def test_names_without_total():
    """A counter that an older version writes without `_total` is the same counter."""
    page = b'vllm:prompt_tokens{model_name="m"} 5\nvllm:generation_tokens{model_name="m"} 7\n'
    assert read_served(page) == ServedTokens(5.0, 7.0)


def test_engines_of_one_server_are_added_up():
    """Data-parallel engines each have a series."""
    page = b"".join(b'vllm:generation_tokens_total{engine="%d",model_name="m"} 10\n' % rank for rank in range(4))
    assert read_served(page).output == 40.0


def test_models_of_a_server_are_told_apart():
    """Where series carry our model's name the others are somebody else's; where none does, all of them count."""
    page = b'llamacpp:tokens_predicted_total{model="a"} 10\nllamacpp:tokens_predicted_total{model="b"} 5\n'
    assert read_served(page, ["a"]).output == 10.0
    assert read_served(page, ["an alias of a"]).output == 15.0


def test_labels_may_hold_anything():
    """A brace, a blank or a quote in a label is no end of it, and a timestamp after the value is not the value."""
    page = rb'vllm:generation_tokens_total{note="} 99 \" {",model_name="m"} 12 1763500000000' + b"\n"
    assert read_served(page, ["m"]).output == 12.0


@pytest.mark.parametrize(
    "page", [b"", b"<html>", b"# vllm:generation_tokens_total 5\n", b"up 1\n", b"vllm:generation_tokens_total NaN"]
)
def test_a_page_without_counters(page):
    """Comments, other metrics and what is no number give nothing."""
    assert read_served(page) is None


@given(st.binary(max_size=200), st.integers(0, 10**12))
def test_whatever_stands_around_them(noise, count):
    """A counter on a line of its own is found, whatever else is on the page."""
    noise = noise.replace(b"vllm:", b"").replace(b"sglang:", b"").replace(b"llamacpp:", b"")
    page = noise + b"\nvllm:generation_tokens_total %d\n" % count + noise
    assert read_served(page).output == float(count)


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/metrics"),
        ("http://host/some/v1", "http://host/some/metrics"),
        ("http://host:1/api", "http://host:1/api/metrics"),
    ],
)
def test_metrics_are_beside_the_api(base_url, url):
    """`/v1` is the API's own; metrics are on the server's root."""
    assert metrics_url(base_url) == url


class Server:
    """A server of metrics, which says what a test tells it to."""

    def __init__(self):
        self.page, self.status, self.headers = VLLM, 200, {}
        self.asked = []
        self.hangs = False

    async def answer(self, request):
        self.asked.append(request)
        if self.hangs:
            await asyncio.sleep(600)
        return web.Response(body=self.page, status=self.status, headers=self.headers)


@pytest.fixture
async def server():
    """One on loopback, with its address."""
    metrics = Server()
    application = web.Application()
    application.router.add_get("/metrics", metrics.answer)
    application.router.add_get("/elsewhere", metrics.answer)
    runner = web.AppRunner(application, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    metrics.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    metrics.url = metrics_url(metrics.base_url)
    yield metrics
    await runner.cleanup()


class Asking:
    """The reader, and what it handed on."""

    def __init__(self, session, *upstreams, dialect=Dialect.VLLM):
        self.received = []
        self.is_close = False
        self.metrics = EngineMetrics(session, upstreams, self.receive, dialect=lambda _: dialect, clock=lambda: 5.0)

    def receive(self, names, served, at):
        self.received.append((names, served, at))
        return self.is_close


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as session:
        yield session


def upstream(server, name="chat", **options):
    return Upstream(name, server.base_url, "meta-llama/Llama-3.1-8B-Instruct", **options)


async def test_what_is_read_is_handed_on(server, session):
    """The counts go on with the upstream's name and the time; a server that serves others is asked more often."""
    asking = Asking(session, upstream(server, api_key="secret"))
    assert await asking.metrics.ask(server.url) == USUAL_SECONDS
    assert asking.received == [(("chat",), ServedTokens(12345.0, 6789.0, 3000.0), 5.0)]
    assert asking.metrics.problems == {"chat": None}
    assert server.asked[0].headers["authorization"] == "Bearer secret"
    asking.is_close = True
    assert await asking.metrics.ask(server.url) == CLOSE_SECONDS


async def test_upstreams_at_one_address_are_one_server(server, session):
    """Its counters are read once, for all of them together."""
    asking = Asking(session, upstream(server), upstream(server, "thinker"))
    await asking.metrics.ask(server.url)
    assert [names for names, _, _ in asking.received] == [("chat", "thinker")]
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "page", "reason"),
    [
        (404, b"", "/metrics answers 404"),
        (501, b'{"error": {"message": "This server does not support metrics endpoint."}}', "/metrics answers 501"),
        (200, b"python_info 1\n", "no token counters at /metrics"),
    ],
)
async def test_a_server_without_counters(server, session, status, page, reason):
    """It is asked again, but seldom: it may come back with its metrics switched on."""
    server.status, server.page = status, page
    asking = Asking(session, upstream(server))
    assert await asking.metrics.ask(server.url) == ABSENT_SECONDS
    assert (asking.received, asking.metrics.problems) == ([], {"chat": reason})


async def test_redirects_are_not_followed(server, session):
    """A key goes where the configuration says and nowhere else."""
    server.status, server.headers = 302, {"location": "/elsewhere"}
    asking = Asking(session, upstream(server))
    await asking.metrics.ask(server.url)
    assert [request.path for request in server.asked] == ["/metrics"]
    assert asking.metrics.problems == {"chat": "/metrics answers 302"}


async def test_a_server_that_is_down_or_hangs(server, session, monkeypatch):
    """A failure is a reason, and the next attempt comes at the usual time."""
    asking = Asking(session, Upstream("chat", "http://127.0.0.1:1/v1", "m"))
    assert await asking.metrics.ask("http://127.0.0.1:1/metrics") == USUAL_SECONDS
    assert asking.metrics.problems == {"chat": "Connection refused"}
    monkeypatch.setattr(engine_metrics, "_TIMEOUT", aiohttp.ClientTimeout(total=0.01))
    server.hangs = True
    asking = Asking(session, upstream(server))
    assert await asking.metrics.ask(server.url) == USUAL_SECONDS
    assert asking.metrics.problems == {"chat": "no answer in time"}


async def test_a_page_without_end(server, session, monkeypatch):
    """Of a page that is too long the beginning is read, in whole lines."""
    monkeypatch.setattr(engine_metrics, "MOST_BYTES", 1000)
    server.page = VLLM[: VLLM.index(b"6.789e")] + b"6" * 100_000
    asking = Asking(session, upstream(server))
    await asking.metrics.ask(server.url)
    assert [served.output for _, served, _ in asking.received] == [0.0]


@pytest.mark.parametrize("dialect", [Dialect.OLLAMA, Dialect.OPENAI, Dialect.DEEPSEEK, Dialect.TRANSFORMERS])
async def test_kinds_of_servers_that_have_none_are_not_asked(server, session, dialect):
    """Nobody sends requests to a vendor's API, or to a server that cannot have such counters."""
    asking = Asking(session, upstream(server), dialect=dialect)
    assert await asking.metrics.ask(server.url) == ABSENT_SECONDS
    assert server.asked == []


async def test_all_are_followed_until_cancelled(server, session):
    """The background task asks again and again, and ends when it is told to."""
    asking = Asking(session, upstream(server), Upstream("gone", "http://127.0.0.1:1/v1", "m"))
    task = asyncio.create_task(asking.metrics.run())
    await until(lambda: asking.metrics.problems.keys() == {"chat", "gone"})
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asking.metrics.problems == {"chat": None, "gone": "Connection refused"}
