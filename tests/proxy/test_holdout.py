"""The holdout: who is drawn, what the client notices of it, whose the joules are, and the saving that comes out."""

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import PAIR, THINKER, facts, request, upstream
from proxy_client import BODIES, CHAT
from simulated_upstream import until

from jevons.proxy.exchange import Attempt, Endpoint, Energy, Outcome, Plan, Reason, Reasoning, Record, Target, Tier, Usage
from jevons.proxy.holdout import LEAST_PAIRS, TENANT, Holdout, Nobody, Pair, PairSums, measure_saving

pytest_plugins = ["proxy_fixture"]

DIRECT = Plan((Target(PAIR.upstreams["chat"]),), (), "direct")


def holdout(known=PAIR, *, share=1.0, at_once=1, other=500.0, gate=None, attempts=()):
    """A holdout before a model that takes so many joules; and whom it has asked."""
    asked = []

    async def ask(arm, target, of):
        asked.append((arm, target, of))
        if gate is not None:
            await gate.wait()
        return Record(arm.id, arm.tenant, Endpoint.CHAT, 0.0, energy=Energy(other), outcome=Outcome.OK)

    def find(request_id, tenant):
        energy = Energy(20.0)
        return Record(request_id, tenant, Endpoint.CHAT, 0.0, energy=energy, outcome=Outcome.OK, attempts=attempts)

    made = Holdout(facts=lambda: known, ask=ask, find=find, draw=random.Random(1).random)
    made.share, made.at_once = share, at_once
    return made, asked


async def test_a_routed_request_is_asked_of_the_other_tier():
    """As a request of its own, in the holdout's name, and its joules are counted apart."""
    made, asked = holdout()
    made.offer(request(tenant="alice", id="r1"), DIRECT)
    await until(lambda: made.saving.pairs == 1)
    ((arm, target, of),) = asked
    assert (target, of) == (Target(THINKER), "r1")
    assert (arm.tenant, arm.prompt) == (TENANT, request().prompt)
    assert arm.id != "r1"
    assert (made.requests, made.joules) == (1, 500.0)
    assert made.saving.value == pytest.approx(1 - 20 / 500)


@pytest.mark.parametrize(
    ("plan", "fields", "known"),
    [
        (Plan((Target(THINKER),), (), "pinned"), {}, PAIR),
        (Plan((Target(THINKER),), (Reason("caller", "x-jevons-tier=reasoning", "reasoning"),), "reasoning"), {}, PAIR),
        (DIRECT, {}, facts(PAIR.upstreams["chat"])),
        (DIRECT, {"endpoint": Endpoint.EMBEDDINGS}, PAIR),
        (DIRECT, {"tokens": 900}, facts(PAIR.upstreams["chat"], upstream("thinker", "always", context_tokens=100))),
    ],
    ids=["pinned", "the caller's tier", "no other tier", "nothing generated", "does not fit"],
)
async def test_what_has_no_other_arm_is_not_drawn(plan, fields, known):
    """A pin is the caller's; and what the other model cannot take is not sent there."""
    made, asked = holdout(known)
    made.offer(request(**fields), plan)
    await asyncio.sleep(0)
    assert (made.requests, asked) == (0, [])


async def test_the_share_is_drawn_and_no_more_run_than_may():
    """About the share of them; while as many run as may, none is drawn; closing stops what runs."""
    made, asked = holdout(share=0.25, at_once=1000)
    for _ in range(1000):
        made.offer(request(), DIRECT)
    await until(lambda: len(asked) == made.requests)
    assert 200 < made.requests < 300
    gate = asyncio.Event()
    made, asked = holdout(at_once=2, gate=gate)
    for _ in range(5):
        made.offer(request(), DIRECT)
    await until(lambda: len(asked) == 2)
    assert made.requests == 2
    await made.close()
    assert made.saving.pairs == 0


async def test_unknown_joules_make_no_pair():
    """Nothing is known then of the saving."""
    made, asked = holdout(other=None)
    made.offer(request(), DIRECT)
    await until(lambda: asked)
    await made.close()
    assert (made.saving.pairs, made.saving.value, made.joules) == (0, None, 0.0)


ESCALATED = Plan((Target(THINKER),), (Reason("rules", "x", "direct"), Reason("escalate", "json", "reasoning")), "reasoning")
REFUSED = Attempt("chat", Outcome.REJECTED, Usage(), Energy(4.0))


async def test_an_escalated_request_is_a_pair_already():
    """Both tiers have answered it: as routed it took both answers, and reasoning alone would have spared the first."""
    made, asked = holdout(attempts=(REFUSED, Attempt("thinker", Outcome.OK, Usage(), Energy(16.0))))
    made.offer(request(), ESCALATED)
    await until(lambda: made.saving.pairs == 1)
    assert asked == []
    assert made.requests == 0
    assert made.sums == PairSums(1, 20.0, 16.0)
    assert made.saving.value == pytest.approx(-0.25)


@pytest.mark.parametrize("energy", [Energy(16.0), Energy(None)])
async def test_an_escalation_that_failed_is_no_pair(energy):
    """What reasoning would have taken is not known where it gave no answer, or its joules are not known."""
    outcome = Outcome.UPSTREAM_ERROR if energy.joules else Outcome.OK
    made, asked = holdout(attempts=(REFUSED, Attempt("thinker", outcome, Usage(), energy)))
    made.offer(request(), ESCALATED)
    (task,) = made._tasks
    await task
    assert (asked, made.saving.pairs, made.sums) == ([], 0, PairSums())


