"""Policies through the whole proxy: escalation, thinking and budgets, as the client, the server and the record see them."""

import asyncio
import json

import pytest
from proxy_client import BODIES, CHAT, free_port
from scripted_upstream import http_reply, in_turn, replies
from simulated_upstream import until

from jevons.proxy.exchange import Reasoning
from jevons.proxy.simulation.quirks import Quirks

pytest_plugins = ["proxy_fixture"]

ESCALATE = [{"type": "escalate"}]


def answer(content="Lima.", finish="stop", **message):
    """A script that answers with this message."""
    choice = {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
    return replies(http_reply(json.dumps({"id": "x", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()))


async def pair(start_scripted, start_proxy, first, second, **config):
    """A proxy before a direct and a reasoning model that answer as the scripts say."""
    servers = [await start_scripted(first), await start_scripted(second)]
    proxy = await start_proxy(servers[0], {"url": servers[1].url, "reasoning": "always"}, **config)
    return proxy, servers


async def test_an_answer_that_will_not_do_is_not_given_out(start_scripted, start_proxy):
    """Reasoning answers; both tries are in the record, and the client pays for both and is told so."""
    proxy, _ = await pair(start_scripted, start_proxy, answer("Lim", "length"), answer("Lima."), policies=ESCALATE)
    reply = await proxy.post(CHAT, BODIES[CHAT], {"x-jevons-energy": "final"})
    assert reply.json["choices"][0]["message"]["content"] == "Lima."
    assert reply.headers["x-jevons-route"] == "escalate:length;to=chat-2"
    assert reply.headers["x-jevons-upstream"] == "chat-2"
    record = await proxy.settled(reply.id)
    tries = [(attempt["upstream"], attempt["outcome"]) for attempt in record["attempts"]]
    assert tries == [("chat", "rejected"), ("chat-2", "ok")]
    assert record["reasons"] == [
        "caller:no match",
        "default:direct;to=direct",
        "limits:fits",
        "escalate:length;to=reasoning",
        "limits:fits",
    ]
    joules = [attempt["energy"]["joules"] for attempt in record["attempts"]]
    assert record["energy"]["joules"] == pytest.approx(sum(joules))
    assert record["outcome"] == "ok"
    metrics = await proxy.metrics()
    decisions = metrics["jevons_route_decisions_total"]
    assert [decisions["direct", "default"], decisions["reasoning", "escalate"]] == [1, 1]
    assert await proxy.in_flight() == 0


async def test_a_good_answer_is_given_out_as_it_is(start_scripted, start_proxy):
    """One try, and nobody else is asked."""
    proxy, servers = await pair(start_scripted, start_proxy, answer(), answer("No!"), policies=ESCALATE)
    reply = await proxy.post(CHAT, BODIES[CHAT])
    assert reply.json["choices"][0]["message"]["content"] == "Lima."
    assert servers[1].calls == []


async def test_broken_json_is_escalated_by_the_clients_schema(start_scripted, start_proxy):
    """As `response_format` gave it."""
    schema = {"type": "json_schema", "json_schema": {"name": "c", "schema": {"type": "object", "required": ["city"]}}}
    proxy, _ = await pair(start_scripted, start_proxy, answer('{"town": 1}'), answer('{"city": 1}'), policies=ESCALATE)
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "response_format": schema})
    assert reply.json["choices"][0]["message"]["content"] == '{"city": 1}'


async def breaks_off(call):
    """A script that leaves in the middle of its reply."""
    await call.send(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{")
    call.writer.close()


@pytest.mark.parametrize(
    "fails",
    [replies(http_reply(b'{"error": "down"}', 500)), breaks_off, None],
    ids=["500", "broken off", "unreachable"],
)
async def test_where_reasoning_fails_the_first_answer_is_better_than_none(start_scripted, start_proxy, fails):
    """It is given out after all, with the joules of both tries."""
    first = await start_scripted(answer("Lim", "length"))
    second = {"url": f"http://127.0.0.1:{free_port()}"} if fails is None else {"url": (await start_scripted(fails)).url}
    proxy = await start_proxy(first, {**second, "reasoning": "always"}, policies=ESCALATE)
    reply = await proxy.post(CHAT, BODIES[CHAT])
    assert (reply.status, reply.json["choices"][0]["message"]["content"]) == (200, "Lim")
    record = await proxy.settled(reply.id)
    assert [attempt["outcome"] for attempt in record["attempts"]] == ["rejected", "upstream_error"]
    assert record["outcome"] == "ok"


@pytest.mark.parametrize(
    ("fields", "headers"),
    [({"model": "chat"}, {}), ({}, {"x-jevons-tier": "direct"}), ({"n": 2}, {})],
    ids=["pinned", "asked to be direct", "several answers"],
)
async def test_what_is_not_escalated(start_scripted, start_proxy, fields, headers):
    """The caller's word stands."""
    proxy, servers = await pair(start_scripted, start_proxy, answer("Lim", "length"), answer(), policies=ESCALATE)
    reply = await proxy.post(CHAT, {**BODIES[CHAT], **fields}, headers)
    assert reply.json["choices"][0]["message"]["content"] == "Lim"
    assert servers[1].calls == []


async def test_a_client_that_leaves_during_an_escalation_stops_it(start_scripted, start_proxy):
    """Both tries are in the record with their joules, and its budget's reservation is given back."""

    async def hangs(call):
        await call.forever()

    budget = {"type": "budget", "budgets": [{"name": "day", "joules": 1e9}]}
    policies = [*ESCALATE, budget]
    proxy, servers = await pair(start_scripted, start_proxy, answer("Lim", "length"), hangs, policies=policies)
    balances = proxy.app.router.memory.balances
    balance = proxy.balance()
    asking = asyncio.create_task(proxy.post(CHAT, BODIES[CHAT], {"x-request-id": "mine"}))
    await until(lambda: servers[1].calls)
    assert balances.reservations == 1
    asking.cancel()
    await asyncio.wait([asking])
    await until(servers[1].calls[0].has_left.is_set)
    await until(lambda: balances.reservations == 0)
    record = await proxy.settled(proxy.find("mine"))
    tries = [(attempt["upstream"], attempt["outcome"]) for attempt in record["attempts"]]
    assert (record["outcome"], tries) == ("cancelled", [("chat", "rejected"), ("chat-2", "cancelled")])
    joules = [attempt["energy"]["joules"] for attempt in record["attempts"]]
    assert record["energy"]["joules"] == pytest.approx(sum(joules), rel=1e-12)
    assert await proxy.in_flight() == 0
    assert proxy.balance() == pytest.approx(balance, abs=1e-6)


# Thinking


async def test_how_much_to_think_reaches_the_server(start_upstream, start_proxy):
    """A budget as vLLM takes it; the client's own effort instead of the configured one."""
    upstream = await start_upstream(thinks=Reasoning.SWITCHABLE, remembers=4)
    thinking = [{"type": "thinking", "level": 2000, "needs_tokens": 0}]
    proxy = await start_proxy({"url": upstream.url, "reasoning": "switchable"}, policies=thinking, default="reasoning")
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 10})
    sent = json.loads(upstream.server.received[-1].body)
    assert (sent["thinking_token_budget"], sent["chat_template_kwargs"]["enable_thinking"]) == (2000, True)
    assert "thinking:2000 tokens" in (await proxy.energy(reply.id))["reasons"]
    await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 10, "reasoning_effort": "low"})
    sent = json.loads(upstream.server.received[-1].body)
    assert (sent["reasoning_effort"], "thinking_token_budget" in sent) == ("low", False)


