"""The request path: where a request goes, what the upstream gets of it, and that every joule of it is somebody's."""

import asyncio
import json

import pytest
from proxy_client import BODIES, CHAT, free_port
from scripted_upstream import ScriptedUpstream, chunk, http_reply, in_turn, replies, stream_head, streams
from simulated_upstream import MODEL, until

from jevons.proxy.exchange import Reasoning
from jevons.proxy.simulation.quirks import Hang, Quirks, StreamUsage

pytest_plugins = ["proxy_fixture"]

ODD = (
    '{"messages":[ {"role":"user", "content":"caf\\u00e9 ☕ \\ud83d\\ude00"} ],"model":"auto","temperature":1e-7,"stream":%s,'
    '"seed":123456789012345678901234567890,"metadata":{"a":1,"a" : 2},"stop":[ ]}'
)
ASKS = b'"stream_options":{"include_usage":true}'


def nowhere():
    """An upstream that refuses every connection."""
    return {"url": f"http://127.0.0.1:{free_port()}"}


# What the upstream gets


async def test_the_upstream_gets_the_clients_bytes(start_upstream, start_proxy):
    """But for `model` nothing of a whole request changes; a stream is asked for its usage on the client's behalf."""
    upstream = await start_upstream(remembers=4)
    proxy = await start_proxy(upstream)
    for stream in (False, True):
        body = (ODD % json.dumps(stream)).encode()
        assert (await proxy.post(CHAT, body)).status == 200
        expected = body.replace(b'"auto"', f'"{MODEL}"'.encode())
        if stream:
            expected = expected.removesuffix(b"}") + b"," + ASKS + b"}"
        assert upstream.server.received[-1].body == expected


@pytest.mark.parametrize("path", BODIES)
async def test_usage_is_asked_for_only_where_there_is_such_a_field(start_upstream, start_proxy, path):
    """Responses and messages have their usage anyway; a client's own stream options are kept."""
    upstream = await start_upstream(remembers=4)
    proxy = await start_proxy(upstream)
    await proxy.post(path, {**BODIES[path], "stream": True})
    has_field = path in {"/v1/chat/completions", "/v1/completions"}
    assert (ASKS in upstream.server.received[-1].body) == has_field
    if has_field:
        await proxy.post(path, {**BODIES[path], "stream": True, "stream_options": {"continuous_usage_stats": False}})
        options = json.loads(upstream.server.received[-1].body)["stream_options"]
        assert options == {"continuous_usage_stats": False, "include_usage": True}


async def test_a_server_that_refuses_to_be_asked_is_asked_once(start_upstream, start_proxy):
    """A 422 over `stream_options`: sent again without, and remembered; the client notices nothing."""
    upstream = await start_upstream(quirks=Quirks(refuses_unknown_fields=True, stream_usage=StreamUsage.NEVER), remembers=9)
    proxy = await start_proxy(upstream)
    for sent in (2, 3, 4):
        reply = await proxy.post(CHAT, {**BODIES[CHAT], "stream": True})
        assert reply.status == 200
        assert len(upstream.server.received) == sent
    record = await proxy.settled(reply.id)
    assert record["tokens"]["completion"] > 0
    assert "tokens_estimated" in record["energy"]["quality"]


async def test_a_refusal_that_only_quotes_the_request_is_not_held_against_the_server(start_scripted, start_proxy):
    """Some servers put the whole request into every 400: then the fault was another, and usage is asked for again."""

    async def script(call):
        await call.send(http_reply(json.dumps({"detail": f"seed is wrong in {call.json}"}).encode(), 400))

    upstream = await start_scripted(script)
    proxy = await start_proxy(upstream)
    for _ in range(2):
        reply = await proxy.post(CHAT, {**BODIES[CHAT], "stream": True})
        assert reply.status == 400
        assert "seed is wrong" in reply.error["message"]
    assert [ASKS in call.body for call in upstream.calls] == [True, False, True, False]


