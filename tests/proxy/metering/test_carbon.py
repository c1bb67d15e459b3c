from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from jevons.proxy.exchange import Energy, Method
from jevons.proxy.metering.carbon import CONSTANT, Carbon
from jevons.proxy.observed import Intensity


def test_a_kilowatt_hour_is_worth_its_intensity():
    """3.6 MJ at PUE 1.5 and 400 g per kWh are 600 g; nothing else of the energy changes."""
    energy = Energy(joules=3_600_000.0, low=1.0, high=2.0, method=Method.MEASURED)
    assert Carbon(1.5, 400.0).of(energy) == replace(energy, gco2e=600.0, intensity=Intensity(400.0, CONSTANT))


@pytest.mark.parametrize(
    ("carbon", "energy"),
    [(Carbon(1.2), Energy(joules=10.0)), (Carbon(1.2, 380.0), Energy()), (Carbon(), Energy(joules=1.0, gco2e=5.0))],
)
def test_unknown_stays_unknown(carbon, energy):
    """Without an intensity, or without joules, there is no figure."""
    assert carbon.of(energy).gco2e is None


def test_a_clean_grid_is_zero_and_not_unknown():
    """An intensity of 0 is an intensity."""
    assert Carbon(1.0, 0.0).of(Energy(joules=10.0)).gco2e == 0.0


@given(st.floats(0, 1e9), st.floats(0, 1e9), st.floats(1, 3), st.floats(0, 2000))
def test_emissions_add_up(one, other, pue, intensity):
    """The emissions of two requests are those of their joules together."""
    carbon = Carbon(pue, intensity)
    parts = [carbon.of(Energy(joules=joules)).gco2e for joules in (one, other)]
    together = carbon.of(Energy(joules=one + other)).gco2e
    assert together == pytest.approx(sum(part for part in parts if part is not None), abs=1e-9)
