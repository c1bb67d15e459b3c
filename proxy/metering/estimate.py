"""Energy where nothing can be read: the work at the coefficients of the table, said to be an estimate and no more.

How far such a figure may be off is read from the table itself: each of its 52 chat rows is foretold by the laws through the
rows of all other models (`coefficients`). At every batch of 1 to 128 the measured energy per token lies between 0.45 and 2.75
times what was foretold in nine rows of ten. Cards that are not in the table, quantised weights and requests that others send to
the same server come on top: it is an order of magnitude.
"""

from __future__ import annotations

from typing import Final

from ..exchange import Coefficients, Energy, EnergyStatus, Method
from ..units import Joules
from .coefficients import billions_of

LOW: Final = 0.45
HIGH: Final = 2.75
FLAG: Final = "estimated"
SCOPE: Final = "gpu"
"""What the table's energy covers."""


def can_estimate(model: str, coefficients: Coefficients | None) -> bool:
    """Whether anything is known to estimate from: coefficients of the operator's, or the size in the model's name."""
    return coefficients is not None or billions_of(model) is not None


def estimated(joules: Joules, status: EnergyStatus, quality: frozenset[str]) -> Energy:
    """The energy of so much predicted work, with bounds as wide as the table is scattered."""
    return Energy(joules, LOW * joules, HIGH * joules, Method.ESTIMATED, status, SCOPE, tuple(sorted(quality | {FLAG})))