async def test_thinking_is_switched_and_a_switch_without_effect_is_counted(start_upstream, start_proxy):
    """`direct` switches a hybrid model's thinking off; where it thinks all the same the metric says so."""
    upstream = await start_upstream(thinks=Reasoning.SWITCHABLE, remembers=4)
    proxy = await start_proxy({"url": upstream.url, "reasoning": "switchable"})
    for thought, ignores in enumerate((False, True)):
        upstream.server.quirks = Quirks(ignores_thinking_switch=ignores)
        reply = await proxy.post(CHAT, BODIES[CHAT], {"x-jevons-tier": "direct"})
        kwargs = json.loads(upstream.server.received[-1].body)["chat_template_kwargs"]
        assert kwargs == {"enable_thinking": False, "thinking": False}
        assert bool((await proxy.energy(reply.id))["tokens"]["reasoning"]) == ignores
        assert (await proxy.metrics())["jevons_switch_not_honoured_total"]["chat",] == thought


# Where it goes


async def test_the_next_candidate_gets_its_turn_where_the_first_cannot_be_reached(start_upstream, start_proxy):
    """A dead server costs a try, which the record keeps; the client gets its answer, streamed or not."""
    gone = ScriptedUpstream(replies())
    async with gone.running():
        proxy = await start_proxy(gone, await start_upstream())
        await until(lambda: proxy.app.health.problems == {"chat": None, "chat-2": None})
    for stream in (False, True):
        reply = await proxy.post(CHAT, {**BODIES[CHAT], "model": MODEL, "stream": stream})
        assert reply.status == 200
        assert reply.headers["x-jevons-upstream"] == "chat-2"
        record = await proxy.settled(reply.id)
        tries = [(attempt["upstream"], attempt["outcome"]) for attempt in record["attempts"]]
        assert tries == [("chat", "upstream_error"), ("chat-2", "ok")]
        assert record["upstream"] == "chat-2"
        joules = [attempt["energy"]["joules"] for attempt in record["attempts"]]
        assert record["energy"]["joules"] == pytest.approx(sum(joules), rel=1e-12)
    assert await proxy.in_flight() == 0


async def test_a_server_that_is_known_to_be_down_is_passed_over(start_upstream, start_proxy):
    """The cheap questions find it out before a request has to: no try is lost on it."""
    proxy = await start_proxy(nowhere(), await start_upstream())
    await until(lambda: len(proxy.app.health.problems) == 2)
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "model": MODEL})
    record = await proxy.settled(reply.id)
    assert [(attempt["upstream"], attempt["outcome"]) for attempt in record["attempts"]] == [("chat-2", "ok")]


async def test_what_a_server_died_of_is_tried_once_elsewhere(start_scripted, start_upstream, start_proxy):
    """A second server may answer; a third is not asked, since the request may be what they die of."""

    async def dies(call):
        call.writer.close()

    third = await start_upstream(remembers=1)
    proxy = await start_proxy(await start_scripted(dies), await start_scripted(dies), third)
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "model": MODEL})
    assert (reply.status, reply.error["code"]) == (502, "upstream_error")
    record = await proxy.settled(reply.id)
    assert [(attempt["upstream"], attempt["outcome"]) for attempt in record["attempts"]] == [
        ("chat", "upstream_error"),
        ("chat-2", "upstream_error"),
    ]
    assert not third.server.received
    assert (await proxy.metrics())["jevons_retries_total"] == {("chat",): 1, ("chat-2",): 0, ("chat-3",): 0}


async def test_no_upstream_at_all_is_503(start_proxy):
    """Every candidate is tried, and the last one's reason is given, without its address."""
    proxy = await start_proxy(nowhere(), nowhere())
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "model": MODEL, "stream": True})
    assert (reply.status, reply.error["code"]) == (503, "upstream_unavailable")
    assert reply.error["message"] == "Upstream 'chat-2' cannot be reached: Connection refused."
    record = await proxy.energy(reply.id)
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["upstream_error"] * 2
    assert record["outcome"] == "upstream_error"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
