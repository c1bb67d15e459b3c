"""The limits that always run after a choice, also on a pinned model: what the key may use, and what an upstream can take.

An upstream that declares no abilities, or no context, is never dropped for them: unknown is not unable. The tokens of the
prompt are estimated, so an upstream is passed over where the estimate does not fit, but a request is refused only where half
the estimate already exceeds every context it may go to; between the two the server has the last word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from jevons.proxy.errors import ContextTooLong, RequestError, TierNotAllowed, Unsupported
from jevons.proxy.exchange import Endpoint, Plan, Reason, Reasoning, Request, Target, Tier, Upstream

from .caller import CallerPolicy
from .policy import PINNED, Facts, Reject, Verdict

ABILITIES: Final = frozenset({"tools", "images", "json_schema"})
CONTEXT: Final = "context"
KEY: Final = "key"
MAX_TOKENS: Final = "max_tokens"
_SURE_SHARE: Final = 0.5
"""The share of the estimated prompt that is taken for certain."""


_FITS: Final = Reason("limits", "fits", "")


@dataclass(frozen=True, slots=True)
class _Needs:
    """What a request asks of an upstream."""

    abilities: frozenset[str]
    prompt_tokens: float
    answer_tokens: int

    def lacking(self, upstream: Upstream) -> frozenset[str]:
        return frozenset() if upstream.abilities is None else self.abilities - upstream.abilities

    def is_too_long(self, upstream: Upstream) -> bool:
        return upstream.context_tokens is not None and self.prompt_tokens + self.answer_tokens > upstream.context_tokens

    def is_surely_too_long(self, upstream: Upstream) -> bool:
        return upstream.context_tokens is not None and self.prompt_tokens * _SURE_SHARE > upstream.context_tokens

    def shortfall(self, upstream: Upstream) -> str:
        """What it lacks, for people; empty where it fits."""
        return ",".join(sorted(self.lacking(upstream))) or (CONTEXT if self.is_too_long(upstream) else "")


class LimitsPolicy:
    """Drops the candidates that do not fit. A pinned request is then refused; a routed one goes to another that fits.

    `reasoning_tokens`: a `max_tokens` below it leaves no room to think and answer, so that a request which nobody but a
    policy sends to reasoning goes direct; 0 lets every one go.
    """

    name = "limits"
    is_limit = True

    def __init__(self, reasoning_tokens: int = 0) -> None:
        self._reasoning_tokens = reasoning_tokens

    def decide(self, request: Request, plan: Plan, facts: Facts) -> Verdict:
        """The candidates that fit, or another upstream, or a rejection that says what was lacking."""
        if request.ceiling is Tier.DIRECT:
            lowered = self._lowered(plan, facts)
            if isinstance(lowered, Reject):
                return lowered
            plan = lowered
        if request.max_tokens is not None and request.max_tokens < self._reasoning_tokens:
            plan = self._spared(plan, facts)
        for target in plan.candidates:
            if target.upstream.abilities is not None or target.upstream.context_tokens is not None:
                break
        else:  # nobody declares anything, and unknown is not unable
            return plan.because(_FITS)
        return self._fitted(request, plan, facts)

    def _fitted(self, request: Request, plan: Plan, facts: Facts) -> Verdict:
        """The plan by what its upstreams declare."""
        needs = _needs(request)
        if not any(needs.shortfall(target.upstream) for target in plan.candidates):
            return plan.because(_FITS)
        choices = [plan.candidates]
        if plan.decision != PINNED:
            choices += [(target,) for target in _elsewhere(plan, facts, must_keep_tier=request.tier is not None)]
        for is_too_long in (needs.is_too_long, needs.is_surely_too_long):
            for choice in choices:
                able = (target for target in choice if not needs.lacking(target.upstream))
                fitting = tuple(target for target in able if not is_too_long(target.upstream))
                if fitting:
                    return self._restricted(plan, fitting, needs)
        return Reject(_refusal(needs, [target.upstream for choice in choices for target in choice]), self.name)

    def _lowered(self, plan: Plan, facts: Facts) -> Plan | Reject:
        """The plan for a key that may not reason: models that need not, with their thinking off."""
        if all(target.tier is Tier.DIRECT for target in plan.candidates):
            return replace(plan, ceiling=Tier.DIRECT)
        allowed = tuple(_switched_off(target) for target in plan.candidates if target.upstream.reasoning is not Reasoning.ALWAYS)
        target = None if plan.decision == PINNED else facts.tier_target(Tier.DIRECT)
        candidates = allowed or ((target,) if target else ())
        if not candidates:
            names = ", ".join(target.upstream.name for target in plan.candidates)
            return Reject(TierNotAllowed(f"This key is for direct answers only, which {names} cannot give."), self.name)
        decision = PINNED if plan.decision == PINNED else Tier.DIRECT.value
        return replace(plan.sent_to(candidates, Reason(self.name, KEY, Tier.DIRECT), decision), ceiling=Tier.DIRECT)

    def _spared(self, plan: Plan, facts: Facts) -> Plan:
        """The plan where too few tokens are allowed for thinking; the caller's own word stands."""
        decisive = plan.decisive
        is_asked_for = decisive is not None and decisive.policy == CallerPolicy.name
        target = facts.tier_target(Tier.DIRECT)
        if is_asked_for or target is None or plan.candidates[0].tier is not Tier.REASONING:
            return plan
        return plan.sent_to((target,), Reason(self.name, MAX_TOKENS, Tier.DIRECT), Tier.DIRECT)

    def _restricted(self, plan: Plan, fitting: tuple[Target, ...], needs: _Needs) -> Plan:
        """The plan with what is left of it; the word is decisive only where it changes where the request goes first."""
        word = next(filter(None, (needs.shortfall(target.upstream) for target in plan.candidates)))
        if fitting[0] == plan.candidates[0]:
            return replace(plan, candidates=fitting).because(Reason(self.name, word, ""))
        decision = fitting[0].tier if plan.decision in set(Tier) else plan.decision
        return plan.sent_to(fitting, Reason(self.name, word, fitting[0].upstream.name), decision)


