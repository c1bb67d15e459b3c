"""From an account to the energy that people see: joules, bounds, method, status, scope, quality.

The half-width is the root of the sum of squares of independent doubts: the sensor's gain (NVML is specified to 5 %, and one
card's error is systematic), what the charge would change under a larger F or c_p, and the part that has not settled.
"""

from __future__ import annotations

import math
from typing import Final

from ..exchange import Energy, EnergyStatus, Method
from ..units import Joules
from .account import Account, Charge
from .engine import Engine
from .settlement import MODEL_DOUBT, DeviceLedger

SENSOR_GAIN_DOUBT: Final = 0.05
"""NVIDIA, NVML API Reference, nvmlDeviceGetPowerUsage: +/- 5 % of the current power draw."""
OPEN_DOUBT: Final = 0.25
"""Of work priced at the last bin's price because its own has not settled."""
RESOLUTION_SECONDS: Final = 0.1
"""The usual period of an energy counter: an attempt that is shorter may lie between two of its steps."""


def energy_of(account: Account, engine: Engine, devices: list[DeviceLedger]) -> Energy:
    """What an account has been charged, and while it is open what it is about to be. Unknown is None."""
    status = EnergyStatus.FINAL if account.is_final else EnergyStatus.PROVISIONAL
    quality = set(account.flags)
    if account.ended is not None and account.ended - account.started < RESOLUTION_SECONDS:
        quality.add("resolution")
    unpriced = _open_charge(account, engine, devices)
    if not devices or unpriced is None:
        return Energy(status=status, quality=tuple(sorted(quality)))
    joules = account.charge.joules + unpriced.joules
    scope = _scope(devices)
    method = Method.SIMULATED if any(device.counter.device.is_simulated for device in devices) else Method.MEASURED
    flags = tuple(sorted(quality))
    if not account.is_known:
        # Part of it fell into a gap: what was measured is a floor, the whole is unknown.
        return Energy(low=account.charge.joules, method=method, status=status, scope=scope, quality=flags)
    half = _half_width(account.charge, unpriced, joules)
    return Energy(joules, max(0.0, joules - half), joules + half, method, status, scope, flags)


def _half_width(charge: Charge, unpriced: Charge, joules: Joules) -> Joules:
    more_fixed = charge.with_more_fixed - charge.joules + unpriced.with_more_fixed - unpriced.joules
    more_prompt = charge.with_more_prompt - charge.joules + unpriced.with_more_prompt - unpriced.joules
    return math.hypot(SENSOR_GAIN_DOUBT * joules, more_fixed, more_prompt, OPEN_DOUBT * unpriced.joules)


def _open_charge(account: Account, engine: Engine, devices: list[DeviceLedger]) -> Charge | None:
    """Unsettled work at the last price; before there is one, at what the devices have shown since. None: neither."""
    work = account.open_work()
    predicted = work.joules(engine.coefficients)
    if predicted <= 0.0:
        return Charge()
    price = engine.price if engine.price is not None else _first_price(engine, devices)
    if price is None:
        return None
    joules = price * predicted
    return Charge(
        joules,
        joules + MODEL_DOUBT * price * work.fixed_joules(engine.coefficients),
        joules + MODEL_DOUBT * price * work.prompt_joules(engine.coefficients),
    )


def _first_price(engine: Engine, devices: list[DeviceLedger]) -> float | None:
    """The price over all bins that are still open, from what has been measured in them so far."""
    indices: set[int] = set()
    predicted = 0.0
    for work in engine.works:
        indices |= work.account.bins.keys()
        predicted += work.account.open_work().joules(engine.coefficients)
    measured = sum(device.counter.peek(index) for device in devices for index in indices)
    return measured / predicted if measured > 0.0 and predicted > 0.0 else None


def _scope(devices: list[DeviceLedger]) -> str:
    scopes = {device.counter.device.scope for device in devices}
    return scopes.pop() if len(scopes) == 1 else "gpu+cpu"
