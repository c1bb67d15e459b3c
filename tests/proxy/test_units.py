"""Tests of the units."""

import pytest

from jevons.proxy.units import JOULES_PER_KWH, grams_co2e


def test_a_kilowatt_hour_is_three_point_six_megajoules():
    """1 kWh is 1000 W for 3600 s."""
    assert JOULES_PER_KWH == 1000 * 3600


@pytest.mark.parametrize(
    ("joules", "pue", "intensity", "grams"), [(3.6e6, 1.0, 380.0, 380.0), (3.6e6, 1.5, 400.0, 600.0), (0.0, 1.2, 1, 0.0)]
)
def test_emissions_are_energy_times_building_times_grid(joules, pue, intensity, grams):
    """Grams are kWh at the device x PUE x grams per kWh."""
    assert grams_co2e(joules, pue=pue, grams_per_kwh=intensity) == pytest.approx(grams)
