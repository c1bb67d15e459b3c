"""The thinking policy: levels by upstream, the caller's effort, and a tier that was decided stands."""

import pytest
from policy_cases import CHAT, HYBRID, THINKER, facts, request

from jevons.policies.thinking import ThinkingPolicy
from jevons.proxy.exchange import Plan, Target, Thinking

ALL = facts(CHAT, THINKER, HYBRID)


def decide(policy, target, **fields):
    """What becomes of one candidate, and the word."""
    plan = policy.decide(request(**fields), Plan((target,), (), "reasoning"), ALL)
    return plan.candidates[0], plan.reasons[-1].word


@pytest.mark.parametrize(
    ("level", "how", "word"),
    [
        ("low", Thinking(effort="low"), "low"),
        (2000, Thinking(budget_tokens=2000), "2000 tokens"),
        (None, None, "as the server does"),
    ],
)
def test_a_level_is_set_where_there_is_thinking(level, how, word):
    """On a hybrid model that is to think, and on one that always does."""
    policy = ThinkingPolicy(level)
    assert decide(policy, Target(HYBRID, thinking=True)) == (Target(HYBRID, thinking=True, how=how), word)
    assert decide(policy, Target(THINKER)) == (Target(THINKER, how=how), word)


def test_what_does_not_think_is_left_alone():
    """A model that never does, and a hybrid one that was switched off."""
    policy = ThinkingPolicy("high")
    assert decide(policy, Target(CHAT)) == (Target(CHAT), "does not think")
    assert decide(policy, Target(HYBRID, thinking=False)) == (Target(HYBRID, thinking=False), "off")


def test_an_upstreams_own_level_wins():
    """`off` holds where nobody said which tier, and not where reasoning was decided."""
    policy = ThinkingPolicy("high", {"hybrid": "off"})
    assert decide(policy, Target(HYBRID)) == (Target(HYBRID, thinking=False), "off")
    assert decide(policy, Target(HYBRID, thinking=True))[0] == Target(HYBRID, thinking=True)
    assert decide(policy, Target(THINKER))[0].how == Thinking(effort="high")
    assert decide(ThinkingPolicy(None, {"hybrid": 500}), Target(HYBRID))[0] == Target(
        HYBRID, thinking=True, how=Thinking(budget_tokens=500)
    )


def test_the_callers_effort_is_the_callers():
    """It replaces the configured level, but switches nothing on that was decided to be off."""
    policy = ThinkingPolicy(4000)
    assert decide(policy, Target(THINKER), reasoning_effort="low")[0].how == Thinking(effort="low")
    assert decide(policy, Target(HYBRID, thinking=False), reasoning_effort="high")[0] == Target(HYBRID, thinking=False)
    assert decide(policy, Target(THINKER), reasoning_effort="none")[0].how == Thinking(budget_tokens=4000)


def test_repairing_goes_with_thinking_that_is_off():
    """Only there can an answer stand in the wrong place."""
    policy = ThinkingPolicy(None, repairs_content=True)
    assert decide(policy, Target(HYBRID, thinking=False))[0].how == Thinking(repairs_content=True)
    assert decide(policy, Target(HYBRID, thinking=True))[0].how is None
