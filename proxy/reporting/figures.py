"""Figures as people read them: three digits that mean something, a unit, and a dash for what is unknown."""

from __future__ import annotations

from typing import Final

from ..units import Joules

UNKNOWN_SIGN: Final = "\N{EN DASH}"
_THOUSAND: Final = 1000.0
_SI: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_DIGITS: Final = 3
_LEAST_PERCENT: Final = 0.1


def number(value: float | None) -> str:
    """With three significant digits, thousands set apart; a dash where it is unknown."""
    if value is None:
        return UNKNOWN_SIGN
    if value == 0:
        return "0"
    if abs(value) >= _THOUSAND:
        return f"{value:,.0f}"
    digits = max(0, _DIGITS - 1 - _magnitude(value))
    return f"{value:.{min(digits, 6)}f}"


def _magnitude(value: float) -> int:
    return int(f"{value:e}".split("e")[1])


def count(value: int | None) -> str:
    """A whole number with its thousands set apart."""
    return UNKNOWN_SIGN if value is None else f"{value:,}"


def short(value: float | None, unit: str) -> str:
    """Such as `12.3 kJ`: for plots and headlines."""
    if value is None:
        return UNKNOWN_SIGN
    for factor, prefix in _SI:
        if abs(value) >= factor:
            return f"{number(value / factor)} {prefix}{unit}"
    return f"{number(value)} {unit}"


def share(part: Joules | None, whole: Joules | None) -> str:
    """Such as `12 %`."""
    if part is None or not whole:
        return UNKNOWN_SIGN
    percent = 100 * part / whole
    return "< 0.1 %" if 0.0 < percent < _LEAST_PERCENT else f"{percent:.1f} %"


def money(value: float | None) -> str:
    """To the cent, or three digits of what is less."""
    if value is None:
        return UNKNOWN_SIGN
    return f"{value:,.2f}" if abs(value) >= 1 else number(value)


def between(low: float | None, high: float | None) -> str:
    """Such as `11.0 to 14.0`."""
    return UNKNOWN_SIGN if low is None and high is None else f"{number(low)} to {number(high)}"
