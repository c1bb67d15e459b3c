from __future__ import annotations

import pytest
from policy_cases import CHAT, HYBRID, PAIR, THINKER, facts, request, upstream

from jevons.policies.caller import CallerPolicy
from jevons.policies.policy import Facts, Reject, Verdict
from jevons.proxy.errors import BadRequest, ModelNotFound
from jevons.proxy.exchange import Plan, Reason, Request, Target, Tier


def decide(asked: Request, known: Facts = PAIR) -> Verdict:
    """What the caller policy says first of all."""
    return CallerPolicy().decide(asked, Plan(), known)


def planned(asked: Request, known: Facts = PAIR) -> Plan:
    """The plan, where it is one."""
    verdict = decide(asked, known)
    assert isinstance(verdict, Plan)
    return verdict


def refused(asked: Request, known: Facts = PAIR) -> Reject:
    """The rejection, where it is one."""
    verdict = decide(asked, known)
    assert isinstance(verdict, Reject)
    return verdict


@pytest.mark.parametrize("model", ["thinker", "thinker-model"])
def test_a_model_is_pinned_by_name_or_by_model(model):
    """An upstream's name and its model both pin it."""
    plan = planned(request(model=model))
    assert plan.candidates == (Target(THINKER),)
    assert plan.decision == "pinned"
    assert plan.route == "caller:model;to=thinker"


def test_several_upstreams_of_one_model_are_all_candidates():
    """A model that several upstreams serve may go to each of them, in the order of the configuration."""
    first, second = upstream("b", model="m"), upstream("a", model="m")
    assert planned(request(model="m"), facts(first, CHAT, second)).candidates == (Target(first), Target(second))


def test_a_name_wins_over_a_model():
    """A word that is one upstream's name and another's model means the one of that name."""
    named, serving = upstream("m", model="x"), upstream("a", model="m")
    assert planned(request(model="m"), facts(serving, named)).candidates == (Target(named),)


def test_an_unknown_model_is_not_found():
    """A model that nobody serves is refused as OpenAI does, and named."""
    rejection = refused(request(model="gpt-9"))
    assert isinstance(rejection.error, ModelNotFound)
    assert rejection.policy == "caller"
    assert "gpt-9" in rejection.error.message


def test_an_earlier_response_stays_where_it_is_held():
    """A request that continues a response goes to the upstream that holds it, whatever tier it asks for."""
    known = facts(CHAT, THINKER, response_upstreams={"resp_1": "thinker"})
    for model in ("auto", "chat"):
        plan = planned(request(model=model, previous_response_id="resp_1", tier=Tier.DIRECT), known)
        assert plan.candidates == (Target(THINKER),)
        assert plan.decision == "pinned"
        assert plan.reasons == (Reason("caller", "response", "thinker"),)


def test_an_unknown_earlier_response_decides_nothing():
    """A response id that we never saw, or whose upstream is gone, leaves the choice to others."""
    assert planned(request(previous_response_id="resp_2")).candidates == ()
    gone = facts(CHAT, response_upstreams={"resp_1": "thinker"})
    assert planned(request(previous_response_id="resp_1"), gone).candidates == ()


@pytest.mark.parametrize(("tier", "target"), [(Tier.DIRECT, CHAT), (Tier.REASONING, THINKER)])
def test_the_header_chooses_the_tier(tier, target):
    """An explicit tier goes to whoever serves it, before the effort is looked at."""
    plan = planned(request(tier=tier, reasoning_effort="low"))
    assert plan.candidates == (Target(target),)
    assert plan.decision == tier
    assert plan.reasons == (Reason("caller", f"x-jevons-tier={tier}", tier),)


@pytest.mark.parametrize(
    ("effort", "target"),
    [("none", CHAT), ("minimal", CHAT), ("low", THINKER), ("medium", THINKER), ("high", THINKER), ("xhigh", THINKER)],
)
def test_the_effort_chooses_the_tier(effort, target):
    """No effort to speak of is a direct answer, any other is reasoning."""
    plan = planned(request(reasoning_effort=effort))
    assert plan.candidates == (Target(target),)
    assert plan.route == f"caller:reasoning_effort={effort};to={target.name}"


@pytest.mark.parametrize("fields", [{}, {"reasoning_effort": "enormous"}, {"reasoning_effort": ""}])
def test_a_caller_who_says_nothing_decides_nothing(fields):
    """Without a word that we know the next policy is asked."""
    plan = planned(request(**fields))
    assert plan.candidates == ()
    assert plan.reasons == (Reason("caller", "no match", ""),)


@pytest.mark.parametrize(
    ("fields", "source"),
    [({"tier": Tier.REASONING}, "x-jevons-tier"), ({"reasoning_effort": "high"}, "reasoning_effort")],
)
def test_a_tier_that_nobody_serves_is_refused(fields, source):
    """What was asked for explicitly and cannot be had is a bad request that names where it was asked."""
    rejection = refused(request(**fields), facts(CHAT))
    assert isinstance(rejection.error, BadRequest)
    assert rejection.error.param == source
    assert source in rejection.error.message
    assert "reasoning" in rejection.error.message


@pytest.mark.parametrize(("tier", "thinking"), [(Tier.DIRECT, False), (Tier.REASONING, True), (None, None)])
@pytest.mark.parametrize("model", ["auto", "hybrid"])
def test_a_tier_switches_a_hybrid_model(model, tier, thinking):
    """On a hybrid model, routed or pinned, an explicit tier sets the thinking; else the server's default stays."""
    plan = planned(request(model=model, tier=tier), facts(HYBRID))
    expected = (Target(HYBRID, thinking),) if tier is not None or model == "hybrid" else ()
    assert plan.candidates == expected


def test_a_pin_wins_over_a_tier():
    """A pinned model without a switch is used as it is, whatever tier is asked."""
    assert planned(request(model="chat", tier=Tier.REASONING)).candidates == (Target(CHAT),)
