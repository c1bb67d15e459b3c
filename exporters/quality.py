"""What became of answers: the scores that clients gave them, and those that would not do and were thrown away."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jevons.proxy.exchange import Attempt, EnergyStatus, Outcome, Record

from .catalogue_routing import ESCALATION, ESCALATION_WASTED, ESCALATIONS, FEEDBACK_ARM, FEEDBACK_SCORE, TIER
from .metric import OTHER
from .tally import Amounts, Spreads

_ROUTED: Final = "routed"
_CALLER: Final = "caller"
_HOLDOUT: Final = "holdout"
_CALLERS_DECISION: Final = "pinned"
_ESCALATE: Final = "escalate"
"""The policy, as its reasons name it."""


class Quality:
    """Counts it. Of one thread, as the exporter that it belongs to."""

    def __init__(self) -> None:
        self._scores = Spreads(FEEDBACK_SCORE, FEEDBACK_ARM.values, TIER.values)
        self._escalations = Amounts(ESCALATIONS, ESCALATION.values)
        self._wasted = Amounts(ESCALATION_WASTED, ESCALATION.values)

    @property
    def tallies(self) -> tuple[Amounts | Spreads, ...]:
        """All that is counted here."""
        return self._scores, self._escalations, self._wasted

    def scored(self, record: Record, score: float) -> None:
        """A client has said what it thinks of an answer, from 0 to 1; what was never sent to anybody has no answer."""
        tier = _tier(record)
        if tier is not None:
            self._scores[_arm(record), tier].observe(score)

    def answered(self, record: Record) -> None:
        """Count an escalation, if this request had one."""
        if _has_refused(record):
            self._escalations[(_reason(record),)].inc()

    def settled(self, record: Record) -> None:
        """Count what it has cost, now that the energy is final."""
        if not _has_refused(record):
            return
        for attempt in _thrown_away(record):
            if attempt.energy.status is EnergyStatus.FINAL and attempt.energy.joules is not None:
                self._wasted[(_reason(record),)].inc(attempt.energy.joules)


def _arm(record: Record) -> str:
    if record.holdout_of is not None:
        return _HOLDOUT
    decisive = record.plan.decisive
    is_callers = record.plan.decision == _CALLERS_DECISION or (decisive is not None and decisive.policy == _CALLER)
    return _CALLER if is_callers else _ROUTED


def _tier(record: Record) -> str | None:
    """Of the candidate that answered."""
    tiers = [target.tier for target in record.plan.candidates if target.upstream.name == record.upstream]
    return tiers[0] if tiers else None


def _has_refused(record: Record) -> bool:
    """Whether an answer was refused: no try else ends so."""
    return any(attempt.outcome is Outcome.REJECTED for attempt in record.attempts)


def _reason(record: Record) -> str:
    """The first word of what the policy said; a plug-in that reviews answers is `other`."""
    words = [reason.word.partition(" ")[0] for reason in record.plan.reasons if reason.policy == _ESCALATE]
    return words[-1] if words and words[-1] in ESCALATION.values else OTHER


def _thrown_away(record: Record) -> Sequence[Attempt]:
    """The refused answer; what came after it, where that failed and the client got the refused one after all."""
    place = next(place for place, attempt in enumerate(record.attempts) if attempt.outcome is Outcome.REJECTED)
    is_delivered = record.outcome is Outcome.OK and record.attempts[-1].outcome is not Outcome.OK
    return record.attempts[place + 1 :] if is_delivered else record.attempts[place : place + 1]
