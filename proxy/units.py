"""Physical units: plain floats whose names say what they hold."""

from typing import Final, TypeAlias

Joules: TypeAlias = float
Watts: TypeAlias = float
Seconds: TypeAlias = float
GramsCO2e: TypeAlias = float

JOULES_PER_KWH: Final = 3_600_000.0


def grams_co2e(joules: Joules, *, pue: float, grams_per_kwh: float) -> GramsCO2e:
    """Emissions of `joules` at the device: joules x PUE x grid intensity (ISO/IEC 21031, "SCI", operational part)."""
    return joules / JOULES_PER_KWH * pue * grams_per_kwh
