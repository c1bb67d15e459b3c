"""From the section `energy` to the parts that metering needs."""

import pytest

from jevons.proxy.config_energy import EnergySection
from jevons.proxy.energy_factory import make_carbon, make_grid, make_state_file
from jevons.proxy.exchange import Energy
from jevons.proxy.metering.grid import GridFile, GridService
from jevons.proxy.observed import Intensity


def section(**values):
    return EnergySection.model_validate(values)


def test_a_constant_needs_no_grid():
    """It is a factor, and nobody is asked."""
    energy = section(pue=1.5, carbon={"gco2e_per_kwh": 360})
    grid = make_grid(energy)
    assert grid is None
    carbon = make_carbon(energy, grid)
    assert carbon.of(Energy(joules=1e4)).gco2e == pytest.approx(1.5)
    assert carbon.intensity == Intensity(360.0, "constant")


def test_without_an_intensity_there_are_no_emissions():
    """Nothing is assumed of the grid."""
    energy = section()
    assert make_carbon(energy, make_grid(energy)).of(Energy(joules=1e4)).gco2e is None


def test_the_sources(tmp_path):
    """Each is asked where it is, and as old as the configuration allows."""
    path = tmp_path / "carbon"
    path.write_text("1")
    file = make_grid(section(carbon={"file": str(path), "stale_hours": 0.5}))
    assert file._source == GridFile(path)
    assert file._stale_seconds == 1800.0
    uk = make_grid(section(carbon={"uk_carbon_intensity": {"postcode": "rg10"}}))._source
    assert isinstance(uk, GridService)
    assert uk.url == "https://api.carbonintensity.org.uk/regional/postcode/RG10"
    maps = make_grid(section(carbon={"electricity_maps": {"zone": "DE", "token": "t", "url": "http://127.0.0.1:9/"}}))._source
    assert maps.url == "http://127.0.0.1:9/v3/carbon-intensity/latest?zone=DE"
    assert maps.headers == {"auth-token": "t"}


def test_the_state_file(tmp_path):
    """It is where the configuration says, and for this boot."""
    assert make_state_file(section()) is None
    assert make_state_file(section(state_file=str(tmp_path / "state.json"))).path == tmp_path / "state.json"