async def test_a_response_is_continued_where_it_lies(start_upstream, start_proxy, stream):
    """`previous_response_id` goes to the upstream that holds it, whichever model is asked for."""
    first, second = await start_upstream(remembers=9), await start_upstream(remembers=9)
    proxy = await start_proxy(first, second)
    body = {**BODIES["/v1/responses"], "stream": stream, "max_output_tokens": 5}
    reply = await proxy.post("/v1/responses", {**body, "model": "chat-2"})
    assert reply.headers["x-jevons-upstream"] == "chat-2"
    response_id = reply.body.partition(b'"id":"')[2].partition(b'"')[0].decode()
    reply = await proxy.post("/v1/responses", {**body, "previous_response_id": response_id})
    assert reply.status == 200
    assert reply.headers["x-jevons-upstream"] == "chat-2"
    assert reply.headers["x-jevons-route"] == "caller:response;to=chat-2"
    assert len(first.server.received) == 0


async def test_a_rejected_request_goes_nowhere(start_upstream, start_proxy):
    """An unknown model is 404 with OpenAI's code, costs nothing, and is counted as rejected."""
    upstream = await start_upstream(remembers=1)
    proxy = await start_proxy(upstream)
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "model": "gpt-5"})
    assert reply.status == 404
    assert reply.error["code"] == "model_not_found"
    assert reply.error["param"] == "model"
    assert reply.error["type"] == "invalid_request_error"
    assert not {"x-jevons-route", "x-jevons-upstream"} & reply.headers.keys()
    assert not upstream.server.received
    record = await proxy.energy(reply.id)
    assert (record["outcome"], record["attempts"], record["upstream"]) == ("rejected", [], None)
    assert record["energy"]["joules"] is None
    metrics = await proxy.metrics()
    assert metrics["jevons_requests_total"]["rejected", "other"] == 1
    assert metrics["jevons_route_decisions_total"]["rejected", "caller"] == 1


async def test_connections_to_an_upstream_are_used_again(start_scripted, start_proxy):
    """One after the other, streamed or not, and after an error, requests share a connection."""
    event = b'data: {"choices":[{"finish_reason":"stop"}]}\n\n'
    scripts = [
        replies(http_reply(b"{}")),
        streams(event),
        replies(http_reply(b"no", 500)),
        streams(event),
        replies(http_reply(b"{}")),
    ]
    upstream = await start_scripted(in_turn(*scripts))
    proxy = await start_proxy(upstream)
    await proxy.ready()
    statuses = [(await proxy.post(CHAT, {**BODIES[CHAT], "stream": True})).status for _ in scripts]
    assert statuses == [200, 200, 500, 200, 200]
    assert len({call.connection for call in upstream.calls}) == 1


# What it costs


async def test_the_joules_of_thirty_two_streams_are_the_attributed_energy(start_upstream, start_proxy):
    """The four accounts sum to the device, and the requests' energies to what is attributed, both to 1e-9."""
    servers = [await start_upstream(), await start_upstream(thinks=Reasoning.ALWAYS)]
    proxy = await start_proxy(*servers)
    balance = proxy.balance()

    async def ask(number):
        body = {"messages": [{"role": "user", "content": f"Question {number}"}], "max_tokens": 10 + 7 * number, "stream": True}
        return await proxy.post(CHAT, {**body, "model": f"chat-{1 + number % 2}".removesuffix("-1")})

    answers = await asyncio.gather(*(ask(number) for number in range(32)))
    assert {reply.status for reply in answers} == {200}
    records = [await proxy.settled(reply.id) for reply in answers]
    metrics = await proxy.metrics()
    (device,) = metrics["jevons_device_energy_joules_total"].values()
    accounts = {account: joules for (account, _), joules in metrics["jevons_energy_joules_total"].items()}
    assert sum(accounts.values()) == pytest.approx(device, rel=1e-9)
    assert sum(record["energy"]["joules"] for record in records) == pytest.approx(accounts["attributed"], rel=1e-9)
    assert accounts["bypass"] == accounts["unresolved"] == 0
    assert proxy.balance() == pytest.approx(balance, abs=1e-9 * device)
    assert metrics["jevons_request_energy_joules_sum"].keys() == {("chat",), ("chat-2",)}
    assert sum(metrics["jevons_request_energy_joules_sum"].values()) == pytest.approx(accounts["attributed"], rel=1e-9)


