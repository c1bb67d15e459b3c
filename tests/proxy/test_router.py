"""What decides now, and what it knows: facts where somebody looks at them, and answers that teach what they cost."""

from proxy_client import BODIES, CHAT
from simulated_upstream import until

from jevons.proxy.exchange import Tier, Upstream
from jevons.proxy.holdout import LEAST_PAIRS, Pair
from jevons.proxy.router import with_running_devices

pytest_plugins = ["proxy_fixture"]

BUDGET = {"type": "budget", "budgets": [{"name": "day", "joules": 1e9}]}


async def test_costs_are_gathered_where_a_policy_looks_at_them(start_upstream, start_proxy):
    """A budget does: after an answer its joules per token and its length are known, and what is in flight."""
    proxy = await start_proxy(await start_upstream(), policies=[BUDGET])
    assert proxy.app.router.facts().joules_per_token == {}
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 30})
    record = await proxy.settled(reply.id)
    await until(lambda: proxy.app.router.costs.joules_per_token)
    facts = proxy.app.router.facts()
    tokens = record["tokens"]["completion"]
    assert facts.completion_tokens == {("chat", Tier.DIRECT): tokens}
    assert facts.joules_per_token["chat"] * tokens == record["energy"]["joules"]
    assert facts.in_flight == {"chat": 0}
    assert facts.watts > 0
    assert facts.gco2e_per_kwh is None


async def test_without_such_a_policy_nothing_is_learned(start_upstream, start_proxy):
    """It would be work for nobody."""
    proxy = await start_proxy(await start_upstream())
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 30})
    await proxy.settled(reply.id)
    assert proxy.app.router.costs.joules_per_token == {}
    assert proxy.app.router.facts().watts is None
    assert proxy.app.router.report() is None


def test_devices_stay_those_of_the_running_upstream():
    """The address, the model and the rest are taken over."""
    before = Upstream("chat", "http://a/v1", "m", devices=("GPU-1",))
    after = Upstream("chat", "http://b/v1", "n", devices=("GPU-2",))
    new = Upstream("new", "http://c/v1", "o", devices=("GPU-3",))
    assert with_running_devices([after, new], {"chat": before}) == [Upstream("chat", "http://b/v1", "n", devices=("GPU-1",)), new]


async def test_standings_and_saving_reach_the_live_page_and_the_metrics(start_upstream, start_proxy):
    """A budget that is used is shown with its holder; a saving only once it has an interval."""
    proxy = await start_proxy(await start_upstream(), policies=[BUDGET])
    assert proxy.app.router.standings() == []
    reply = await proxy.post(CHAT, {**BODIES[CHAT], "max_tokens": 30})
    record = await proxy.settled(reply.id)
    await until(lambda: proxy.app.router.memory.balances.reservations == 0)
    [shown] = proxy.app.live.state()["budgets"]
    assert (shown["name"], shown["holder"], shown["limit_joules"]) == ("day", "default", 1e9)
    assert shown["used_joules"] == record["energy"]["joules"]
    metrics = await proxy.metrics()
    assert metrics["jevons_budget_used_joules"]["day", "default"] == shown["used_joules"]
    assert proxy.app.live.state()["saving"] is None


async def test_a_saving_with_its_interval(start_upstream, start_proxy):
    """Share, bounds and how many pairs it rests on."""
    proxy = await start_proxy(await start_upstream())
    holdout = proxy.app.router.holdout
    holdout._pairs.extend([Pair(Tier.DIRECT, 20.0, 100.0)] * LEAST_PAIRS)
    saving = proxy.app.live.state()["saving"]
    assert saving.keys() == {"share", "low", "high", "samples"}
    assert saving["samples"] == LEAST_PAIRS
    assert saving["low"] <= saving["share"] <= saving["high"]
