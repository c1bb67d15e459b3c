"""The caller's own word, which always comes first: a pinned model, an earlier response, a tier, a reasoning effort."""

from __future__ import annotations

from typing import Final

from jevons.proxy.errors import BadRequest, ModelNotFound
from jevons.proxy.exchange import Plan, Reason, Reasoning, Request, Target, Tier, Upstream

from .policy import NO_MATCH, PINNED, Facts, Reject, Verdict

AUTO: Final = "auto"
TIER_HEADER: Final = "x-jevons-tier"
EFFORT_FIELD: Final = "reasoning_effort"

_TIER_OF_EFFORT: Final = {
    "none": Tier.DIRECT,
    "minimal": Tier.DIRECT,
    "low": Tier.REASONING,
    "medium": Tier.REASONING,
    "high": Tier.REASONING,
    "xhigh": Tier.REASONING,
}


_NO_WORD: Final = Reason("caller", NO_MATCH, "")


class CallerPolicy:
    """Obeys what the request says of itself.

    A pinned model wins over a tier, and the upstream that holds an earlier response wins over the model, since no other
    could continue it. A tier still sets the thinking of a pinned upstream that has a switch. An effort outside the list
    decides nothing: the server will judge it.
    """

    name = "caller"

    def decide(self, request: Request, plan: Plan, facts: Facts) -> Verdict:
        """A pin: every upstream of that name or model, in order. A tier: whoever serves it, or a rejection."""
        pinned = () if request.model == AUTO else _upstreams_called(request.model, facts)
        if request.model != AUTO and not pinned:
            return Reject(ModelNotFound(request.model), self.name)
        if request.previous_response_id:
            holder = facts.upstreams.get(facts.response_upstreams.get(request.previous_response_id, ""))
            if holder is not None:
                return self._pin(plan, (holder,), request.tier, word="response")
        if pinned:
            return self._pin(plan, pinned, request.tier, word="model")
        if request.tier is not None:
            return self._choose(plan, facts, request.tier, source=TIER_HEADER, value=request.tier)
        effort = request.reasoning_effort
        if effort is not None and effort in _TIER_OF_EFFORT:
            return self._choose(plan, facts, _TIER_OF_EFFORT[effort], source=EFFORT_FIELD, value=effort)
        return plan.because(_NO_WORD)

    def _pin(self, plan: Plan, upstreams: tuple[Upstream, ...], tier: Tier | None, *, word: str) -> Plan:
        candidates = tuple(Target(upstream, thinking=_thinking(upstream, tier)) for upstream in upstreams)
        return plan.sent_to(candidates, Reason(self.name, word, upstreams[0].name), PINNED)

    def _choose(self, plan: Plan, facts: Facts, tier: Tier, *, source: str, value: str) -> Verdict:
        target = facts.tier_target(tier)
        if target is None:
            message = f"{source}: {value!s} asks for the tier {tier!s}, which no upstream serves."
            return Reject(BadRequest(message, param=source), self.name)
        return plan.sent_to((target,), Reason(self.name, f"{source}={value!s}", tier), tier)


def _upstreams_called(model: str, facts: Facts) -> tuple[Upstream, ...]:
    """The upstream of that name, or else all that serve a model of that name."""
    if upstream := facts.upstreams.get(model):
        return (upstream,)
    return tuple(upstream for upstream in facts.upstreams.values() if upstream.model == model)


def _thinking(upstream: Upstream, tier: Tier | None) -> bool | None:
    if tier is None or upstream.reasoning is not Reasoning.SWITCHABLE:
        return None
    return tier is Tier.REASONING
