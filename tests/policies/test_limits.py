from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_cases import CHAT, HYBRID, THINKER, facts, request, upstream

from jevons.policies.limits import LimitsPolicy
from jevons.policies.policy import Facts, Reject
from jevons.proxy.errors import ContextTooLong, Unsupported
from jevons.proxy.exchange import Endpoint, Plan, Reason, Request, Target, Tier, Upstream

TEXT_ONLY = upstream("text", abilities=frozenset({"tools"}))
SEEING = upstream("seeing", abilities=frozenset({"images", "tools"}))
SMALL = upstream("small", context_tokens=1_000)
LARGE = upstream("large", context_tokens=100_000)
IMAGES = frozenset({"images"})


def plan_for(*upstreams: Upstream, decision: str = "direct") -> Plan:
    """A plan as a chooser leaves it."""
    targets = tuple(map(Target, upstreams))
    return Plan().sent_to(targets, Reason("test", "x", upstreams[0].name), decision)


def limited(asked: Request, plan: Plan, known: Facts) -> Plan:
    """The plan after the limits, where it is one."""
    verdict = LimitsPolicy().decide(asked, plan, known)
    assert isinstance(verdict, Plan)
    return verdict


def refused(asked: Request, plan: Plan, known: Facts) -> Reject:
    """The rejection, where it is one."""
    verdict = LimitsPolicy().decide(asked, plan, known)
    assert isinstance(verdict, Reject)
    return verdict


def test_a_plan_that_fits_is_left_alone():
    """Where every candidate fits only the word is added, and it is not decisive."""
    plan = plan_for(SEEING, decision="pinned")
    after = limited(request(has=IMAGES), plan, facts(SEEING))
    assert after.candidates == plan.candidates
    assert after.decision == "pinned"
    assert after.decisive == plan.decisive
    assert after.reasons[-1] == Reason("limits", "fits", "")


def test_what_is_not_declared_is_not_held_against_it():
    """An upstream without declared abilities or context takes everything."""
    unknown = upstream("unknown")
    asked = request(has=frozenset({"images", "tools", "json_schema"}), tokens=10**9, max_tokens=10**9)
    assert limited(asked, plan_for(unknown), facts(unknown, SEEING)).candidates == (Target(unknown),)


def test_code_is_no_ability():
    """A code block in the prompt asks nothing of an upstream."""
    assert limited(request(has=frozenset({"code"})), plan_for(TEXT_ONLY), facts(TEXT_ONLY)).candidates == (Target(TEXT_ONLY),)


@pytest.mark.parametrize("ability", ["tools", "images", "json_schema"])
def test_a_pinned_model_that_lacks_an_ability_is_refused(ability):
    """A pinned request never moves: what its upstream cannot do is refused, and both are named."""
    bare = upstream("bare", abilities=frozenset())
    rejection = refused(request(has=frozenset({ability})), plan_for(bare, decision="pinned"), facts(bare, upstream("able")))
    assert isinstance(rejection.error, Unsupported)
    assert rejection.policy == "limits"
    assert ability in rejection.error.message
    assert "bare" in rejection.error.message


def test_a_candidate_that_does_not_fit_is_dropped_for_the_next():
    """Of a pinned model's replicas those that lack something are dropped, and the reason names who is left."""
    after = limited(request(has=IMAGES), plan_for(TEXT_ONLY, SEEING, decision="pinned"), facts(TEXT_ONLY, SEEING))
    assert after.candidates == (Target(SEEING),)
    assert after.decision == "pinned"
    assert after.route == "limits:images;to=seeing"


def test_a_later_candidate_that_does_not_fit_is_dropped_quietly():
    """Where the first candidate stays, the route stays the chooser's."""
    after = limited(request(has=IMAGES), plan_for(SEEING, TEXT_ONLY), facts(TEXT_ONLY, SEEING))
    assert after.candidates == (Target(SEEING),)
    assert after.route == "test:x;to=seeing"
    assert after.reasons[-1] == Reason("limits", "images", "")


