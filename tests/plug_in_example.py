"""A policy of somebody else's package, as docs/routing.md shows it: at night everything is answered directly."""

from datetime import UTC, datetime

from jevons.policies.policy import Facts, Verdict
from jevons.proxy.exchange import Plan, Reason, Request, Tier


class LongNight:
    """Sends everything to the direct tier before `until_hour`, UTC."""

    name = "long-night"

    def __init__(self, until_hour: int = 6) -> None:
        if not 0 <= until_hour <= 24:
            raise ValueError("until_hour must lie between 0 and 24")
        self._until_hour = until_hour

    def decide(self, request: Request, plan: Plan, facts: Facts) -> Verdict:
        """The plan with this policy's word, decided or not."""
        target = facts.tier_target(Tier.DIRECT)
        if target is None or datetime.fromtimestamp(request.started_at, UTC).hour >= self._until_hour:
            return plan.because(Reason(self.name, "day", ""))
        return plan.sent_to((target,), Reason(self.name, "night", Tier.DIRECT), Tier.DIRECT)
