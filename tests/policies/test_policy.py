"""Tests of the facts that policies decide on."""

import pytest

from jevons.policies.policy import Facts
from jevons.proxy.exchange import Plan, Reason, Reasoning, Target, Tier, Upstream


def upstream(name, reasoning):
    """An upstream of some kind."""
    return Upstream(name, "http://127.0.0.1:1/v1", f"model-{name}", reasoning)


NEVER, ALWAYS, BOTH = (
    upstream("never", Reasoning.NEVER),
    upstream("always", Reasoning.ALWAYS),
    upstream("both", Reasoning.SWITCHABLE),
)


def facts(*upstreams, **known):
    """Facts with these upstreams, in this order."""
    return Facts(upstreams={one.name: one for one in upstreams}, **known)


@pytest.mark.parametrize(
    ("upstreams", "tier", "target"),
    [
        ([NEVER, ALWAYS], Tier.DIRECT, Target(NEVER)),
        ([NEVER, ALWAYS], Tier.REASONING, Target(ALWAYS)),
        ([BOTH, NEVER], Tier.DIRECT, Target(NEVER)),
        ([BOTH, NEVER], Tier.REASONING, Target(BOTH, thinking=True)),
        ([BOTH], Tier.DIRECT, Target(BOTH, thinking=False)),
        ([NEVER], Tier.REASONING, None),
        ([], Tier.DIRECT, None),
    ],
)
def test_a_tier_is_the_first_that_is_always_of_it(upstreams, tier, target):
    """One that needs no switch comes before one that does; where there is neither there is no target."""
    assert facts(*upstreams).tier_target(tier) == target


def test_a_target_is_a_tier_or_a_name():
    """`direct` and `reasoning` are tiers, anything else is an upstream's name."""
    known = facts(NEVER, ALWAYS)
    assert known.target("reasoning") == Target(ALWAYS)
    assert known.target("never") == Target(NEVER)
    assert known.target("nobody") is None


def test_the_expected_joules_of_an_answer():
    """Joules per token times the usual tokens of the tier, or the client's limit; unknown where either is."""
    known = facts(ALWAYS, joules_per_token={"always": 0.5}, completion_tokens={("always", Tier.REASONING): 100.0})
    assert known.expected_joules(Target(ALWAYS)) == 50.0
    assert known.expected_joules(Target(ALWAYS), max_tokens=10) == 5.0
    assert known.expected_joules(Target(ALWAYS), max_tokens=1000) == 50.0
    assert known.expected_joules(Target(ALWAYS, thinking=False)) is None
    assert known.expected_joules(Target(NEVER)) is None


def test_a_ceiling_stays_with_the_plan():
    """Whatever else is said of it, and wherever it is sent."""
    plan = Plan((Target(NEVER),), (), "direct", Tier.DIRECT)
    reason = Reason("a", "b", "")
    assert plan.because(reason).ceiling is Tier.DIRECT
    assert plan.sent_to((Target(BOTH),), reason, "direct").ceiling is Tier.DIRECT