def test_a_routed_request_moves_to_one_that_fits():
    """A routed request goes elsewhere, and counts as the tier of where it goes."""
    thinker = upstream("thinker", "always", abilities=IMAGES)
    after = limited(request(has=IMAGES), plan_for(TEXT_ONLY), facts(TEXT_ONLY, thinker))
    assert after.candidates == (Target(thinker),)
    assert after.decision == "reasoning"
    assert after.route == "limits:images;to=thinker"


def test_a_routed_request_keeps_its_tier_where_it_can():
    """Among those that fit, one of the same tier comes before one that is listed earlier."""
    thinker, hybrid = upstream("thinker", "always"), upstream("hybrid", "switchable")
    after = limited(request(has=IMAGES), plan_for(TEXT_ONLY), facts(TEXT_ONLY, thinker, hybrid))
    assert after.candidates == (Target(hybrid, thinking=False),)
    assert after.decision == "direct"


def test_a_tier_asked_by_header_is_never_left():
    """A caller who named the tier is refused rather than given the other one."""
    thinker = upstream("thinker", "always", abilities=IMAGES)
    rejection = refused(request(has=IMAGES, tier=Tier.DIRECT), plan_for(TEXT_ONLY), facts(TEXT_ONLY, thinker))
    assert isinstance(rejection.error, Unsupported)


def test_an_unsure_decision_stays_unsure():
    """Moving does not turn doubt into certainty."""
    after = limited(request(has=IMAGES), plan_for(TEXT_ONLY, decision="unsure"), facts(TEXT_ONLY, SEEING))
    assert after.decision == "unsure"


def test_a_prompt_beyond_the_context_moves():
    """A routed request whose estimate and answer do not fit goes to an upstream with room."""
    known = facts(SMALL, LARGE)
    assert limited(request(tokens=900, max_tokens=100), plan_for(SMALL), known).candidates == (Target(SMALL),)
    after = limited(request(tokens=900, max_tokens=101), plan_for(SMALL), known)
    assert after.candidates == (Target(LARGE),)
    assert after.route == "limits:context;to=large"


def test_a_pinned_prompt_is_refused_only_when_it_surely_exceeds():
    """Up to twice the context by estimate a pinned prompt passes, since the server counts better; beyond that it is refused."""
    pinned = plan_for(SMALL, decision="pinned")
    assert limited(request(tokens=2_000, max_tokens=10**6), pinned, facts(SMALL, LARGE)).candidates == (Target(SMALL),)
    rejection = refused(request(tokens=2_001), pinned, facts(SMALL, LARGE))
    assert isinstance(rejection.error, ContextTooLong)
    assert rejection.error.code == "context_length_exceeded"
    assert rejection.error.status == 400
    assert "maximum context length is 1000 tokens" in rejection.error.message


def test_a_routed_prompt_without_a_better_place_stays():
    """Where no context fits by estimate, but one may, the first such candidate is tried."""
    after = limited(request(tokens=1_500), plan_for(SMALL), facts(SMALL))
    assert after.candidates == (Target(SMALL),)
    assert after.reasons[-1] == Reason("limits", "context", "")


def test_an_able_upstream_with_a_tight_context_is_better_than_none():
    """One that can do it and may have the room is tried where the chosen one cannot do it at all."""
    tight = upstream("tight", abilities=IMAGES, context_tokens=1_000)
    after = limited(request(has=IMAGES, tokens=1_500), plan_for(TEXT_ONLY), facts(TEXT_ONLY, tight))
    assert after.candidates == (Target(tight),)


def test_lists_are_not_measured_as_one_prompt():
    """Inputs to embed, and lists of prompts to complete, are not refused for their sum."""
    pinned = plan_for(SMALL, decision="pinned")
    embedding = request(tokens=10**6, endpoint=Endpoint.EMBEDDINGS)
    completing = request(tokens=10_000, endpoint=Endpoint.COMPLETIONS, sequences=10)
    for asked in (embedding, completing):
        assert limited(asked, pinned, facts(SMALL)).candidates == (Target(SMALL),)


