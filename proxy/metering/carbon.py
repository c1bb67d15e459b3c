"""Emissions of a request: the energy at the device, times PUE, times the grams of CO2e per kWh of the grid at that moment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from msgspec.structs import replace

from ..exchange import Energy
from ..observed import Intensity
from ..units import grams_co2e

CONSTANT = "constant"


@dataclass(frozen=True, slots=True)
class Carbon:
    """The two factors: `pue` of the site, and the grid's intensity, a constant of the operator's or what `source` says.

    A `source` is asked each time, so that a record holds the intensity of the moment when its energy settled.
    """

    pue: float = 1.0
    gco2e_per_kwh: float | None = None
    source: Callable[[], Intensity | None] | None = None
    """Gives None while the intensity is not known, or no longer."""

    @property
    def intensity(self) -> Intensity | None:
        """The intensity now; None where it is not known."""
        if self.source is not None:
            return self.source()
        return None if self.gco2e_per_kwh is None else Intensity(self.gco2e_per_kwh, CONSTANT)

    def of(self, energy: Energy) -> Energy:
        """The same energy with its emissions; None where the joules or the intensity are unknown."""
        intensity = self.intensity
        if energy.joules is None or intensity is None:
            return energy if energy.gco2e is None else replace(energy, gco2e=None)
        grams = grams_co2e(energy.joules, pue=self.pue, grams_per_kwh=intensity.gco2e_per_kwh)
        return replace(energy, gco2e=grams, intensity=intensity)
