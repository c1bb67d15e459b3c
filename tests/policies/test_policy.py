"""Tests of the facts that policies decide on."""

import pytest

from jevons.policies.policy import Facts
from jevons.proxy.exchange import Reasoning, Target, Tier, Upstream


def upstream(name, reasoning):
    """An upstream of some kind."""
    return Upstream(name, "http://127.0.0.1:1/v1", f"model-{name}", reasoning)


NEVER, ALWAYS, BOTH = (
    upstream("never", Reasoning.NEVER),
    upstream("always", Reasoning.ALWAYS),
    upstream("both", Reasoning.SWITCHABLE),
)


def facts(*upstreams):
    """Facts with these upstreams, in this order."""
    return Facts(upstreams={one.name: one for one in upstreams})


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