ABILITIES = st.none() | st.frozensets(st.sampled_from(["tools", "images", "json_schema"]))
UPSTREAMS = st.lists(
    st.tuples(st.sampled_from(["never", "always", "switchable"]), ABILITIES, st.none() | st.integers(1, 3_000)),
    min_size=1,
    max_size=5,
)


@given(
    UPSTREAMS,
    st.frozensets(st.sampled_from(["tools", "images", "json_schema", "code"])),
    st.integers(0, 5_000),
    st.sampled_from(["pinned", "direct", "reasoning"]),
)
def test_whatever_is_left_can_take_the_request(kinds, has, tokens, decision):
    """Every candidate of a limited plan has what is needed; a pinned one was a candidate before; a refusal has no way out."""
    upstreams = [
        upstream(f"u{i}", reasoning, abilities=abilities, context_tokens=context)
        for i, (reasoning, abilities, context) in enumerate(kinds)
    ]
    plan = plan_for(upstreams[0], decision=decision)
    verdict = LimitsPolicy().decide(request(has=has, tokens=tokens), plan, facts(*upstreams))
    needed = has - {"code"}

    def can_take(each: Upstream) -> bool:
        has_room = each.context_tokens is None or tokens * 0.5 <= each.context_tokens
        return has_room and (each.abilities is None or needed <= each.abilities)

    allowed = upstreams[:1] if decision == "pinned" else upstreams
    if isinstance(verdict, Reject):
        assert not any(map(can_take, allowed))
    else:
        assert isinstance(verdict, Plan)
        assert verdict.candidates
        assert all(can_take(target.upstream) and target.upstream in allowed for target in verdict.candidates)


def test_a_key_for_direct_answers_gets_no_other():
    """A routed request goes direct, a pinned hybrid model does not think, and a pinned thinker is refused with 403."""
    policy = LimitsPolicy()
    asked = request(ceiling=Tier.DIRECT)
    routed = policy.decide(asked, Plan((Target(THINKER),), (), "reasoning"), facts(CHAT, THINKER))
    assert (routed.candidates, routed.decision) == ((Target(CHAT),), "direct")
    assert routed.route == "limits:key;to=chat"
    hybrid = policy.decide(asked, Plan((Target(HYBRID),), (), "pinned"), facts(HYBRID))
    assert (hybrid.candidates, hybrid.decision) == ((Target(HYBRID, thinking=False),), "pinned")
    refused = policy.decide(asked, Plan((Target(THINKER),), (), "pinned"), facts(CHAT, THINKER))
    assert isinstance(refused, Reject)
    assert (refused.error.status, refused.error.code) == (403, "tier_not_allowed")


def test_a_key_for_direct_answers_is_not_raised_for_want_of_room():
    """Where only a reasoning model has the context, the request is refused rather than sent there."""
    small = upstream("small", context_tokens=100)
    verdict = LimitsPolicy().decide(
        request(tokens=10_000, ceiling=Tier.DIRECT), Plan((Target(small),), (), "direct"), facts(small, THINKER)
    )
    assert isinstance(verdict, Reject)
    assert verdict.error.code == "context_length_exceeded"


def test_too_few_tokens_to_think_in_go_direct():
    """`max_tokens` below what reasoning needs: direct, but for a caller who asked for reasoning, and at any other limit."""
    policy = LimitsPolicy(reasoning_tokens=1024)
    known = facts(CHAT, THINKER)
    by_rule = Plan((Target(THINKER),), (Reason("rules", "r", "reasoning"),), "reasoning")
    by_caller = Plan((Target(THINKER),), (Reason("caller", "x-jevons-tier=reasoning", "reasoning"),), "reasoning")
    assert policy.decide(request(max_tokens=1023), by_rule, known).route == "limits:max_tokens;to=chat"
    for tokens, plan in ((1024, by_rule), (None, by_rule), (100, by_caller)):
        assert policy.decide(request(max_tokens=tokens), plan, known).candidates == (Target(THINKER),)
    assert LimitsPolicy().decide(request(max_tokens=1), by_rule, known).candidates == (Target(THINKER),)