async def test_the_sums_hold_what_is_no_longer_kept():
    """They grow with every pair, as counters do; whichever tier was routed, reasoning is reasoning."""
    made, _ = holdout(at_once=10)
    made._pairs = type(made._pairs)(maxlen=1)
    made.offer(request(), DIRECT)
    made.offer(request(), Plan((Target(THINKER),), (), "reasoning"))
    await until(lambda: made.sums.pairs == 2)
    assert made.saving.pairs == 1
    assert made.sums == PairSums(2, 40.0, 520.0)


def test_the_interval_covers_the_truth():
    """Of samples from a known population, some 95 in 100 intervals hold its saving."""
    dice = random.Random(7)
    direct_share, hits = 0.7, 0
    truth = 1 - (0.7 * 50 + 0.3 * 600) / 600
    for _ in range(300):
        pairs = []
        for _ in range(200):
            reasoning = dice.expovariate(1 / 600)
            is_direct = dice.random() < direct_share
            own = dice.expovariate(1 / 50) if is_direct else reasoning
            pairs.append(Pair(Tier.DIRECT, own, reasoning) if is_direct else Pair(Tier.REASONING, own, 50.0))
        saving = measure_saving(pairs)
        hits += saving.low <= truth <= saving.high
    assert 0.9 < hits / 300 < 0.99


@given(st.lists(st.tuples(st.sampled_from(Tier), st.floats(0.1, 1e6), st.floats(0.1, 1e6)), max_size=40))
def test_an_interval_is_given_when_there_is_enough(rows):
    """Below so many pairs only the estimate, and none of none; else the estimate lies within."""
    saving = measure_saving([Pair(*row) for row in rows])
    assert (saving.value is None) == (not rows)
    assert (saving.low is None) == (len(rows) < LEAST_PAIRS)
    if saving.low is not None:
        assert saving.low <= saving.value <= saving.high


async def test_nobody_takes_everything_and_waits_for_nothing():
    """The downstream of an answer that is for nobody."""
    nobody = Nobody()
    await nobody.start(200, {})
    nobody.put(b"x")
    await nobody.write(b"x")
    await nobody.finish()
    nobody.abort()
    await nobody.reply(200, {}, b"x")
    assert nobody.has_started
    assert not nobody.is_full


async def test_through_the_proxy_the_client_pays_its_own_arm(start_upstream, start_proxy):
    """Its answer comes at once, its record has one try; the other arm is a record of its own, and the joules add up."""
    servers = [await start_upstream(), await start_upstream(thinks=Reasoning.ALWAYS)]
    proxy = await start_proxy(servers[0], {"url": servers[1].url, "reasoning": "always"}, holdout={"share": 0.5, "at_once": 4})
    proxy.app.router.holdout._draw = lambda: 0.1
    reply = await proxy.post(CHAT, BODIES[CHAT])
    assert reply.headers["x-jevons-upstream"] == "chat"
    own = await proxy.settled(reply.id)
    assert [attempt["upstream"] for attempt in own["attempts"]] == ["chat"]
    drawn = proxy.app.router.holdout
    await until(lambda: drawn.saving.pairs == 1)
    report = await proxy.session.get(f"{proxy.admin}/healthz")
    health = (await report.json())["holdout"]
    assert health["requests"] == 1
    assert health["saving"]["value"] == pytest.approx(1 - own["energy"]["joules"] / health["joules"])
    metrics = await proxy.metrics()
    assert metrics["jevons_holdout_requests_total"][()] == 1
    assert metrics["jevons_holdout_energy_joules_total"][()] == health["joules"]
    assert metrics["jevons_holdout_pairs_total"][()] == 1
    assert metrics["jevons_holdout_pair_energy_joules_total"]["routed",] == own["energy"]["joules"]
    assert metrics["jevons_holdout_pair_energy_joules_total"]["reasoning",] == health["joules"]
    assert metrics["jevons_measured_saving_ratio"]["estimate",] == health["saving"]["value"]
    attributed = sum(joules for (account, _), joules in metrics["jevons_energy_joules_total"].items() if account == "attributed")
    assert own["energy"]["joules"] + health["joules"] == pytest.approx(attributed, rel=1e-9)


async def test_scores_are_counted_by_arm(start_upstream, start_proxy):
    """The client's for what was routed; a judge's, in the holdout's name, for the other arm; again is not once more."""
    servers = [await start_upstream(), await start_upstream(thinks=Reasoning.ALWAYS)]
    proxy = await start_proxy(servers[0], {"url": servers[1].url, "reasoning": "always"}, holdout={"share": 0.5, "at_once": 4})
    proxy.app.router.holdout._draw = lambda: 0.1
    reply = await proxy.post(CHAT, BODIES[CHAT])
    await until(lambda: proxy.app.router.holdout.saving.pairs == 1)
    for score in (0.25, 0.25, 1.0):
        answer = await proxy.request("POST", "/v1/feedback", json={"request_id": reply.id, "score": score})
        assert answer.status == 200
    (arm,) = (record for record in proxy.app.records._records.values() if record.holdout_of == reply.id)
    assert proxy.app.records.feedback(arm.request_id, TENANT, 0.75)
    metrics = await proxy.metrics()
    assert metrics["jevons_feedback_score_sum"]["routed", "direct"] == 0.25
    assert metrics["jevons_feedback_score_count"]["routed", "direct"] == 1
    assert metrics["jevons_feedback_score_sum"]["holdout", "reasoning"] == 0.75
