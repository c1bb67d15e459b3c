"""The section `energy`: what turns joules into emissions, and what is kept of the counters over a restart.

And that of an upstream: what its engine's steps cost.
"""

from __future__ import annotations

from typing import Annotated, Final, Self, TypeAlias

from pydantic import Field, NonNegativeFloat, PositiveFloat, StringConstraints, model_validator

from .config_values import ExistingFile, NewFile, Origin, Secret
from .exchange import Coefficients, Doubts
from .sections import Section

_SECONDS_PER_HOUR: Final = 3600.0

Postcode: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{1,2}[0-9][A-Za-z0-9]?$", to_upper=True)]
Share: TypeAlias = Annotated[float, Field(gt=0.0, le=1.0)]
Zone: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{2,4}(-[A-Za-z0-9]+)*$")]


class ErrorsSection(Section):
    """How far off each term of an energy model may be, as a share of it: standard deviations."""

    fixed_joules_per_step: Share
    joules_per_token: Share
    joules_per_context_token: Share
    joules_per_prompt_token: Share


class CoefficientsSection(Section):
    """The energy model of one engine, all four terms of it: only their ratios matter, so none can be left out."""

    fixed_joules_per_step: NonNegativeFloat
    joules_per_token: NonNegativeFloat
    joules_per_context_token: NonNegativeFloat
    joules_per_prompt_token: NonNegativeFloat
    relative_errors: ErrorsSection | None = Field(None, description="How far off each may be, as `jevons calibrate` finds it")

    @property
    def coefficients(self) -> Coefficients:
        """The terms."""
        return Coefficients(
            self.fixed_joules_per_step, self.joules_per_token, self.joules_per_context_token, self.joules_per_prompt_token
        )

    @property
    def doubts(self) -> Doubts | None:
        """Their errors; None where none are given."""
        errors = self.relative_errors
        if errors is None:
            return None
        return (
            errors.fixed_joules_per_step,
            errors.joules_per_token,
            errors.joules_per_context_token,
            errors.joules_per_prompt_token,
        )


class UkCarbonIntensitySection(Section):
    """Great Britain's Carbon Intensity API: the whole country, or one region."""

    postcode: Postcode | None = Field(None, description="The outward part, such as RG10, for the region it lies in")
    region: Annotated[int, Field(ge=1, le=17)] | None = Field(None, description="The number that the API gives the region")
    url: Origin | None = Field(None, description="Where the API is, if not at its own address")

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.postcode is not None and self.region is not None:
            raise ValueError("give postcode or region, not both")
        return self


class ElectricityMapsSection(Section):
    """Electricity Maps: one of its zones."""

    zone: Zone = Field(description="Such as DE or US-CAL-CISO")
    token: Secret = Field(description="The API's token; best as ${NAME}")
    url: Origin | None = Field(None, description="Where the API is, if not at its own address")


class CarbonSection(Section):
    """The grid that the devices draw from: one source of its carbon intensity."""

    gco2e_per_kwh: NonNegativeFloat | None = Field(None, description="A constant")
    file: ExistingFile | None = Field(None, description="Read anew every ten seconds: a number, or {gco2e_per_kwh, at} in JSON")
    uk_carbon_intensity: UkCarbonIntensitySection | None = None
    electricity_maps: ElectricityMapsSection | None = None
    stale_hours: PositiveFloat = Field(6.0, description="A figure that is older is none; a constant never is")

    @property
    def source(self) -> str:
        """The key of the one that is given."""
        sources = ("file", "uk_carbon_intensity", "electricity_maps")
        return next((source for source in sources if getattr(self, source) is not None), "constant")

    @property
    def stale_seconds(self) -> float:
        """The same in seconds."""
        return self.stale_hours * _SECONDS_PER_HOUR

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        sources = (self.gco2e_per_kwh, self.file, self.uk_carbon_intensity, self.electricity_maps)
        if sum(source is not None for source in sources) != 1:
            raise ValueError("give one of gco2e_per_kwh, file, uk_carbon_intensity, electricity_maps")
        return self


class EnergySection(Section):
    """What turns joules at the device into emissions, and what becomes of them."""

    pue: float = Field(1.0, ge=1.0, description="Power usage effectiveness of the building")
    carbon: CarbonSection | None = None
    price_per_kwh: NonNegativeFloat | None = Field(None, description="What a kWh costs, in a currency of yours")
    estimates: bool = Field(default=True, description="Estimate the energy of upstreams for which nothing can be read")
    state_file: NewFile | None = Field(None, description="Keeps the counters over a restart; written every few seconds")
