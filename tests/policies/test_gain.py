"""The gain policy: the inequality, what lambda is made of, and silence where something is unknown."""

import pytest
from policy_cases import CHAT, HYBRID, THINKER, facts, request

from jevons.policies.gain import GainPolicy, Price
from jevons.proxy.exchange import Plan, Target, Tier

KNOWN = {
    "joules_per_token": {"chat": 0.2, "thinker": 0.5},
    "completion_tokens": {("chat", Tier.DIRECT): 100.0, ("thinker", Tier.REASONING): 1000.0},
}
"""Direct takes 20 J, reasoning 500 J."""


def decide(policy, known=None, **fields):
    """The plan, and the last word."""
    plan = policy.decide(request(**fields), Plan(), known or facts(CHAT, THINKER, **KNOWN))
    return plan.candidates[0].tier if plan.candidates else None, plan.reasons[-1].word


@pytest.mark.parametrize(("p_gain", "tier"), [(0.47, Tier.DIRECT), (0.48, Tier.REASONING), (0.9, Tier.REASONING)])
def test_reasoning_has_to_be_worth_its_joules(p_gain, tier):
    """0.48 x 1000 J is just what the 480 J more are worth."""
    found, word = decide(GainPolicy(lambda _: p_gain, 1000.0))
    assert found is tier
    assert word.startswith(f"{p_gain:.2f} x 1000 J")


@pytest.mark.parametrize(
    ("price", "observed", "expected"),
    [
        (Price(2.0), {}, 2.0),
        (Price(carbon_gco2e_per_kwh=200), {"gco2e_per_kwh": 500.0}, 2.5),
        (Price(carbon_gco2e_per_kwh=200), {}, 1.0),
        (Price(power_cap_watts=1000), {"watts": 500.0}, 2.0),
        (Price(power_cap_watts=1000), {"watts": 5000.0}, 20.0),
        (Price(power_cap_watts=1000), {}, 1.0),
        (Price(queue_requests=8), {"in_flight": {"thinker": 24}}, 4.0),
        (Price(2.0, 200, None, 8), {"gco2e_per_kwh": 100.0, "in_flight": {"thinker": 8}}, 2.0),
    ],
)
def test_what_a_joule_counts(price, observed, expected):
    """A constant, times carbon over its reference, power near its cap, and the queue; what is unknown is left out."""
    known = facts(CHAT, THINKER, **KNOWN, **observed)
    assert price.at(known, Target(THINKER)) == pytest.approx(expected)


def test_a_dear_moment_keeps_a_prompt_direct():
    """The same prompt, with the grid at 1.5 times its reference."""
    policy = GainPolicy(lambda _: 0.6, 1000.0, Price(carbon_gco2e_per_kwh=200))
    assert decide(policy)[0] is Tier.REASONING
    assert decide(policy, facts(CHAT, THINKER, **KNOWN, gco2e_per_kwh=300.0))[0] is Tier.DIRECT


def test_a_hybrid_model_is_weighed_against_itself():
    """Its tokens with and without thinking, at its own joules per token."""
    tokens = {("hybrid", Tier.DIRECT): 100.0, ("hybrid", Tier.REASONING): 1100.0}
    known = facts(HYBRID, joules_per_token={"hybrid": 0.1}, completion_tokens=tokens)
    plan = GainPolicy(lambda _: 0.2, 1000.0).decide(request(), Plan(), known)
    assert plan.candidates == (Target(HYBRID, thinking=True),)


def test_the_clients_limit_bounds_the_cost():
    """With `max_tokens: 200` reasoning can take 100 J at most."""
    assert decide(GainPolicy(lambda _: 0.1, 1000.0), max_tokens=200)[0] is Tier.REASONING
    assert decide(GainPolicy(lambda _: 0.1, 1000.0))[0] is Tier.DIRECT


def test_what_is_unknown_decides_nothing():
    """No measured cost, no score, or nobody for one of the tiers."""
    policy = GainPolicy(lambda _: 0.9, 1000.0)
    assert decide(policy, facts(CHAT, THINKER)) == (None, "costs not measured yet")
    assert decide(GainPolicy(lambda _: None, 1000.0)) == (None, "score unknown")
    assert decide(policy, facts(CHAT)) == (None, "nobody serves both tiers")
