"""The budget for second tries: where everything fails, asking everybody twice would make it worse.

Every request pays a share of a retry in, and a retry takes one out. A handful is there from the start, so that the first
failure of a quiet day is retried too. Moving on from a server that has done no work (it could not be reached, or said that it
is busy) is free.
"""

from __future__ import annotations

from typing import Final

SHARE: Final = 0.1
"""Retries per request, in the long run."""
SAVED: Final = 10.0
"""The most that is saved up, and what is there at the start."""


class RetryBudget:
    """How many second tries may still be made."""

    __slots__ = ("_saved", "_share", "left")

    def __init__(self, share: float = SHARE, saved: float = SAVED) -> None:
        """A share of 0 is none at all."""
        self._share = share
        self._saved = saved if share > 0.0 else 0.0
        self.left = self._saved

    def earn(self) -> None:
        """A request has come."""
        if self.left < self._saved:
            self.left = min(self._saved, self.left + self._share)

    def spend(self) -> bool:
        """Take one; False where there is none."""
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True
