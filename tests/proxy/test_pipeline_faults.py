"""Servers that fail, are busy or fall silent, on the request path: who is asked next, who waits, and what the client hears."""

import asyncio
import json

import pytest
from chaos_upstream import STOP, TOKEN, Fault, script
from proxy_client import BODIES, CHAT
from scripted_upstream import chunk, http_reply, in_turn, replies, stream_head, unchunk
from simulated_upstream import MODEL, until

pytest_plugins = ["proxy_fixture"]

ANSWER = b'{"id":"x","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}],"usage":%b}'
USAGE = b'{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}'
WELL = http_reply(ANSWER % USAGE)


def gated(gate):
    """A script that answers when the gate opens."""

    async def run(call):
        await gate.wait()
        await call.send(WELL)

    return run


# Busy


async def test_more_than_the_limit_waits_and_the_line_is_bounded(start_scripted, start_proxy):
    """One at a time, one in line; the third is told 429 and when to come again; whoever waited is served."""
    gate = asyncio.Event()
    upstream = await start_scripted(gated(gate))
    proxy = await start_proxy({"url": upstream.url, "max_concurrency": 1, "queue": {"requests": 1, "seconds": 30}})
    asking = [asyncio.create_task(proxy.post(CHAT, BODIES[CHAT])) for _ in range(2)]
    await until(lambda: upstream.calls and proxy.app.fleet.lines()[0].waiting == 1)
    reply = await proxy.post(CHAT, BODIES[CHAT])
    assert (reply.status, reply.error["code"], reply.error["type"]) == (429, "upstream_busy", "rate_limit_error")
    assert reply.headers["retry-after"] == "2"
    record = await proxy.energy(reply.id)
    assert (record["outcome"], record["attempts"], record["energy"]["joules"]) == ("rejected", [], None)
    metrics = await proxy.metrics()
    assert metrics["jevons_queue_requests"] == {("chat",): 1}
    assert metrics["jevons_queue_refused_total"] == {("full", "chat"): 1, ("late", "chat"): 0}
    assert len(upstream.calls) == 1
    gate.set()
    assert [reply.status for reply in await asyncio.gather(*asking)] == [200, 200]
    assert proxy.app.fleet.lines()[0].waiting == 0


async def test_nobody_waits_beyond_the_deadline(start_scripted, start_proxy):
    """A 503 that says when to come again; where there is a fallback, that one serves instead."""
    upstream = await start_scripted(gated(asyncio.Event()))
    busy = {"url": upstream.url, "max_concurrency": 1, "queue": {"requests": 5, "seconds": 0.05}}
    proxy = await start_proxy(busy, await start_scripted(replies(WELL)), policies=[{"type": "fallback"}])
    holding = asyncio.create_task(proxy.post(CHAT, BODIES[CHAT]))
    await until(lambda: upstream.calls)
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "model": "chat"})
    assert (reply.status, reply.error["code"], reply.headers["retry-after"]) == (503, "upstream_busy", "1")
    reply = await proxy.post(CHAT, BODIES[CHAT])
    assert (reply.status, reply.headers["x-jevons-upstream"]) == (200, "chat-2")
    assert (await proxy.metrics())["jevons_queue_refused_total"]["late", "chat"] == 2
    holding.cancel()
    await asyncio.wait([holding])


async def test_who_leaves_the_line_is_never_sent(start_scripted, start_proxy):
    """The client of a waiting request leaves: its place in line is free, and the server never hears of it."""
    gate = asyncio.Event()
    upstream = await start_scripted(gated(gate))
    proxy = await start_proxy({"url": upstream.url, "max_concurrency": 1})
    holding = asyncio.create_task(proxy.post(CHAT, BODIES[CHAT]))
    await until(lambda: upstream.calls)
    async with proxy.dial() as client:
        await client.post(CHAT, BODIES[CHAT], {"x-request-id": "left"})
        await until(lambda: proxy.app.fleet.lines()[0].waiting == 1)
        client.reset()
        await until(lambda: proxy.app.fleet.lines()[0].waiting == 0)
    gate.set()
    assert (await holding).status == 200
    assert (await proxy.post(CHAT, BODIES[CHAT])).status == 200
    assert len(upstream.calls) == 2
    record = await proxy.energy(proxy.find("left"))
    assert (record["outcome"], record["attempts"]) == ("cancelled", [])


async def test_leaving_while_failing_over_stops_there(start_scripted, start_proxy):
    """The first server has failed, the second is at work: the client leaves, the third is not asked, both tries are accounted."""
    hangs = await start_scripted(script(Fault.HANGS_BEFORE_HEADERS))
    third = await start_scripted(replies(WELL))
    proxy = await start_proxy(await start_scripted(script(Fault.FAILS_500)), hangs, third, policies=[{"type": "fallback"}])
    balance = proxy.balance()
    async with proxy.dial() as client:
        await client.post(CHAT, BODIES[CHAT], {"x-request-id": "mine"})
        await until(lambda: hangs.calls)
        client.hang_up()
        await hangs.calls[0].has_left.wait()
        await until(lambda: not proxy.is_serving())
    record = await proxy.settled(proxy.find("mine"))
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["upstream_error", "cancelled"]
    assert not third.calls
    assert proxy.balance() == pytest.approx(balance, abs=1e-6)


