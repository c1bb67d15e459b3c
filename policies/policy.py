"""What a policy is: read this to write one.

A policy looks at a `Request`, at the `Plan` so far and at the `Facts`, and returns a new plan, a rejection, or a wait. It is
synchronous, does no I/O, and deciding changes nothing: `jevons explain`, shadows and replays ask it too. Choosers run in the
order of the YAML and the first that fills `plan.candidates` decides; the others are not asked. Limits run after every choice,
also on a pinned model. A policy that had nothing to say leaves a reason too, with an empty `to`, so that its word is shown.

One that remembers is a `Follower`: it is told once which plan a request goes by, and once what the request has cost. One that
judges answers is a `Reviewer`. `docs/routing.md` shows how to plug in one of your own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, runtime_checkable

from msgspec import Struct
from msgspec.structs import replace

from jevons.proxy.errors import RequestError
from jevons.proxy.exchange import Plan, Reasoning, Record, Request, Target, Tier, Upstream
from jevons.proxy.units import Joules, Seconds, Watts

from .answer import Answer

NO_MATCH: Final = "no match"
"""What a chooser says that had nothing to say, with an empty `to`."""

PINNED: Final = "pinned"
"""The decision of a plan that nobody may move elsewhere; else it is a tier, or `unsure`."""

REJECTED: Final = "rejected"
"""The decision where there is no plan."""


_TIERS: Final = {tier.value: tier for tier in Tier}


class Facts(Struct, frozen=True, gc=False):
    """A frozen snapshot of what a decision may rest on besides the request."""

    upstreams: Mapping[str, Upstream] = {}
    """By name, in the order of the configuration."""
    joules_per_token: Mapping[str, Joules] = {}
    """Measured, by upstream; absent where nothing has been measured."""
    completion_tokens: Mapping[tuple[str, Tier], float] = {}
    """Of a recent answer, thinking included, by upstream and whether it thought; absent where there were none."""
    in_flight: Mapping[str, int] = {}
    """By upstream; absent is none."""
    gco2e_per_kwh: float | None = None
    """Of the grid, where an intensity is configured and known."""
    watts: Watts | None = None
    """All devices together, where all of them are read."""
    response_upstreams: Mapping[str, str] = {}
    """Which upstream holds the state of an earlier response, by response id."""

    def only(self, models: frozenset[str]) -> Facts:
        """The same for a key that may use these upstreams, by name or model, and knows of no others."""
        allowed = {name: upstream for name, upstream in self.upstreams.items() if name in models or upstream.model in models}
        return replace(self, upstreams=allowed)

    def tier_target(self, tier: Tier) -> Target | None:
        """The first upstream that is always of that tier, or else the first switchable one with its thinking set.

        Those of last resort come last.
        """
        fixed = Reasoning.NEVER if tier is Tier.DIRECT else Reasoning.ALWAYS
        for is_last in (False, True):
            for upstream in self.upstreams.values():
                if upstream.reasoning is fixed and upstream.last_resort is is_last:
                    return Target(upstream)
            for upstream in self.upstreams.values():
                if upstream.reasoning is Reasoning.SWITCHABLE and upstream.last_resort is is_last:
                    return Target(upstream, thinking=tier is Tier.REASONING)
        return None

    def expected_joules(self, target: Target, max_tokens: int | None = None) -> Joules | None:
        """What an answer from there may cost: joules per token x the usual tokens, or the client's limit where it is lower."""
        per_token = self.joules_per_token.get(target.upstream.name)
        tokens = self.completion_tokens.get((target.upstream.name, target.tier))
        if per_token is None or tokens is None:
            return None
        return per_token * (tokens if max_tokens is None else min(tokens, max_tokens))

    def target(self, to: str) -> Target | None:
        """The target behind `direct`, `reasoning` or an upstream's name; None where there is none."""
        tier = _TIERS.get(to)
        if tier is not None:
            return self.tier_target(tier)
        upstream = self.upstreams.get(to)
        return Target(upstream) if upstream else None


@dataclass(frozen=True, slots=True)
class Reject:
    """The request is answered with this error and goes nowhere."""

    error: RequestError
    policy: str


@dataclass(frozen=True, slots=True)
class Wait:
    """The request may be asked about again after so many seconds."""

    seconds: Seconds
    policy: str


Verdict: TypeAlias = Plan | Reject | Wait


class Policy(Protocol):
    """A chooser or a limit."""

    name: str

    def decide(self, request: Request, plan: Plan, facts: Facts) -> Verdict:
        """The plan with this policy's word added to its reasons, decided or not; or a rejection, or a wait."""
        ...


@runtime_checkable
class Follower(Protocol):
    """A policy that remembers what became of requests."""

    def admitted(self, request: Request, plan: Plan, facts: Facts) -> None:
        """The request goes by this plan; said again where an escalation changes it. Between deciding and this nothing happens."""
        ...

    def settled(self, record: Record) -> None:
        """It is over, and its energy is as final as it will be; said once of every request, also of one that went nowhere."""
        ...


@runtime_checkable
class Reviewer(Protocol):
    """A policy that judges a whole answer before the client gets it."""

    name: str

    def review(self, request: Request, target: Target, answer: Answer) -> str:
        """The word for what is wrong with the answer, upon which reasoning gets its turn; empty where nothing is."""
        ...
