"""Upstreams beyond this network: last, or never."""

from policy_cases import CHAT, THINKER, facts, request, upstream

from jevons.policies.beyond import LastResortPolicy, forbidden, permitted
from jevons.policies.chain import PolicyChain
from jevons.policies.fallback import FallbackPolicy
from jevons.policies.limits import LimitsPolicy
from jevons.policies.policy import Reject
from jevons.proxy.exchange import Dialect, Endpoint, Plan, Target, Tier

CLOUD = upstream("cloud", dialect=Dialect.LITELLM, last_resort=True)
BRAIN = upstream("brain", "always", dialect=Dialect.LITELLM, last_resort=True)
ALL = facts(CLOUD, BRAIN, CHAT, THINKER)
DIRECT = Plan((Target(CHAT),), (), "direct")


def names(plan):
    """Who may be asked, in order."""
    return [target.upstream.name for target in plan.candidates]


def chain(*limits):
    """The choice by default, and these limits."""
    return PolicyChain([], [*limits, LastResortPolicy(), LimitsPolicy()], "direct")


def test_last_resorts_are_behind_all_others():
    """Also behind those of another tier that a fallback brings; and the plan says so."""
    plan = chain(FallbackPolicy()).decide(request(), ALL).plan
    assert names(plan) == ["chat", "thinker", "cloud", "brain"]
    plan = chain().decide(request(), ALL).plan
    assert names(plan) == ["chat", "cloud", "brain"]
    assert "last_resort:then cloud, brain" in [str(reason) for reason in plan.reasons]


def test_a_tier_goes_to_a_last_resort_only_where_nobody_else_serves_it():
    """Its place in the configuration does not matter."""
    assert ALL.tier_target(Tier.REASONING) == Target(THINKER)
    assert facts(BRAIN, CHAT).tier_target(Tier.REASONING) == Target(BRAIN)


def test_pinned_requests_and_other_endpoints_have_no_last_resort():
    """Who asked for one model gets it or an error; a provider serves chat only."""
    assert names(chain().decide(request(model="chat"), ALL).plan) == ["chat"]
    assert names(chain().decide(request(endpoint=Endpoint.EMBEDDINGS), ALL).plan) == ["chat"]
    assert names(chain().decide(request(model="cloud"), ALL).plan) == ["cloud"]


def test_nothing_above_the_ceiling():
    """Where reasoning is not allowed, no last resort reasons."""
    assert names(LastResortPolicy().decide(request(), Plan((Target(CHAT),), (), "direct", Tier.DIRECT), ALL)) == ["chat", "cloud"]


def test_a_key_that_forbids_them_never_gets_there():
    """Not as a last resort, not by the default, not for want of others, and not by name: that is a 403."""
    mine = request(is_local_only=True)
    assert names(chain(FallbackPolicy()).decide(mine, ALL).plan) == ["chat", "thinker"]
    nowhere = PolicyChain([], [LastResortPolicy(), LimitsPolicy()], "cloud").decide(mine, facts(CLOUD)).verdict
    assert isinstance(nowhere, Reject)
    for model in ("cloud", "cloud-model"):
        refused = chain().decide(request(model=model, is_local_only=True), ALL).verdict
        assert isinstance(refused, Reject)
        assert (refused.error.status, refused.error.code) == (403, "cloud_not_allowed")


def test_other_keys_lose_nothing():
    """The facts are the same object."""
    assert permitted(request(), ALL) is ALL
    assert forbidden(request(model="cloud"), ALL) is None