# Failing


async def test_a_server_that_never_answers_is_left_alone_for_a_while(start_scripted, start_proxy):
    """After so many failures in a row the answer is a 503 at once; a client's own errors never bring that about."""
    upstream = await start_scripted(script(Fault.CLOSES_BEFORE_HEADERS))
    proxy = await start_proxy(upstream, faults={"failures": 3, "eject_seconds": 60})
    statuses = [(await proxy.post(CHAT, BODIES[CHAT])).status for _ in range(4)]
    assert statuses == [502, 502, 502, 503]
    assert len(upstream.calls) == 3
    reply = await proxy.post(CHAT, BODIES[CHAT])
    assert (reply.error["code"], int(reply.headers["retry-after"]) > 50) == ("upstream_unavailable", True)
    metrics = await proxy.metrics()
    assert (metrics["jevons_server_ejected"], metrics["jevons_server_ejections_total"]) == ({("chat",): 1}, {("chat",): 1})

    upstream = await start_scripted(replies(http_reply(b'{"detail":"no"}', 400)))
    proxy = await start_proxy(upstream, faults={"failures": 1})
    assert {(await proxy.post(CHAT, BODIES[CHAT])).status for _ in range(9)} == {400}
    assert (await proxy.metrics())["jevons_server_ejections_total"] == {("chat",): 0}


async def test_one_request_tries_a_server_that_was_left_alone(start_scripted, start_proxy):
    """It answers: then everybody may."""
    bad = script(Fault.CLOSES_BEFORE_HEADERS)
    upstream = await start_scripted(in_turn(bad, bad, *[replies(WELL)] * 9))
    proxy = await start_proxy(upstream, faults={"failures": 2, "eject_seconds": 0.05})
    assert [(await proxy.post(CHAT, BODIES[CHAT])).status for _ in range(3)] == [502, 502, 503]
    await asyncio.sleep(0.06)
    assert {(await proxy.post(CHAT, BODIES[CHAT])).status for _ in range(9)} == {200}
    assert (await proxy.metrics())["jevons_server_ejected"] == {("chat",): 0}


# Replicas


async def test_replicas_share_the_work_and_are_metered_each(start_upstream, start_proxy):
    """One upstream of two servers: both answer, each is an engine of its own, the client and the counts see one name."""
    servers = [await start_upstream(remembers=99) for _ in range(2)]
    proxy = await start_proxy({"urls": [f"{server.url}/v1" for server in servers]})
    balance = proxy.balance()
    answers = await asyncio.gather(*(proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 20}) for _ in range(20)))
    assert {(reply.status, reply.headers["x-jevons-upstream"]) for reply in answers} == {(200, "chat")}
    assert [len(server.server.received) for server in servers] == [10, 10]
    assert proxy.app.metering.attribution.engines.keys() == {"chat#1", "chat#2"}
    records = [await proxy.settled(reply.id) for reply in answers]
    assert all(record["energy"]["joules"] > 0 for record in records)
    metrics = await proxy.metrics()
    assert metrics["jevons_requests_total"]["ok", "chat"] == 20
    assert metrics["jevons_upstream_up"] == {("chat",): 1}
    assert metrics["jevons_server_ejected"].keys() == {("chat#1",), ("chat#2",)}
    assert sum(record["energy"]["joules"] for record in records) == pytest.approx(
        metrics["jevons_energy_joules_total"]["attributed", next(iter(metrics["jevons_device_info"]))[0]], rel=1e-9
    )
    assert proxy.balance() == pytest.approx(balance, abs=1e-6)


async def test_a_replica_that_fails_fast_gets_less_and_the_client_notices_nothing(start_scripted, start_upstream, start_proxy):
    """Every request is answered, by the other replica where the first fails, until that one is left alone."""
    bad = await start_scripted(script(Fault.FAILS_500))
    well = await start_upstream()
    proxy = await start_proxy({"urls": [f"{bad.url}/v1", f"{well.url}/v1"]})
    statuses = [(await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 5})).status for _ in range(40)]
    assert set(statuses) == {200}
    assert 1 <= len(bad.calls) <= 10
    assert (await proxy.metrics())["jevons_retries_total"] == {("chat",): len(bad.calls)}


