"""The whole proxy before a server with every fault: nobody is left without an answer or an error, and no joule is lost."""

import asyncio
import gc
import json
import random
from collections import Counter

import pytest
from chaos_upstream import LONG_BYTES, TOKEN, Fault, script
from prometheus_process import needs_prometheus, scraping
from proxy_client import BODIES, CHAT, free_port
from scripted_upstream import unchunk
from simulated_upstream import MODEL, parse_events, until

from jevons.proxy.passage import Passage, Try
from jevons.proxy.relay import Relay
from jevons.proxy.server.connection import FastConnection
from jevons.proxy.upstreams.connection import UpstreamConnection
from jevons.proxy.upstreams.reply import UpstreamReply
from jevons.proxy.upstreams.silence import SilenceWatch

pytest_plugins = ["proxy_fixture"]

TIMEOUTS = {"first_byte_seconds": 0.3, "idle_seconds": 0.2}
ANSWERED = {Fault.LONG_LINE, Fault.WRONG_USAGE, Fault.NO_DONE}
"""The answer is there all the same."""
STATUSES = {
    "refuses": 503,
    Fault.HANGS_BEFORE_HEADERS: 504,
    Fault.HANGS_BEFORE_FIRST_BYTE: 504,
    Fault.HANGS_IN_THE_MIDDLE: 504,
    Fault.RESETS_BEFORE_HEADERS: 502,
    Fault.RESETS_IN_THE_MIDDLE: 502,
    Fault.CLOSES_BEFORE_HEADERS: 502,
    Fault.TRUNCATES_CHUNKS: 502,
    Fault.NO_HTTP: 502,
    Fault.BUSY_429: 429,
    Fault.BUSY_503: 503,
    Fault.FAILS_500: 500,
}
"""Of a whole reply, and of a stream that has not begun; else 200."""
BEGUN = {Fault.HANGS_BEFORE_FIRST_BYTE, Fault.HANGS_IN_THE_MIDDLE, Fault.RESETS_IN_THE_MIDDLE, Fault.TRUNCATES_CHUNKS}
"""Of these a stream has had its head: the error is its last event."""
TRANSCRIPTION = (
    b'--x\r\ncontent-disposition: form-data; name="model"\r\n\r\nauto\r\n'
    b'--x\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--x--\r\n'
)
ENDPOINTS = {
    **BODIES,
    "/v1/messages/count_tokens": BODIES["/v1/messages"],
    "/v1/embeddings": {"input": "sky"},
    "/v1/rerank": {"query": "sky", "documents": ["blue", "red"]},
    "/v1/audio/transcriptions": TRANSCRIPTION,
}
STREAMING = set(BODIES)
CONSERVATION = """
max_over_time((
  abs(sum by (device) (jevons_energy_joules_total) - on (device) jevons_device_energy_joules_total)
  / on (device) jevons_device_energy_joules_total
)[1m:50ms])
"""


async def start(start_scripted, start_proxy, fault, **config):
    """The proxy before a server with this fault."""
    if fault == "refuses":
        return await start_proxy({"url": f"http://127.0.0.1:{free_port()}", "timeouts": TIMEOUTS}, **config)
    upstream = await start_scripted(script(fault))
    return await start_proxy({"url": upstream.url, "timeouts": TIMEOUTS}, **config)


async def ask(proxy, *, stream, model="auto"):
    """What a client sees, on a socket of its own: (status, headers, body, whether it came to its end)."""
    async with proxy.dial() as client, asyncio.timeout(20):
        await client.post(CHAT, {**BODIES[CHAT], "stream": stream, "model": model}, {"connection": "close"})
        status, headers = await client.reply_head()
        body = await client.reader.read(-1)
    if "content-length" in headers:
        return status, headers, body, len(body) == int(headers["content-length"])
    return status, headers, *unchunk(body)


def check_answer(fault, status, body, *, is_whole, stream):
    """It is an answer, or an error in OpenAI's shape, and nobody can take half an answer for all of it."""
    if fault in STATUSES and not (stream and fault in BEGUN):
        assert status == STATUSES[fault]
        assert is_whole
        assert json.loads(body)["error"].keys() >= {"message", "type", "param", "code"}
        return
    assert status == 200
    if fault in ANSWERED or not stream:
        assert is_whole
        assert (b'"finish_reason":"stop"' in body) == (fault is not Fault.GARBAGE)
        assert len(body) < (2 * LONG_BYTES if fault is Fault.LONG_LINE else 2000)
        return
    assert not is_whole
    last = b"data: " + body.rpartition(b"data: ")[2]
    ((_, error),) = parse_events(last)
    assert error["error"].keys() >= {"message", "type", "param", "code"}
    assert error["error"]["message"]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("fault", ["refuses", *Fault])
