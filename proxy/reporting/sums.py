"""Sums over requests that never take the unknown for nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from ..units import JOULES_PER_KWH, GramsCO2e, Joules

JOULES_PER_WH: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Sums:
    """Of some requests. What no request of them knows is None; what some know is the sum over those."""

    requests: int = 0
    unknown_energy: int = 0
    """Requests whose joules are unknown: they are in no sum of joules."""
    joules: Joules | None = None
    low: Joules | None = None
    high: Joules | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    completion_tokens: int | None = None
    priced_tokens: int | None = None
    """Of `completion_tokens`, those of requests whose energy is known."""
    unknown_gco2e: int = 0
    gco2e: GramsCO2e | None = None

    def __add__(self, other: Sums) -> Sums:
        """Both together."""
        changes: dict[str, Any] = {
            field.name: _add(getattr(self, field.name), getattr(other, field.name)) for field in fields(self)
        }
        return replace(self, **changes)

    @property
    def watt_hours(self) -> float | None:
        """The same energy."""
        return None if self.joules is None else self.joules / JOULES_PER_WH

    @property
    def joules_per_request(self) -> Joules | None:
        """Of those whose joules are known."""
        known = self.requests - self.unknown_energy
        return None if self.joules is None or not known else self.joules / known

    @property
    def joules_per_token(self) -> Joules | None:
        """Per token of the answers, thinking included."""
        return None if self.joules is None or not self.priced_tokens else self.joules / self.priced_tokens


def _add(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return one + other


def sums_of(row: Mapping[str, Any]) -> Sums:
    """Of one row of `report_groups`."""
    return Sums(
        requests=row["requests"],
        unknown_energy=row["requests"] - row["known"],
        joules=row["joules"],
        low=row["joules_low"],
        high=row["joules_high"],
        prompt_tokens=row["prompt_tokens"],
        cached_tokens=row["cached_tokens"],
        reasoning_tokens=row["reasoning_tokens"],
        completion_tokens=row["completion_tokens"],
        priced_tokens=row["completion_tokens"] if row["known"] else None,
        unknown_gco2e=row["requests"] - row["gco2e_known"],
        gco2e=row["gco2e"],
    )


@dataclass(frozen=True, slots=True)
class Tariff:
    """What energy at the device costs: kWh x PUE x price."""

    price_per_kwh: float | None = None
    pue: float = 1.0

    def cost(self, joules: Joules | None) -> float | None:
        """In the currency of the price; None where there is no price, or nothing is known."""
        if joules is None or self.price_per_kwh is None:
            return None
        return joules / JOULES_PER_KWH * self.pue * self.price_per_kwh