async def test_a_response_is_continued_at_the_replica_that_holds_it(start_upstream, start_proxy):
    """`previous_response_id` goes to that one, whatever the balance says."""
    servers = [await start_upstream(remembers=99) for _ in range(2)]
    proxy = await start_proxy({"urls": [f"{server.url}/v1" for server in servers]})
    body = {**BODIES["/v1/responses"], "max_output_tokens": 5}
    response_id = (await proxy.post("/v1/responses", body)).json["id"]
    for _ in range(4):
        assert (await proxy.post("/v1/responses", {**body, "previous_response_id": response_id})).status == 200
    assert sorted(len(server.server.received) for server in servers) == [0, 5]


async def test_a_replica_that_is_down_is_passed_over(start_upstream, start_proxy):
    """By the cheap questions: no request is lost on it; `check` and `/readyz` go by those too."""
    well = await start_upstream()
    proxy = await start_proxy({"urls": ["http://127.0.0.1:1/v1", f"{well.url}/v1"]})
    await until(lambda: len(proxy.app.health.problems) == 2)
    replies_ = [await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 5}) for _ in range(4)]
    assert {reply.status for reply in replies_} == {200}
    assert [len((await proxy.energy(reply.id))["attempts"]) for reply in replies_] == [1] * 4
    assert (await proxy.metrics())["jevons_upstream_up"] == {("chat",): 1}


# Silence


@pytest.mark.parametrize("is_fast", [True, False], ids=["fast", "aiohttp"])
async def test_a_stream_that_thinks_in_silence_is_kept_alive(start_scripted, start_proxy, is_fast):
    """A comment line at event boundaries only, after the upstream's headers; the events are the server's, byte for byte."""
    go_on, half = asyncio.Event(), TOKEN[:20]

    async def run(call):
        await asyncio.sleep(0.15)
        await call.send(stream_head())
        await go_on.wait()
        await call.send(chunk(TOKEN + half))
        await asyncio.sleep(0.15)
        await call.send(chunk(TOKEN[20:] + STOP + b"data: [DONE]\n\n"), chunk(b""))

    proxy = await start_proxy(await start_scripted(run), keep_alive_seconds=0.05)
    async with proxy.dial() as client:
        headers = {"connection": "close"} if is_fast else {"connection": "close", "expect": "100-continue"}
        await client.post(CHAT, {**BODIES[CHAT], "stream": True}, headers)
        status, _ = await client.reply_head()
        if status == 100:
            status, _ = await client.reply_head()
        assert status == 200
        assert await client.reader.readuntil(b": ka\n\r\n") == b"5\r\n: ka\n\r\n"
        go_on.set()
        body, is_whole = unchunk(await client.reader.read(-1))
    assert is_whole
    assert body.replace(b": ka\n", b"") == TOKEN + TOKEN + STOP + b"data: [DONE]\n\n"
    assert TOKEN + b": ka\n" in body
    assert all(event.removeprefix(b": ka\n" * event.count(b": ka\n")).startswith(b"data: ") for event in body.split(b"\n\n")[:-1])


async def test_keep_alive_can_be_turned_off(start_scripted, start_proxy):
    """0 is never: nothing but the server's bytes."""

    async def run(call):
        await call.send(stream_head())
        await asyncio.sleep(0.1)
        await call.send(chunk(TOKEN + STOP), chunk(b""))

    proxy = await start_proxy(await start_scripted(run), keep_alive_seconds=0)
    assert (await proxy.post(CHAT, {**BODIES[CHAT], "stream": True})).body == TOKEN + STOP


async def test_a_slow_client_holds_the_server_up_and_not_our_memory(start_scripted, start_proxy):
    """A client that reads nothing while a server has 400 MB to say: what is taken from it stays below 30 MB, kernel included."""
    block = TOKEN.replace(b'"a"', b'"' + b"a" * 100_000 + b'"')
    sent = 0

    async def run(call):
        nonlocal sent
        await call.send(stream_head())
        for _ in range(4000):
            await call.send(chunk(block))
            sent += len(block)

    upstream = await start_scripted(run)
    proxy = await start_proxy(upstream)
    async with proxy.dial() as client:
        await client.post(CHAT, {**BODIES[CHAT], "stream": True})
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.3)
        assert 0 < sent < 30 * 2**20
        client.reset()
        await upstream.calls[0].has_left.wait()


async def test_what_is_asked_of_another_server_is_the_clients_bytes(start_scripted, start_proxy):
    """A second try sends what the first did, with the model's name of its own server."""
    well = await start_scripted(replies(WELL))
    bad = await start_scripted(script(Fault.FAILS_500))
    proxy = await start_proxy(bad, {"url": well.url, "model": "other"}, policies=[{"type": "fallback"}])
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "seed": 7})
    assert reply.status == 200
    first, second = json.loads(bad.calls[0].body), json.loads(well.calls[0].body)
    assert (first.pop("model"), second.pop("model")) == (MODEL, "other")
    assert first == second
