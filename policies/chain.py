"""The policies in their order: choosers until one decides, the default, then the limits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jevons.proxy.errors import UpstreamUnavailable
from jevons.proxy.exchange import Plan, Reason, Request, Target

from .caller import CallerPolicy
from .policy import REJECTED, Facts, Policy, Reject, Verdict, Wait


@dataclass(frozen=True, slots=True)
class Decision:
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
    """Asks the policies. The caller comes first, listed or not; `default` is a tier or an upstream's name."""

    default_name = "default"

    def __init__(self, choosers: Sequence[Policy], limits: Sequence[Policy], default: str) -> None:
        callers = [policy for policy in choosers if policy.name == CallerPolicy.name] or [CallerPolicy()]
        self._choosers = (*callers, *(policy for policy in choosers if policy.name != CallerPolicy.name))
        self._limits = tuple(limits)
        self._default = default

    @property
    def names(self) -> tuple[str, ...]:
        """Every policy that may decide, the default among them, in order."""
        return (*(policy.name for policy in self._choosers), self.default_name, *(policy.name for policy in self._limits))

    def decide(self, request: Request, facts: Facts) -> Decision:
        """Where the request may go and why; or why it may not, or not yet."""
        plan = Plan()
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
        for policy in self._limits:
            verdict = policy.decide(request, plan, facts)
            if not isinstance(verdict, Plan):
                return _stopped(plan, verdict)
            plan = verdict
        return Decision(plan, plan.reasons)

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


def _stopped(plan: Plan, verdict: Reject | Wait) -> Decision:
    word = f"wait {verdict.seconds:g} s" if isinstance(verdict, Wait) else verdict.error.code or REJECTED
    return Decision(verdict, (*plan.reasons, Reason(verdict.policy, word, "")))