def _needs(request: Request) -> _Needs:
    prompt_tokens: float = request.prompt.tokens
    if not request.endpoint.generates:
        prompt_tokens = 0  # a list of inputs, each of which has the whole context to itself
    elif request.endpoint is Endpoint.COMPLETIONS:
        prompt_tokens /= max(1, request.sequences)  # it may be a list of prompts
    return _Needs(request.prompt.has & ABILITIES, prompt_tokens, request.max_tokens or 0)


def _switched_off(target: Target) -> Target:
    return replace(target, thinking=False) if target.upstream.reasoning is Reasoning.SWITCHABLE else target


def _elsewhere(plan: Plan, facts: Facts, *, must_keep_tier: bool) -> Iterable[Target]:
    """Every other upstream, those of the plan's tier first, a switchable one set to that tier; none above the plan's ceiling."""
    tier = plan.candidates[0].tier
    is_thinking = tier is Tier.REASONING
    taken = {target.upstream.name for target in plan.candidates}
    others = [upstream for upstream in facts.upstreams.values() if upstream.name not in taken]
    others.sort(key=lambda upstream: upstream.last_resort)
    targets = [Target(other, is_thinking if other.reasoning is Reasoning.SWITCHABLE else None) for other in others]
    yield from (target for target in targets if target.tier is tier)
    if not must_keep_tier:
        yield from (target for target in targets if target.tier is not tier and plan.ceiling is not Tier.DIRECT)


def _refusal(needs: _Needs, upstreams: list[Upstream]) -> RequestError:
    able = [upstream for upstream in upstreams if not needs.lacking(upstream)]
    if not able:
        lacking = ", ".join(sorted(needs.lacking(upstreams[0])))
        names = ", ".join(upstream.name for upstream in upstreams)
        return Unsupported(f"The request needs {lacking}, which no upstream that it may go to declares: {names}.")
    longest = max(upstream.context_tokens or 0 for upstream in able)
    return ContextTooLong(
        f"This model's maximum context length is {longest} tokens; the prompt has about {needs.prompt_tokens:.0f}, by estimate."
    )
