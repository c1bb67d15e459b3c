"""What routing has saved: measured on requests of which both arms were run, and on nothing else."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ..units import Joules

LEAST_PAIRS: Final = 20
"""As in the metrics: below it the normal approximation says nothing."""
_NORMAL_95: Final = 1.96


@dataclass(frozen=True, slots=True)
class Savings:
    """Joules saved, with the 95 % interval of the mean; None with the reason why."""

    pairs: int
    requests: int
    """Those that were routed to the direct tier."""
    joules: Joules | None = None
    low: Joules | None = None
    high: Joules | None = None
    holdout_joules: Joules | None = None
    """What running the other arms has cost; not taken off."""
    why: str | None = None


def make_savings(pairs: Sequence[tuple[Joules, Joules]], requests: int, holdout_joules: Joules | None) -> Savings:
    """From pairs (what a request cost, what its reasoning arm cost) to all that were routed direct.

    The mean difference times the number of requests; its interval is 1.96 standard errors to either side.
    """
    if len(pairs) < LEAST_PAIRS:
        have = f"{len(pairs)} requests have had" if pairs else "no request has had"
        why = f"{have} the other arm run as well (a holdout in the configuration); at least {LEAST_PAIRS} are needed"
        return Savings(len(pairs), requests, holdout_joules=holdout_joules, why=why)
    differences = [other - own for own, other in pairs]
    mean = statistics.fmean(differences)
    half = _NORMAL_95 * statistics.stdev(differences) / math.sqrt(len(differences))
    return Savings(len(pairs), requests, mean * requests, (mean - half) * requests, (mean + half) * requests, holdout_joules)
