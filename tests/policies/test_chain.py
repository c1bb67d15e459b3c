from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from policy_cases import CHAT, PAIR, THINKER, facts, request, upstream

from jevons.policies import LIMITS, POLICIES, REVIEWERS
from jevons.policies.answer import Answer
from jevons.policies.chain import PolicyChain
from jevons.policies.limits import LimitsPolicy
from jevons.policies.policy import Facts, Reject, Verdict, Wait
from jevons.policies.rules import Rule, RulesPolicy
from jevons.proxy.errors import ModelNotFound, UpstreamUnavailable
from jevons.proxy.exchange import Endpoint, Plan, Reason, Record, Request, Target, Tier

PROOFS = RulesPolicy([Rule("proofs", "reasoning", keywords=("prove",))])


@dataclass
class Fixed:
    """A policy that always says the same."""

    name: str
    verdict: Reject | Wait | None = None
    to: str = ""
    decision: str = ""

    def decide(self, request: Request, plan: Plan, facts: Facts) -> Verdict:
        """What it was told to say."""
        del request
        if self.verdict is not None:
            return self.verdict
        target = facts.target(self.to)
        reason = Reason(self.name, "fixed", self.to)
        return plan.sent_to((target,), reason, self.decision) if target else plan.because(reason)


def chain(*choosers: object, default: str = "direct", limits: tuple[object, ...] = ()) -> PolicyChain:
    """A chain of these."""
    return PolicyChain(choosers, limits or (LimitsPolicy(),), default)


def test_the_first_decisive_word_wins():
    """Choosers are asked in order until one decides, and those after it are not asked."""
    decision = chain(PROOFS, Fixed("later", to="direct")).decide(request("prove it"), PAIR)
    assert decision.plan.candidates == (Target(THINKER),)
    assert decision.plan.route == "rules:proofs;to=thinker"
    assert [word.policy for word in decision.words] == ["caller", "rules", "limits"]
    assert (decision.policy, decision.word) == ("rules", "reasoning")


def test_the_default_decides_where_nobody_did():
    """Without a decisive word the request goes to the default, and each policy's word is kept."""
    decision = chain(PROOFS).decide(request("hello"), PAIR)
    assert decision.plan.route == "default:direct;to=chat"
    assert decision.words == (
        Reason("caller", "no match", ""),
        Reason("rules", "no match", ""),
        Reason("default", "direct", "direct"),
        Reason("limits", "fits", ""),
    )
    assert (decision.policy, decision.word) == ("default", "direct")


def test_the_default_may_name_an_upstream():
    """A default that is an upstream's name goes there, and counts as its tier."""
    decision = chain(default="thinker").decide(request(), PAIR)
    assert decision.plan.route == "default:thinker;to=thinker"
    assert decision.word == "reasoning"


def test_a_default_that_nobody_serves_falls_to_the_first_upstream():
    """With one reasoning model and the default `direct` the model is used, and the reason says why."""
    decision = chain().decide(request(), facts(THINKER))
    assert decision.plan.route == "default:nobody serves direct;to=thinker"
    assert decision.word == "reasoning"


def test_without_upstreams_the_request_is_refused():
    """Where there is nowhere to go the client is told that the service is unavailable."""
    decision = chain().decide(request(), facts())
    assert isinstance(decision.verdict, Reject)
    assert isinstance(decision.verdict.error, UpstreamUnavailable)
    assert (decision.policy, decision.word) == ("default", "rejected")


def test_the_caller_is_asked_first_even_when_listed_last():
    """A pinned model is never overruled by a rule, wherever the caller policy stands."""
    for choosers in ((PROOFS,), (PROOFS, POLICIES["caller"]())):
        decision = chain(*choosers).decide(request("prove it", model="chat"), PAIR)
        assert decision.plan.route == "caller:model;to=chat"
        assert decision.word == "pinned"
    assert chain(PROOFS, POLICIES["caller"]()).names == ("caller", "rules", "default", "limits")