async def test_too_few_tokens_to_think_in(start_upstream, start_proxy):
    """Direct, where nobody but a policy wanted reasoning."""
    upstream = await start_upstream(thinks=Reasoning.SWITCHABLE)
    proxy = await start_proxy(
        {"url": upstream.url, "reasoning": "switchable"}, policies=[{"type": "thinking"}], default="reasoning"
    )
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 500})
    assert reply.headers["x-jevons-route"] == "limits:max_tokens;to=chat"
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 500}, {"x-jevons-tier": "reasoning"})
    assert reply.headers["x-jevons-route"] == "caller:x-jevons-tier=reasoning;to=chat"


@pytest.mark.parametrize("repair", [False, True])
async def test_an_answer_that_came_as_reasoning(start_scripted, start_proxy, repair):
    """Flagged and counted always; put into `content` where that was asked for, and else the server's bytes are the client's."""
    server = await start_scripted(answer(None, reasoning="Lima."))
    thinking = [{"type": "thinking", "repair": repair}]
    proxy = await start_proxy({"url": server.url, "reasoning": "switchable"}, policies=thinking)
    reply = await proxy.post(CHAT, BODIES[CHAT])
    message = reply.json["choices"][0]["message"]
    assert (message["content"], message["reasoning"]) == (("Lima.", None) if repair else (None, "Lima."))
    record = await proxy.energy(reply.id)
    assert "thinking:off, and the answer came as reasoning" in record["reasons"]
    assert (await proxy.metrics())["jevons_switch_not_honoured_total"]["chat",] == 1


