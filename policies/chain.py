"""The policies in their order: choosers until one decides, the default, then the limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from jevons.proxy.errors import UpstreamUnavailable
from jevons.proxy.exchange import Plan, Reason, Record, Request, Target, Tier

from .answer import Answer
from .beyond import forbidden, permitted
from .budget import BudgetPolicy, Standing
from .caller import CallerPolicy
from .policy import PINNED, REJECTED, Facts, Follower, Policy, Reject, Reviewer, Verdict, Wait

_UNDECIDED: Final = Plan()


class Decision(Struct, frozen=True, gc=False):
    """What the chain made of a request. `words`: what each policy that was asked said, in order."""

    verdict: Verdict
    words: tuple[Reason, ...]

    @property
    def plan(self) -> Plan:
        """The plan; where the request goes nowhere, one without candidates that still says why."""
        return self.verdict if isinstance(self.verdict, Plan) else Plan(reasons=self.words, decision=REJECTED)

    @property
    def policy(self) -> str:
        """Who decided, for counting."""
        if not isinstance(self.verdict, Plan):
            return self.verdict.policy
        decisive = self.verdict.decisive
        return decisive.policy if decisive else ""

    @property
    def word(self) -> str:
        """How it was decided, for counting: `direct`, `reasoning`, `pinned`, `unsure` or `rejected`."""
        return self.plan.decision


class PolicyChain:
    """Asks the policies. The caller comes first, listed or not; `default` is a tier or an upstream's name.

    `reviewers` see answers, not requests; `shadows` are asked last, and nothing that they say is done.
    """

    default_name = "default"

    def __init__(
        self,
        choosers: Sequence[Policy],
        limits: Sequence[Policy],
        default: str,
        *,
        reviewers: Sequence[Reviewer] = (),
        shadows: Sequence[Policy] = (),
    ) -> None:
        callers = [policy for policy in choosers if policy.name == CallerPolicy.name] or [CallerPolicy()]
        self._choosers = (*callers, *(policy for policy in choosers if policy.name != CallerPolicy.name))
        self._limits = tuple(limits)
        self._default = default
        self._reviewers = tuple(reviewers)
        self.reviews = bool(reviewers)
        """Whether anybody wants to see answers."""
        self._shadows = tuple(shadows)
        self._followers = tuple(
            policy for policy in (*self._choosers, *self._limits, *self._shadows) if isinstance(policy, Follower)
        )
        self.needs_costs = any(getattr(policy, "needs_costs", False) for policy in (*self._choosers, *self._limits, *shadows))
        """Whether a policy looks at what answers have cost: only then are those facts gathered."""

    @property
    def names(self) -> tuple[str, ...]:
        """Every policy that may decide, the default among them, in order."""
        choosers = (policy.name for policy in self._choosers)
        limits = (policy.name for policy in self._limits)
        reviewers = (reviewer.name for reviewer in self._reviewers)
        return tuple(dict.fromkeys((*choosers, self.default_name, *limits, *reviewers)))

    def decide(self, request: Request, facts: Facts) -> Decision:
        """Where the request may go and why; or why it may not, or not yet. Changes nothing: `admit` does."""
        if request.models is not None:
            facts = facts.only(request.models)
        if request.is_local_only:
            if (refused := forbidden(request, facts)) is not None:
                return _stopped(_UNDECIDED, refused)
            facts = permitted(request, facts)
        plan = _UNDECIDED
        for policy in self._choosers:
            verdict = policy.decide(request, plan, facts)
            if not isinstance(verdict, Plan):
                return _stopped(plan, verdict)
            plan = verdict
            if plan.candidates:
                break
        else:
            verdict = self._by_default(plan, facts)
            if not isinstance(verdict, Plan):
                return _stopped(plan, verdict)
            plan = verdict
        plan, stopped = self._limited(request, plan, facts)
        if stopped is not None:
            return _stopped(plan, stopped)
        for policy in self._shadows:
            plan = plan.because(_shadow_word(policy, request, plan, facts))
        return Decision(plan, plan.reasons)

    def standings(self) -> list[Standing]:
        """How the budgets stand; those of shadows are not among them."""
        return [standing for policy in self._limits if isinstance(policy, BudgetPolicy) for standing in policy.standings()]

    def admit(self, request: Request, plan: Plan, facts: Facts) -> None:
        """The request goes by this plan."""
        for policy in self._followers:
            policy.admitted(request, plan, facts)

    def settle(self, record: Record) -> None:
        """The request is over and its energy as final as it will be."""
        for policy in self._followers:
            policy.settled(record)

    def review(self, request: Request, plan: Plan, target: Target, answer: Answer, facts: Facts) -> Plan | None:
        """The plan by which reasoning answers instead, where an answer will not do and there is such a plan; else None."""
        facts = permitted(request, _known_to(request, facts))
        for reviewer in self._reviewers:
            if word := reviewer.review(request, target, answer):
                return self._escalated(request, plan, Reason(reviewer.name, word, Tier.REASONING), facts)
        return None

    def _escalated(self, request: Request, plan: Plan, reason: Reason, facts: Facts) -> Plan | None:
        target = facts.tier_target(Tier.REASONING)
        if plan.decision == PINNED or request.tier is Tier.DIRECT or target is None:
            return None
        after, stopped = self._limited(request, plan.sent_to((target,), reason, Tier.REASONING), facts)
        return after if stopped is None and after.candidates[0].tier is Tier.REASONING else None

    def _limited(self, request: Request, plan: Plan, facts: Facts) -> tuple[Plan, Reject | Wait | None]:
        """The plan after the limits, or after those before the one that stopped it, and how that did."""
        for policy in self._limits:
            verdict = policy.decide(request, plan, facts)
            if not isinstance(verdict, Plan):
                return plan, verdict
            plan = verdict
        return plan, None

    def _by_default(self, plan: Plan, facts: Facts) -> Plan | Reject:
        """The configured default; where nobody serves that, the first upstream there is."""
        target = facts.target(self._default)
        if target is not None:
            reason = Reason(self.default_name, self._default, self._default)
        elif facts.upstreams:
            target = Target(next(iter(facts.upstreams.values())))
            reason = Reason(self.default_name, f"nobody serves {self._default}", target.upstream.name)
        else:
            return Reject(UpstreamUnavailable("There is no upstream to send this to."), self.default_name)
        return plan.sent_to((target,), reason, plan.decision or target.tier)


def _shadow_word(policy: Policy, request: Request, plan: Plan, facts: Facts) -> Reason:
    """What a policy would have said; a chooser is asked as if nobody had decided."""
    asked = plan if getattr(policy, "is_limit", False) else Plan()
    verdict = policy.decide(request, asked, facts)
    if isinstance(verdict, Plan):
        said = verdict.reasons[-1] if len(verdict.reasons) > len(asked.reasons) else Reason(policy.name, "", "")
        return replace(said, policy=f"shadow {policy.name}", word=f"{said.word} -> {said.to}" if said.to else said.word, to="")
    return Reason(f"shadow {policy.name}", _word(verdict), "")


def _word(verdict: Reject | Wait) -> str:
    return f"wait {verdict.seconds:g} s" if isinstance(verdict, Wait) else verdict.error.code or REJECTED


def _known_to(request: Request, facts: Facts) -> Facts:
    """The facts without the upstreams that the request's key may not use: for its holder there are no others."""
    return facts if request.models is None else facts.only(request.models)


def _stopped(plan: Plan, verdict: Reject | Wait) -> Decision:
    return Decision(verdict, (*plan.reasons, Reason(verdict.policy, _word(verdict), "")))
