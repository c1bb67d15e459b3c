"""From the section `energy` of a configuration to what metering needs: the grid, the factors, the file of the counters."""

from __future__ import annotations

from .config_energy import CarbonSection, EnergySection
from .metering.carbon import Carbon
from .metering.grid import Grid, GridFile, GridSource, electricity_maps_service, uk_service
from .metering.state_file import StateFile, read_boot_id


def make_grid(energy: EnergySection) -> Grid | None:
    """The grid whose carbon intensity has to be asked for; None where it is a constant, or nobody wants to know."""
    source = _grid_source(energy.carbon) if energy.carbon else None
    return None if energy.carbon is None or source is None else Grid(source, stale_seconds=energy.carbon.stale_seconds)


def _grid_source(carbon: CarbonSection) -> GridSource | None:
    if carbon.file is not None:
        return GridFile(carbon.file)
    if carbon.uk_carbon_intensity is not None:
        uk = carbon.uk_carbon_intensity
        return uk_service(postcode=uk.postcode, region=uk.region, url=uk.url)
    if carbon.electricity_maps is not None:
        maps = carbon.electricity_maps
        return electricity_maps_service(zone=maps.zone, token=maps.token.get_secret_value(), url=maps.url)
    return None


def make_carbon(energy: EnergySection, grid: Grid | None) -> Carbon:
    """The two factors of a request's emissions."""
    constant = energy.carbon.gco2e_per_kwh if energy.carbon else None
    return Carbon(pue=energy.pue, gco2e_per_kwh=constant, source=grid)


def make_state_file(energy: EnergySection) -> StateFile | None:
    """Where the counters are kept over a restart; None where they are not."""
    return None if energy.state_file is None else StateFile(energy.state_file, boot_id=read_boot_id())