def test_limits_run_after_a_pin():
    """A pinned model is still held to what its upstream can take."""
    bare = upstream("bare", abilities=frozenset())
    decision = chain().decide(request(model="bare", has=frozenset({"tools"})), facts(bare, CHAT))
    assert (decision.policy, decision.word) == ("limits", "rejected")
    assert decision.words == (Reason("caller", "model", "bare"), Reason("limits", "unsupported_value", ""))


def test_a_rejection_ends_the_asking():
    """A rejection is handed on with the words so far and its own, and its plan has no candidates."""
    decision = chain(PROOFS).decide(request(model="nobody"), PAIR)
    assert isinstance(decision.verdict, Reject)
    assert isinstance(decision.verdict.error, ModelNotFound)
    assert decision.words == (Reason("caller", "model_not_found", ""),)
    assert decision.plan == Plan(reasons=decision.words, decision="rejected")
    assert decision.plan.route == ""


def test_a_wait_is_handed_on():
    """A chooser or a limit that wants to wait stops the chain."""
    wait = Wait(1.5, "budget")
    for built in (chain(Fixed("budget", wait)), chain(limits=(Fixed("budget", wait),))):
        decision = built.decide(request(), PAIR)
        assert decision.verdict == wait
        assert decision.words[-1] == Reason("budget", "wait 1.5 s", "")
        assert decision.policy == "budget"


def test_an_unsure_chooser_leaves_the_default_counted_as_unsure():
    """A chooser that only says `unsure` leaves the choice to the default and the decision to itself."""

    class Unsure:
        name = "difficulty"

        def decide(self, request: Request, plan: Plan, facts: Facts) -> Verdict:
            del request, facts
            return Plan(reasons=(*plan.reasons, Reason(self.name, "0.51", "")), decision="unsure")

    decision = chain(Unsure()).decide(request(), PAIR)
    assert decision.word == "unsure"
    assert decision.plan.candidates == (Target(CHAT),)


@pytest.mark.parametrize("tier", list(Tier))
def test_the_decision_follows_the_tier(tier):
    """What the caller asked for is what is counted."""
    assert chain().decide(request(tier=tier), PAIR).word == tier


def test_the_tables_make_policies_of_their_names():
    """Every policy in a table is called there as it calls itself."""
    assert POLICIES["rules"](rules=[Rule("a", "direct", keywords=("x",))]).name == "rules"
    assert POLICIES["caller"]().name == "caller"
    assert POLICIES["gain"](score=lambda _: None, value_joules=1.0).name == "gain"
    options = {"budget": {"budgets": []}}
    assert [make(**options.get(name, {})).name for name, make in LIMITS.items()] == list(LIMITS)
    assert [make().name for make in REVIEWERS.values()] == list(REVIEWERS)


@dataclass
class Follows(Fixed):
    """A limit that writes down what it is told."""

    is_limit: bool = True
    heard: list[str] = field(default_factory=list)

    def admitted(self, request: Request, plan: Plan, facts: Facts) -> None:
        """A request goes."""
        del facts
        self.heard.append(f"{request.id} goes to {plan.candidates[0].upstream.name}")

    def settled(self, record: Record) -> None:
        """It is over."""
        self.heard.append(f"{record.request_id} is over")


class Picky:
    """A reviewer that takes no answer."""

    name = "picky"

    def review(self, request: Request, target: Target, answer: Answer) -> str:
        """Never good enough."""
        del request, target
        return f"{answer.text}?"


def test_followers_hear_of_what_goes_and_ends():
    """And deciding alone tells them nothing."""
    follower = Follows("follower")
    made = chain(limits=(follower,))
    decision = made.decide(request(), PAIR)
    assert follower.heard == []
    made.admit(request(), decision.plan, PAIR)
    made.settle(Record("r1", "default", Endpoint.CHAT, 0.0))
    assert follower.heard == ["r1 goes to chat", "r1 is over"]