async def test_a_request_in_flight_has_a_record(start_upstream, start_proxy):
    """Its energy is provisional whatever is known of it; neither it nor its try has an outcome yet."""
    upstream = await start_upstream(quirks=Quirks(hang=Hang.BEFORE_FIRST_CHUNK))
    proxy = await start_proxy(upstream)
    async with proxy.dial() as client:
        await client.post(CHAT, {**BODIES[CHAT], "stream": True}, {"x-request-id": "mine"})
        _, headers = await client.reply_head()
        record = await proxy.energy(headers["x-request-id"])
        assert record["client_request_id"] == "mine"
        assert record["outcome"] is None
        assert record["energy"]["status"] == "provisional"
        assert [attempt["outcome"] for attempt in record["attempts"]] == [None]
        assert await proxy.in_flight() == 1


@pytest.mark.parametrize("path", BODIES)
async def test_final_energy_is_waited_for(start_upstream, start_proxy, path):
    """`x-jevons-energy: final` holds the reply until its energy is settled: that of the record, to the last digit."""
    proxy = await start_proxy(await start_upstream())
    wish = {"x-jevons-energy": "final"}
    body = {**BODIES[path], "max_tokens": 20}
    streamed = {**body, "stream": True, "stream_options": {"include_usage": True}}
    whole, stream = await asyncio.gather(proxy.post(path, body, wish), proxy.post(path, streamed, wish))
    assert whole.json["usage"]["energy"] == (await proxy.energy(whole.id))["energy"]
    assert whole.json["usage"]["energy"]["status"] == "final"
    assert whole.headers["x-jevons-energy-joules"] == f"{whole.json['usage']['energy']['joules']:.6f}"
    assert stream.body.count(b'"status":"final"') == 1
    energy = json.dumps((await proxy.energy(stream.id))["energy"], separators=(",", ":"))
    assert energy.encode() in stream.body


async def test_energy_that_does_not_settle_in_a_second_is_provisional(start_upstream, start_proxy):
    """A neighbour that waits for its first token holds the bins open: the reply is held for a second and no longer."""
    upstream = await start_upstream(quirks=Quirks(hang=Hang.BEFORE_FIRST_CHUNK))
    proxy = await start_proxy(upstream)
    async with proxy.dial() as client:
        await client.post(CHAT, {**BODIES[CHAT], "stream": True})
        await client.reply_head()
        upstream.server.quirks = Quirks()
        async with asyncio.timeout(5):
            reply = await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 5}, {"x-jevons-energy": "final"})
    assert reply.json["usage"]["energy"]["status"] == "provisional"
    assert (await proxy.settled(reply.id))["energy"]["joules"] > 0


async def test_what_puts_no_work_on_a_device_costs_nothing(start_upstream, start_proxy):
    """Counting tokens is not metered: no energy in the reply, none in the record."""
    proxy = await start_proxy(await start_upstream())
    reply = await proxy.post("/v1/messages/count_tokens", BODIES[CHAT])
    assert reply.json == {"input_tokens": 10}
    assert "x-jevons-energy-joules" not in reply.headers
    assert (await proxy.energy(reply.id))["energy"]["joules"] is None


async def test_a_hundred_and_fifty_streams_run_at_once(start_scripted, start_proxy):
    """There is no cap on connections, in either direction."""
    is_open = asyncio.Event()
    event = b'data: {"choices":[{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'

    async def script(call):
        await call.send(stream_head(), chunk(event))
        await is_open.wait()
        await call.send(chunk(b""))

    upstream = await start_scripted(script)
    proxy = await start_proxy(upstream)
    asking = [asyncio.create_task(proxy.post(CHAT, {**BODIES[CHAT], "stream": True})) for _ in range(150)]
    await until(lambda: len(upstream.calls) == 150)
    assert await proxy.in_flight() == 150
    is_open.set()
    assert {(reply.status, reply.body) for reply in await asyncio.gather(*asking)} == {(200, event)}
    assert await proxy.in_flight() == 0