async def test_every_fault_has_its_answer_and_its_account(start_scripted, start_proxy, fault, stream):
    """The client is told, the record is final, no gauge is left up, and the accounts are the device's counter."""
    proxy = await start(start_scripted, start_proxy, fault)
    balance = proxy.balance()
    status, headers, body, is_whole = await ask(proxy, stream=stream)
    check_answer(fault, status, body, is_whole=is_whole, stream=stream)
    if fault in {Fault.BUSY_429, Fault.BUSY_503}:
        assert headers["retry-after"] == "7"
    record = await proxy.settled(headers["x-request-id"])
    is_ok = fault in ANSWERED or (not stream and fault in {Fault.GARBAGE, Fault.NO_END})
    expected = "ok" if is_ok else "client_error" if fault is Fault.BUSY_429 else "upstream_error"
    assert (record["outcome"], [attempt["outcome"] for attempt in record["attempts"]]) == (expected, [expected])
    assert all(count is None or count >= 0 for count in record["tokens"].values())
    assert await proxy.in_flight() == 0
    assert proxy.balance() == pytest.approx(balance, abs=1e-6)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("fault", ["refuses", *(fault for fault in STATUSES if isinstance(fault, Fault))])
async def test_a_fallback_answers_where_the_client_has_seen_nothing(start_scripted, start_upstream, start_proxy, fault, stream):
    """The plan's next candidate answers; every try is in the record with its energy. A stream that has begun cannot go on."""
    well = await start_upstream()
    if fault == "refuses":
        first = {"url": f"http://127.0.0.1:{free_port()}"}
    else:
        first = {"url": (await start_scripted(script(fault))).url, "timeouts": TIMEOUTS}
    proxy = await start_proxy(first, well, policies=[{"type": "fallback"}])
    balance = proxy.balance()
    status, headers, body, is_whole = await ask(proxy, stream=stream)
    record = await proxy.settled(headers["x-request-id"])
    if stream and fault in BEGUN:
        check_answer(fault, status, body, is_whole=is_whole, stream=stream)
        assert len(record["attempts"]) == 1
    else:
        assert (status, is_whole, headers["x-jevons-upstream"], record["outcome"]) == (200, True, "chat-2", "ok")
        *failed, last = record["attempts"]
        assert [(each["upstream"], each["outcome"]) for each in failed] in ([("chat", "upstream_error")], [])
        assert bool(failed) or fault == "refuses"
        joules = [attempt["energy"]["joules"] for attempt in record["attempts"]]
        assert record["energy"]["joules"] == pytest.approx(sum(joules), rel=1e-12)
        assert last["energy"]["joules"] > 0
    assert await proxy.in_flight() == 0
    assert proxy.balance() == pytest.approx(balance, abs=1e-6)


HANGS = [Fault.HANGS_BEFORE_HEADERS, Fault.HANGS_BEFORE_FIRST_BYTE, Fault.HANGS_IN_THE_MIDDLE]


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("fault", HANGS)
async def test_leaving_at_every_stage_of_every_endpoint(start_scripted, start_proxy, fault, stream):
    """The server's connection is closed, the record says cancelled, nothing stays in flight, and nothing is lost."""
    upstream = await start_scripted(script(fault))
    proxy = await start_proxy(upstream)
    balance = proxy.balance()
    paths = [path for path in ENDPOINTS if not stream or path in STREAMING]

    async def leave(path):
        async with proxy.dial() as client:
            body, headers = ENDPOINTS[path], {"x-request-id": path}
            if isinstance(body, bytes):
                await client.post(path, body, {**headers, "content-type": "multipart/form-data; boundary=x"})
            else:
                await client.post(path, {**body, "stream": stream} if path in STREAMING else body, headers)
            await until(lambda: any(path.removeprefix("/v1") in call.start for call in upstream.calls))
            if stream and fault is not Fault.HANGS_BEFORE_HEADERS:
                assert (await client.reply_head())[0] == 200
            if stream and fault is Fault.HANGS_IN_THE_MIDDLE:
                assert await client.reader.read(len(TOKEN))
            client.reset()

    async with asyncio.timeout(20):
        await asyncio.gather(*map(leave, paths))
        await until(lambda: len(upstream.calls) == len(paths))
        await asyncio.gather(*(call.has_left.wait() for call in upstream.calls))
        await until(lambda: not proxy.is_serving())
    for path in paths:
        record = await proxy.settled(proxy.find(path))
        assert (record["outcome"], [attempt["outcome"] for attempt in record["attempts"]]) == ("cancelled", ["cancelled"])
    assert await proxy.in_flight() == 0
    assert proxy.balance() == pytest.approx(balance, abs=1e-6)