def test_a_shadow_speaks_and_decides_nothing():
    """A chooser's word, a limit's and a rejection are in the record, marked, with where they would have sent it."""
    loud = Fixed("loud", to="reasoning")
    strict = Fixed("strict", verdict=Reject(ModelNotFound("x"), "strict"))
    silent = Fixed("silent")
    made = PolicyChain([PROOFS], [LimitsPolicy()], "direct", shadows=[loud, strict, silent])
    decision = made.decide(request("hello"), PAIR)
    assert decision.plan.route == "default:direct;to=chat"
    assert [str(word) for word in decision.words[-3:]] == [
        "shadow loud:fixed -> reasoning",
        "shadow strict:model_not_found",
        "shadow silent:fixed",
    ]
    assert "loud" not in made.names


def test_a_shadow_is_asked_though_another_has_decided():
    """What it would have said is of interest then most of all; as a limit it sees the plan."""
    made = PolicyChain([PROOFS], [LimitsPolicy()], "direct", shadows=[RulesPolicy([Rule("p", "direct", keywords=("it",))])])
    decision = made.decide(request("prove it"), PAIR)
    assert decision.plan.candidates == (Target(THINKER),)
    assert str(decision.words[-1]) == "shadow rules:p -> direct"


def test_a_refused_answer_goes_to_reasoning():
    """By a plan with the reviewer's word, which the limits have seen."""
    made = PolicyChain([PROOFS], [LimitsPolicy()], "direct", reviewers=[Picky()])
    plan = made.decide(request(), PAIR).plan
    escalated = made.review(request(), plan, plan.candidates[0], Answer("Lima"), PAIR)
    assert escalated is not None
    assert (escalated.route, escalated.decision) == ("picky:Lima?;to=thinker", "reasoning")
    assert made.names == ("caller", "rules", "default", "limits", "picky")
    assert made.reviews


@pytest.mark.parametrize(
    ("fields", "known", "model"),
    [
        ({"tier": Tier.DIRECT}, PAIR, "auto"),
        ({"ceiling": Tier.DIRECT}, PAIR, "auto"),
        ({}, facts(CHAT), "auto"),
        ({"model": "chat"}, PAIR, "chat"),
        ({"tokens": 900}, facts(CHAT, upstream("thinker", "always", context_tokens=100)), "auto"),
    ],
    ids=["asked to be direct", "key", "nobody reasons", "pinned", "does not fit"],
)
def test_what_cannot_be_escalated_is_not(fields, known, model):
    """The caller's word, the key, the limits, and want of anybody to ask."""
    made = PolicyChain([], [LimitsPolicy()], "direct", reviewers=[Picky()])
    asked = request(**fields)
    plan = made.decide(asked, known).plan
    assert made.review(asked, plan, plan.candidates[0], Answer("Lima"), known) is None


def test_costs_are_gathered_only_for_those_who_look():
    """Which policies say of themselves."""
    needy = Fixed("needy")
    needy.needs_costs = True
    assert not chain(PROOFS).needs_costs
    assert chain(needy).needs_costs
    assert chain(limits=(needy,)).needs_costs


@pytest.mark.parametrize("allowed", ["chat", "chat-model"])
def test_a_key_knows_only_its_upstreams(allowed):
    """By name or by model. What is beyond them does not exist for it: neither by a pin, nor by a rule, nor by the default."""
    mine = frozenset({allowed})
    made = chain(PROOFS, default="reasoning")
    for asked in (request("prove it", models=mine), request("hi", models=mine)):
        assert made.decide(asked, PAIR).plan.candidates[0].upstream is CHAT
    pinned = made.decide(request("hi", model="thinker", models=mine), PAIR).verdict
    assert isinstance(pinned, Reject)
    assert isinstance(pinned.error, ModelNotFound)
    assert made.decide(request("hi", model="chat", models=mine), PAIR).word == "pinned"


def test_a_key_without_an_upstream_is_refused():
    """One whose upstreams have gone from the configuration."""
    verdict = chain().decide(request("hi", models=frozenset({"gone"})), PAIR).verdict
    assert isinstance(verdict, Reject)
    assert isinstance(verdict.error, UpstreamUnavailable)
