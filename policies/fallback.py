"""The fallback policy: who is next where the first choice cannot be reached. It fills the plan; the proxy tries in its order."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from jevons.proxy.exchange import Plan, Reason, Reasoning, Request, Target, Tier

from .policy import PINNED, Facts, Verdict


class FallbackPolicy:
    """Appends further candidates, each upstream once. `to`: which, in this order; empty is every other, those of the tier first.

    A request that its caller pinned goes nowhere else. A switchable upstream thinks where the first choice would have.
    """

    name = "fallback"
    is_limit = True

    def __init__(self, to: Sequence[str] = ()) -> None:
        self._to = tuple(to)

    def decide(self, request: Request, plan: Plan, facts: Facts) -> Verdict:
        """The plan with further candidates behind those that it has."""
        del request
        if plan.decision == PINNED:
            return plan.because(Reason(self.name, PINNED, ""))
        tier = plan.candidates[0].tier
        taken = {target.upstream.name for target in plan.candidates}
        names = [name for name in self._to or facts.upstreams if name in facts.upstreams and name not in taken]
        others = [self._target(name, tier, facts) for name in dict.fromkeys(names)]
        if plan.ceiling is Tier.DIRECT:
            others = [target for target in others if target.tier is Tier.DIRECT]
        if not self._to:
            others.sort(key=lambda target: (target.upstream.last_resort, target.tier is not tier))
        if not others:
            return plan.because(Reason(self.name, "nobody else", ""))
        word = "then " + ", ".join(target.upstream.name for target in others)
        return replace(plan, candidates=(*plan.candidates, *others)).because(Reason(self.name, word, ""))

    def _target(self, name: str, tier: Tier, facts: Facts) -> Target:
        upstream = facts.upstreams[name]
        is_switchable = upstream.reasoning is Reasoning.SWITCHABLE
        return Target(upstream, thinking=tier is Tier.REASONING if is_switchable else None)
