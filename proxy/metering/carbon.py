"""Emissions of a request at a constant carbon intensity: the energy at the device, times PUE, times grams per kWh."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..exchange import Energy
from ..units import grams_co2e


@dataclass(frozen=True, slots=True)
class Carbon:
    """The two factors, both the operator's: `pue` of the site, and the grid's grams of CO2e per kWh, None where not given."""

    pue: float = 1.0
    gco2e_per_kwh: float | None = None

    def of(self, energy: Energy) -> Energy:
        """The same energy with its emissions; None where the joules or the intensity are unknown."""
        if energy.joules is None or self.gco2e_per_kwh is None:
            return replace(energy, gco2e=None)
        return replace(energy, gco2e=grams_co2e(energy.joules, pue=self.pue, grams_per_kwh=self.gco2e_per_kwh))
