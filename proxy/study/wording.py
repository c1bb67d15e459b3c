"""How a report writes numbers: three figures, which is what forty prompts are worth, and n/a for what is unknown."""

from __future__ import annotations

import math
from typing import Final

from .bootstrap import Interval

UNKNOWN: Final = "n/a"
_FIGURES: Final = 3


def figure(value: float | None) -> str:
    """Three significant figures, no exponent."""
    if value is None:
        return UNKNOWN
    if value == 0:
        return "0"
    rounded = float(f"{value:.{_FIGURES - 1}e}")
    digits = _FIGURES - 1 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(0, digits)}f}"


def span(interval: Interval | None) -> str:
    """The estimate, and its interval in brackets where it has one."""
    if interval is None:
        return UNKNOWN
    if interval.low is None or interval.high is None:
        return figure(interval.value)
    return f"{figure(interval.value)} ({figure(interval.low)} … {figure(interval.high)})"


def percent(share: float | None) -> str:
    """A share as a percentage."""
    return UNKNOWN if share is None else f"{share:.0%}"


def change(ratio: float) -> str:
    """A ratio as people say it: `+87 %`."""
    return f"{(ratio - 1) * 100:+.0f} %"


def methods_text(methods: frozenset[str]) -> str:
    """Where the joules come from, in the words of a header."""
    return " and ".join(sorted(methods)) or "unknown"
