"""The fallback policy: further candidates, in an order that can be foreseen."""

from policy_cases import CHAT, HYBRID, THINKER, facts, request, upstream

from jevons.policies.fallback import FallbackPolicy
from jevons.proxy.exchange import Plan, Target, Tier

SPARE = upstream("spare")
ALL = facts(CHAT, THINKER, HYBRID, SPARE)


def then(policy, plan):
    """The candidates behind the first."""
    return policy.decide(request(), plan, ALL).candidates[1:]


def test_every_other_follows_those_of_the_tier_first():
    """A hybrid model is set to the tier, and so is one of it."""
    direct, reasoning = Plan((Target(CHAT),), (), "direct"), Plan((Target(THINKER),), (), "reasoning")
    assert then(FallbackPolicy(), direct) == (Target(HYBRID, thinking=False), Target(SPARE), Target(THINKER))
    assert then(FallbackPolicy(), reasoning) == (Target(HYBRID, thinking=True), Target(CHAT), Target(SPARE))


def test_named_ones_follow_in_their_order():
    """Each once, whoever is in the plan already left out, and names that a reload has taken away too."""
    plan = Plan((Target(CHAT),), (), "direct")
    assert then(FallbackPolicy(["thinker", "spare", "chat", "spare", "gone"]), plan) == (Target(THINKER), Target(SPARE))


def test_a_pinned_model_has_no_substitute():
    """Who asked for one model is not given another."""
    verdict = FallbackPolicy().decide(request(), Plan((Target(CHAT),), (), "pinned"), ALL)
    assert verdict.candidates == (Target(CHAT),)
    assert str(verdict.reasons[-1]) == "fallback:pinned"


def test_nothing_above_the_ceiling():
    """Where reasoning is not allowed, no fallback reasons."""
    plan = Plan((Target(CHAT),), (), "direct", Tier.DIRECT)
    assert then(FallbackPolicy(), plan) == (Target(HYBRID, thinking=False), Target(SPARE))


def test_alone_there_is_nobody_else():
    """And the word says so."""
    verdict = FallbackPolicy().decide(request(), Plan((Target(CHAT),), (), "direct"), facts(CHAT))
    assert str(verdict.reasons[-1]) == "fallback:nobody else"
