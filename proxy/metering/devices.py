"""Which meters a configuration needs: a new device family is one file and one line here."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..exchange import Upstream
from .meter import EnergyMeter
from .nvml import NvmlMeter
from .simulated import DEVICE_PREFIX, SimulatedMeter


def meters_for(upstreams: Iterable[Upstream]) -> list[EnergyMeter]:
    """One meter for the NVIDIA boards where any upstream may run on them, and one for each simulated device that is named."""
    names = {name for upstream in upstreams for name in upstream.devices}
    simulated = {name for name in names if name.startswith(DEVICE_PREFIX)}
    meters: list[EnergyMeter] = [SimulatedMeter(Path(name.removeprefix(DEVICE_PREFIX))) for name in sorted(simulated)]
    if names - simulated:
        meters.append(NvmlMeter(None if "all" in names else names - simulated))
    return meters
