"""The gain policy: reason where what reasoning is likely to win is worth the joules that it costs more.

`p_gain x value >= lambda x (J_reason - J_direct)`: `p_gain` is the difficulty score's probability that reasoning gets right what
a direct answer gets wrong; `value` what that is worth, in joules; the J are measured here, joules per token times the tokens
of recent answers of the kind. Lambda is what a joule is held to be worth now: it rises with the grid's carbon intensity, as the
power nears a cap, and with the requests that wait. What has not been measured yet decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from jevons.proxy.exchange import Plan, Reason, Request, Target, Tier
from jevons.proxy.units import Joules, Watts

from .policy import Facts, Verdict

_NEAREST_CAP: Final = 0.05
"""The share of the cap that is taken to be left at least: at the cap a joule counts twenty times."""

Score = Callable[[Request], float | None]
"""The probability that reasoning gets right what a direct answer gets wrong; None where the score does not know."""


@dataclass(frozen=True, slots=True)
class Price:
    """Lambda: a constant, times what each of the others makes of the moment. None leaves it out, and so does a fact unknown."""

    constant: float = 1.0
    carbon_gco2e_per_kwh: float | None = None
    """The intensity at which a joule counts once; at twice that it counts twice."""
    power_cap_watts: Watts | None = None
    """It counts 1 / (1 - power / cap)."""
    queue_requests: int | None = None
    """In flight at the reasoning upstream: with so many it counts twice, with twice as many three times."""

    def at(self, facts: Facts, target: Target) -> float:
        """Now, for a request that would go there."""
        price = self.constant
        if self.carbon_gco2e_per_kwh is not None and facts.gco2e_per_kwh is not None:
            price *= facts.gco2e_per_kwh / self.carbon_gco2e_per_kwh
        if self.power_cap_watts is not None and facts.watts is not None:
            price /= max(_NEAREST_CAP, 1.0 - facts.watts / self.power_cap_watts)
        if self.queue_requests is not None:
            price *= 1.0 + facts.in_flight.get(target.upstream.name, 0) / self.queue_requests
        return price


class GainPolicy:
    """Decides between the two tiers; says nothing where a cost or the score is unknown."""

    name = "gain"
    needs_costs = True

    def __init__(self, score: Score, value_joules: Joules, price: Price | None = None) -> None:
        self._score = score
        self._value = value_joules
        self._price = price or Price()

    def decide(self, request: Request, plan: Plan, facts: Facts) -> Verdict:
        """The tier that is worth it."""
        direct, reasoning = facts.tier_target(Tier.DIRECT), facts.tier_target(Tier.REASONING)
        if direct is None or reasoning is None:
            return plan.because(Reason(self.name, "nobody serves both tiers", ""))
        costs = [facts.expected_joules(target, request.max_tokens) for target in (direct, reasoning)]
        if costs[0] is None or costs[1] is None:
            return plan.because(Reason(self.name, "costs not measured yet", ""))
        p_gain = self._score(request)
        if p_gain is None:
            return plan.because(Reason(self.name, "score unknown", ""))
        price = self._price.at(facts, reasoning)
        is_worth_it = p_gain * self._value >= price * (costs[1] - costs[0])
        sign = ">=" if is_worth_it else "<"
        word = f"{p_gain:.2f} x {self._value:g} J {sign} {price:.2g} x {costs[1] - costs[0]:.0f} J"
        target, tier = (reasoning, Tier.REASONING) if is_worth_it else (direct, Tier.DIRECT)
        return plan.sent_to((target,), Reason(self.name, word, tier), tier)
