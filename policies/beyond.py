"""Upstreams beyond this network: never for a key that forbids them, and the last candidate where they are of last resort.

For a key that forbids them they do not exist: whatever a policy decides, it decides over the others.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from jevons.proxy.errors import CloudNotAllowed
from jevons.proxy.exchange import Dialect, Endpoint, Plan, Reason, Reasoning, Request, Target, Tier

from .policy import PINNED, Facts, Reject, Verdict

BEYOND: Final = "beyond"


def permitted(request: Request, facts: Facts) -> Facts:
    """The facts without the upstreams that the request may not go to."""
    if not request.is_local_only:
        return facts
    near = {name: upstream for name, upstream in facts.upstreams.items() if upstream.dialect is not Dialect.LITELLM}
    return replace(facts, upstreams=near)


def forbidden(request: Request, facts: Facts) -> Reject | None:
    """The refusal where the request names an upstream, or a model of none but those, that its key forbids."""
    if not request.is_local_only:
        return None
    named = [upstream for name, upstream in facts.upstreams.items() if request.model in {name, upstream.model}]
    if named and all(upstream.dialect is Dialect.LITELLM for upstream in named):
        return Reject(CloudNotAllowed(f"This key is not for {request.model}, which is beyond this network."), BEYOND)
    return None


class LastResortPolicy:
    """Appends the upstreams of last resort behind every other candidate of a chat request that is not pinned."""

    name = "last_resort"
    is_limit = True

    def decide(self, request: Request, plan: Plan, facts: Facts) -> Verdict:
        """The plan with them at its end; none above the plan's ceiling."""
        if plan.decision == PINNED or request.endpoint is not Endpoint.CHAT:
            return plan
        taken = {target.upstream.name for target in plan.candidates}
        is_thinking = plan.candidates[0].tier is Tier.REASONING
        last = tuple(
            Target(upstream, is_thinking if upstream.reasoning is Reasoning.SWITCHABLE else None)
            for upstream in facts.upstreams.values()
            if upstream.last_resort and upstream.name not in taken
        )
        if plan.ceiling is Tier.DIRECT:
            last = tuple(target for target in last if target.tier is Tier.DIRECT)
        if not last:
            return plan
        word = "then " + ", ".join(target.upstream.name for target in last)
        return replace(plan, candidates=(*plan.candidates, *last)).because(Reason(self.name, word, ""))