async def test_thinking_that_did_not_come_is_counted(start_upstream, start_proxy):
    """Where the server counts reasoning and counts none."""
    upstream = await start_upstream(thinks=Reasoning.SWITCHABLE, quirks=Quirks(ignores_thinking_switch=True))
    proxy = await start_proxy({"url": upstream.url, "reasoning": "switchable"})
    await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 20}, {"x-jevons-tier": "reasoning"})
    counted = (await proxy.metrics())["jevons_switch_not_honoured_total"]["chat",]
    await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 20}, {"x-jevons-tier": "direct"})
    assert (await proxy.metrics())["jevons_switch_not_honoured_total"]["chat",] == counted + 1


# Budgets


async def test_a_spent_budget_is_429_with_the_time_of_its_renewal(start_upstream, start_proxy):
    """What has been used is what was measured; other requests are refused before anybody is asked."""
    upstream = await start_upstream(remembers=9)
    budget = {
        "type": "budget",
        "reserve_joules": 1e-6,
        "budgets": [{"name": "hour", "joules": 1e-3, "window": "hour", "then": "refuse"}],
    }
    proxy = await start_proxy(upstream, policies=[budget])
    first = await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 20})
    assert first.status == 200
    await proxy.settled(first.id)
    refused = await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 20})
    assert (refused.status, refused.error["code"], refused.error["type"]) == (429, "energy_budget_spent", "insufficient_quota")
    assert 0 < int(refused.headers["retry-after"]) <= 3600
    assert len(upstream.server.received) == 1
    assert (await proxy.metrics())["jevons_route_decisions_total"]["rejected", "budget"] == 1


async def test_forty_at_once_do_not_overdraw(start_upstream, start_proxy):
    """Room for ten: ten go, thirty are refused, and nothing stays reserved, whoever was cancelled in between."""
    upstream = await start_upstream()
    budget = {"type": "budget", "reserve_joules": 1e6, "budgets": [{"name": "day", "joules": 1e7, "then": "refuse"}]}
    proxy = await start_proxy(upstream, policies=[budget])
    body = {**BODIES[CHAT], "max_tokens": 400, "min_tokens": 400}
    asking = [asyncio.create_task(proxy.post(CHAT, body)) for _ in range(40)]
    balances = proxy.app.router.memory.balances
    await until(lambda: sum(task.done() for task in asking) == 30)
    assert balances.reservations == 10
    going = [task for task in asking if not task.done()]
    for task in going[:5]:
        task.cancel()
    await asyncio.wait(asking)
    statuses = sorted(task.result().status for task in asking if not task.cancelled())
    assert statuses == [200] * 5 + [429] * 30
    await until(lambda: balances.reservations == 0)


async def test_a_queued_request_goes_when_there_is_room(start_scripted, start_proxy):
    """It waits for the one before it, and for no longer than it may; a client that leaves waits for nobody."""
    release = asyncio.Event()

    async def slow(call):
        await release.wait()
        await answer()(call)

    server = await start_scripted(in_turn(slow, answer()))
    limits = {"name": "day", "joules": 1e6, "then": "queue", "queue_seconds": 60}
    proxy = await start_proxy(server, policies=[{"type": "budget", "reserve_joules": 6e5, "budgets": [limits]}])
    asking = [asyncio.create_task(proxy.post(CHAT, BODIES[CHAT])) for _ in range(2)]
    await until(lambda: server.calls)
    leaving = asyncio.create_task(proxy.post(CHAT, BODIES[CHAT]))
    await asyncio.sleep(0.1)
    assert len(server.calls) == 1
    leaving.cancel()
    release.set()
    replies_ = await asyncio.gather(*asking)
    assert [reply.status for reply in replies_] == [200, 200]
    await until(lambda: proxy.app.router.memory.balances.reservations == 0)
