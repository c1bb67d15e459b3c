"""What a policy is: read this to write one.

A policy looks at a `Request`, at the `Plan` so far and at the `Facts`, and returns a new plan, a rejection, or a wait. It is
synchronous, does no I/O, and keeps no state of its own that a restart must not lose. Choosers run in the order of the YAML
and the first that fills `plan.candidates` decides; the others are not asked. Limits run after every choice, also on a pinned
model. A policy that had nothing to say leaves a reason too, with an empty `to`, so that `jevons explain` can show its word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from jevons.proxy.errors import RequestError
from jevons.proxy.exchange import Plan, Reasoning, Request, Target, Tier, Upstream
from jevons.proxy.units import Joules, Seconds

NO_MATCH: Final = "no match"
"""What a chooser says that had nothing to say, with an empty `to`."""

PINNED: Final = "pinned"
"""The decision of a plan that nobody may move elsewhere; else it is a tier, or `unsure`."""

REJECTED: Final = "rejected"
"""The decision where there is no plan."""


@dataclass(frozen=True, slots=True)
class Facts:
    """A frozen snapshot of what a decision may rest on besides the request."""

    upstreams: Mapping[str, Upstream] = field(default_factory=dict)
    """By name, in the order of the configuration."""
    joules_per_token: Mapping[str, Joules] = field(default_factory=dict)
    """Measured, by upstream; absent where nothing has been measured."""
    in_flight: Mapping[str, int] = field(default_factory=dict)
    response_upstreams: Mapping[str, str] = field(default_factory=dict)
    """Which upstream holds the state of an earlier response, by response id."""

    def tier_target(self, tier: Tier) -> Target | None:
        """The first upstream that is always of that tier, or else the first switchable one with its thinking set."""
        fixed = Reasoning.NEVER if tier is Tier.DIRECT else Reasoning.ALWAYS
        for upstream in self.upstreams.values():
            if upstream.reasoning is fixed:
                return Target(upstream)
        for upstream in self.upstreams.values():
            if upstream.reasoning is Reasoning.SWITCHABLE:
                return Target(upstream, thinking=tier is Tier.REASONING)
        return None

    def target(self, to: str) -> Target | None:
        """The target behind `direct`, `reasoning` or an upstream's name; None where there is none."""
        if to in {Tier.DIRECT, Tier.REASONING}:
            return self.tier_target(Tier(to))
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
