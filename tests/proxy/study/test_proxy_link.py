"""The study's way to the proxy: a real one, before simulated servers on a simulated device."""

import time

import aiohttp
import pytest

from jevons.proxy.errors import JevonsError
from jevons.proxy.exchange import Reasoning
from jevons.proxy.simulation.quirks import Quirks, ReasoningField
from jevons.proxy.study.proxy_link import ProxyLink, Refused, count_words

pytest_plugins = ["proxy_fixture"]


def body(text="Why is the sky blue?", **fields):
    """A request of the study."""
    return {"model": "chat", "messages": [{"role": "user", "content": text}], "max_tokens": 40, **fields}


@pytest.fixture
async def connect(start_proxy):
    """A link to a proxy before these upstreams."""

    async def start(*upstreams, **config):
        proxy = await start_proxy(*upstreams, **config)
        return ProxyLink(proxy.session, f"{proxy.url}/v1", proxy.admin)

    return start


async def test_an_answer_and_its_final_joules(connect, start_upstream):
    """What a client sees, and the record once it is final: tokens, joules, who answered."""
    link = await connect(await start_upstream())
    told = await link.ask(body())
    assert told.words == count_words(told.content) > 10
    assert told.reasoning_words == 0
    assert 0 < told.first_token_seconds <= told.seconds
    record = await link.final_record(told.request_id)
    assert record["upstream"] == "chat"
    assert record["tokens"]["completion"] == 40
    assert record["energy"]["joules"] > 0
    assert record["energy"]["method"] == "simulated"


@pytest.mark.parametrize("field", [ReasoningField.REASONING_CONTENT, ReasoningField.THINK_TAGS])
async def test_thinking_is_told_from_the_answer(connect, start_upstream, field):
    """Whether the server keeps it in a field of its own or between tags in the text."""
    link = await connect(await start_upstream(thinks=Reasoning.ALWAYS, quirks=Quirks(reasoning_field=field)))
    told = await link.ask(body(max_tokens=4000))
    assert told.reasoning_words > 3 * told.words > 0


async def test_a_refusal_says_why(connect, start_upstream):
    """An unknown model, an upstream that fails, a request that takes too long."""
    upstream = await start_upstream()
    link = await connect(upstream)
    with pytest.raises(Refused, match="HTTP 404"):
        await link.ask(body(model="nobody"))
    upstream.server.quirks = Quirks(dies_after_tokens=5)
    with pytest.raises(Refused):
        await link.ask(body())
    upstream.server.quirks = Quirks(seconds_between_chunks=5.0)
    with pytest.raises(Refused, match="no end after"):
        await link.ask(body(), limit_seconds=0.2)
    with pytest.raises(Refused, match="HTTP 404"):
        await link.final_record("unknown")


async def test_devices_models_and_health(connect, start_upstream):
    """Counters, power and names of the devices; the upstreams and their models; who answers."""
    link = await connect(await start_upstream())
    reading = await link.devices()
    assert reading.names[0].endswith("(simulated)")
    assert set(reading.counter_joules) == set(reading.watts)
    assert await link.models() == {"chat": "simulated-8b"}
    assert (await link.health())["status"] == "ok"


async def test_every_reading_is_of_its_own_moment(connect, start_upstream):
    """Two in a row are not the one snapshot that is shared within a second, and each has the time of its figures."""
    link = await connect(await start_upstream())
    began = time.time()
    first, second = await link.devices(), await link.devices()
    assert began <= first.at < second.at <= time.time()


async def test_nobody_there_is_an_error():
    """An address without a proxy says so instead of waiting."""
    async with aiohttp.ClientSession() as session:
        link = ProxyLink(session, "http://127.0.0.1:9", "http://127.0.0.1:9")
        with pytest.raises(Refused):
            await link.ask(body())
        for question in (link.devices, link.models, link.health):
            with pytest.raises(JevonsError, match=r"127\.0\.0\.1:9"):
                await question()


def test_words_are_counted_as_people_do():
    """Apostrophes and hyphens do not cut a word."""
    assert count_words("It's a well-known fact \N{EM DASH} isn't it?") == 6
    assert count_words("") == 0
