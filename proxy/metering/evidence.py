"""What a bin's energy says of work that nobody has counted yet.

Until a server tells how many tokens a prompt had, its work is an estimate. Where the work of a bin costs clearly more or less
than work on that device has cost of late, the estimates in it are the likely cause: they bear the difference, in proportion
to their variances, against the spread that single bins show anyway. Everyone else then pays the usual price, and the bin is
still divided to the last joule. With no uncounted work in it a bin is divided as it is.

This is the posterior mean under independent normal errors: a price of known mean and variance, and estimates likewise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ..units import Joules
from .engine import Learned

if TYPE_CHECKING:
    from .account import Account

_LEAST_SPREAD: Final = 1e-4
"""Of a bin's price, the mean square of its relative error: nothing measured is surer than a hundredth."""
_FORGETTING: Final = 0.03
"""Per bin: what is usual is that of some ten seconds."""
_WIDEST_SPREAD: Final = 0.25
_MOST_CHANGED: Final = 0.8
_MOST_ADDED: Final = 2.0
"""By how much, relative, an estimate may be too low."""


@dataclass(slots=True)
class Unsure:
    """The uncounted work of some accounts in one bin."""

    entries: list[tuple[Account, float]] = field(default_factory=list)
    """Each with the variance of its predicted joules."""
    variance: float = 0.0
    steepest: Joules = 0.0
    """The greatest variance per predicted joule: whose estimate moves the most, relative."""

    def enter(self, account: Account, joules: Joules) -> None:
        """Add one account's uncounted work, of predicted joules."""
        variance = (account.prompt_doubt * max(0.0, joules)) ** 2
        if variance > 0.0:
            self.entries.append((account, variance))
            self.variance += variance
            self.steepest = max(self.steepest, variance / joules)


class ExpectedPrice:
    """What work on one device has cost of late, and how far single bins were from it."""

    def __init__(self) -> None:
        self._price = Learned(1.0, forgetting=_FORGETTING)
        self._spread = Learned(0.01, forgetting=_FORGETTING)

    @property
    def spread(self) -> float:
        """How far, relative, single bins are from the usual: the mean square."""
        return max(_LEAST_SPREAD, self._spread.value)

    def explain(self, joules: Joules, predicted: Joules, variance: float, steepest: Joules) -> Joules:
        """What of a bin's busy energy, beyond the usual price or below it, is due to its uncounted work."""
        price = self._price.value
        if not self._price.is_known or min(price, variance, steepest, joules, predicted) <= 0.0:
            return 0.0
        usual = price * predicted
        doubted = price**2 * variance
        spread = self.spread * usual**2
        due = (joules - usual) * doubted / (doubted + spread)
        # Nobody is to have a share below nothing, neither those who are unsure nor the others.
        unit = variance / steepest
        least = -_MOST_CHANGED * unit * min(price, joules / predicted)
        most = min(_MOST_ADDED * price * unit, _MOST_CHANGED * joules)
        return min(max(due, least), most)

    def learn(self, joules: Joules, predicted: Joules) -> None:
        """A bin that was busy from end to end: its energy, without what was due to uncounted work, and its work."""
        if self._price.value * predicted > 0.0 and self._price.is_known:
            error = joules / (self._price.value * predicted) - 1.0
            self._spread.see(min(_WIDEST_SPREAD, error**2))
        self._price.see(joules, predicted)