async def start_chaos(start_scripted, start_upstream, start_proxy):
    """The proxy before a server that does something else each time, and one that is well."""
    chance = random.Random(11)
    faults = [fault for fault in Fault if fault is not Fault.LONG_LINE]

    async def does_anything(call):
        await script(chance.choice(faults))(call)

    bad = await start_scripted(does_anything)
    return await start_proxy(
        {"url": bad.url, "timeouts": TIMEOUTS, "max_concurrency": 8, "queue": {"requests": 20, "seconds": 2}},
        await start_upstream(),
        policies=[{"type": "fallback"}],
    )


async def ask_at_once(proxy, count):
    """Streamed and whole, of either server and of whichever the proxy takes."""
    return await asyncio.gather(
        *(ask(proxy, stream=bool(number % 2), model=("auto", "chat", MODEL)[number % 3]) for number in range(count))
    )


async def test_all_of_it_at_once(start_scripted, start_upstream, start_proxy):
    """A server that does something else each time, beside one that is well, scraped all the while: nothing is lost."""
    proxy = await start_chaos(start_scripted, start_upstream, start_proxy)
    balance = proxy.balance()
    scrapes = []

    async def keep_scraping():
        while True:
            scrapes.append(await proxy.metrics())
            await asyncio.sleep(0.05)

    scraper = asyncio.create_task(keep_scraping())
    answers = await ask_at_once(proxy, 90)
    scraper.cancel()
    for status, headers, body, is_whole in answers:
        if status != 200:
            assert is_whole
            assert json.loads(body)["error"].keys() >= {"message", "type", "param", "code"}
        elif not is_whole:
            assert b'"error":' in body
        assert (await proxy.settled(headers["x-request-id"]))["outcome"] is not None
    for metrics in [*scrapes, await proxy.metrics()]:
        (device,) = metrics["jevons_device_energy_joules_total"].values()
        assert sum(metrics["jevons_energy_joules_total"].values()) == pytest.approx(device, rel=1e-9, abs=1e-9)
    assert sum((await proxy.metrics())["jevons_requests_total"].values()) == len(answers)
    assert await proxy.in_flight() == 0
    assert proxy.balance() == pytest.approx(balance, abs=1e-6)


@needs_prometheus
async def test_a_real_prometheus_sees_the_parts_sum_through_all_of_it(start_scripted, start_upstream, start_proxy, tmp_path):
    """In no scrape between the faults do the four accounts differ from the device."""
    proxy = await start_chaos(start_scripted, start_upstream, start_proxy)
    async with scraping(proxy.admin, proxy.session, tmp_path) as query:
        assert await query("jevons_meter_up") == [1.0]
        for _ in range(3):
            await ask_at_once(proxy, 30)
        [scrapes] = await query('sum_over_time(up{job="jevons"}[1m]) > 5')
        [worst] = await query(CONSERVATION)
    assert scrapes > 5
    assert worst <= 1e-9


@pytest.mark.parametrize("fault", ["refuses", *(fault for fault in Fault if fault is not Fault.LONG_LINE)])
async def test_nothing_is_left_of_a_request(start_scripted, start_proxy, fault):
    """However it ended, streamed and whole, stayed for and left: its record stays, and nothing else of it does."""
    proxy = await start(start_scripted, start_proxy, fault)

    async def ask_and_leave():
        async with proxy.dial() as client:
            await client.post(CHAT, {**BODIES[CHAT], "stream": True})
            client.reset()

    async def rounds_of_all(count):
        for number in range(2 * count):
            await ask_and_leave()
            _, headers, _, _ = await ask(proxy, stream=bool(number % 2))
        await until(lambda: not proxy.is_serving())
        await proxy.settled(headers["x-request-id"])

    def left():
        gc.collect()
        kinds = (FastConnection, UpstreamConnection, UpstreamReply, SilenceWatch, Passage, Try, Relay, asyncio.Task)
        kept = (each for each in gc.get_objects() if isinstance(each, kinds) and not is_the_servers(each))
        return Counter(type(each).__name__ for each in kept)

    def is_the_servers(each):  # it keeps its calls, and with their errors the tasks
        return isinstance(each, asyncio.Task) and "ScriptedUpstream" in repr(each.get_coro())

    await rounds_of_all(1)
    before = left()
    await rounds_of_all(2)
    for _ in range(20):
        if not (more := left() - before):
            break
        await asyncio.sleep(0.25)
    assert more == Counter()
