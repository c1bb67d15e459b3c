"""From an account to the energy that people see: joules, bounds, method, status, scope, quality.

The half-width is the root of the sum of squares of independent doubts: the sensor's gain (NVML is specified to 5 %, and one
card's error is systematic), what the charge would change under a larger F or c_p, what others did in the same bins, the
part that has not settled, and for short attempts how well energy can be placed in time.
"""

from __future__ import annotations

import math
from typing import Final

from ..exchange import Energy, EnergyStatus, Method
from ..units import Joules
from .account import Account, Charge
from .engine import Engine
from .estimate import estimated
from .ledger import DeviceLedger

SENSOR_GAIN_DOUBT: Final = 0.05
"""NVIDIA, NVML API Reference, nvmlDeviceGetPowerUsage: +/- 5 % of the current power draw."""
MODEL_DOUBT: Final = 0.5
OPEN_DOUBT: Final = 0.25
"""Of work priced at the last bin's price because its own has not settled."""
BYPASS_DOUBT: Final = 0.25
"""Of the work of others: its context and its steps are taken to be as ours."""
RESOLUTION_SECONDS: Final = 0.1
"""The usual period of an energy counter: an attempt that is shorter may lie between two of its steps."""
PLACING_SECONDS: Final = RESOLUTION_SECONDS / 4
"""How well energy is placed in time, found in simulation: what an attempt draws in so long may be taken for its neighbours'."""


def energy_of(account: Account, engine: Engine, devices: list[DeviceLedger]) -> Energy:
    """What an account has been charged, and while it is open what it is about to be. Unknown is None."""
    status = EnergyStatus.FINAL if account.is_final else EnergyStatus.PROVISIONAL
    quality = set(account.flags).union(*(device.counter.device.quality for device in devices))
    if account.ended is not None and account.ended - account.started < RESOLUTION_SECONDS:
        quality.add("resolution")
    if engine.is_estimated:
        return estimated(account.charge.joules + account.open_work().joules(engine.coefficients), status, frozenset(quality))
    flags = tuple(sorted(quality))
    unpriced = _open_charge(account, engine, devices)
    if not devices or unpriced is None:
        return Energy(status=status, quality=flags)
    joules = account.charge.joules + unpriced.joules
    if joules == 0.0 and not account.is_final:
        # Nothing has been seen of it yet: that is not the same as having consumed nothing.
        return Energy(status=status, quality=flags)
    scope = _scope(devices)
    method = Method.SIMULATED if any(device.counter.device.is_simulated for device in devices) else Method.MEASURED
    if not account.is_known:
        # Part of it fell into a gap: what was measured is a floor, the whole is unknown.
        floor = account.charge.joules or None
        return Energy(low=floor, method=method if floor else None, status=status, scope=scope, quality=flags)
    half = math.hypot(_half_width(account.charge, unpriced, joules), _misplaced(account, joules))
    return Energy(joules, max(0.0, joules - half), joules + half, method, status, scope, flags)


def _misplaced(account: Account, joules: Joules) -> Joules:
    """What the shortness of an attempt leaves in doubt; nothing is said of one that goes on."""
    if account.ended is None:
        return 0.0
    seconds = account.ended - account.started
    return joules * (PLACING_SECONDS / seconds if seconds > PLACING_SECONDS else 1.0)


def _half_width(charge: Charge, unpriced: Charge, joules: Joules) -> Joules:
    by_fixed = MODEL_DOUBT * (charge.by_fixed + unpriced.by_fixed)
    by_prompt = MODEL_DOUBT * (charge.by_prompt + unpriced.by_prompt)
    others = BYPASS_DOUBT * charge.beside_bypass
    return math.hypot(SENSOR_GAIN_DOUBT * joules, by_fixed, by_prompt, others, OPEN_DOUBT * unpriced.joules)


def _open_charge(account: Account, engine: Engine, devices: list[DeviceLedger]) -> Charge | None:
    """Unsettled work at the last price; before there is one, at what the devices have shown since. None: neither."""
    work = account.open_work()
    coefficients = engine.coefficients
    predicted = work.joules(coefficients)
    if predicted <= 0.0:
        return Charge()
    price = engine.price.value if engine.price.is_known else _first_price(engine, devices)
    if price is None:
        return None
    return Charge(
        price * predicted,
        by_fixed=price * work.fixed_joules(coefficients),
        by_context=price * work.context_joules(coefficients),
        by_prompt=price * work.prompt_joules(coefficients),
    )


def _first_price(engine: Engine, devices: list[DeviceLedger]) -> float | None:
    """The price over the bins that are open and measured; where none is to its end, over all, as far as it has got."""
    predicted: dict[int, Joules] = {}
    width = 0.0
    for work in engine.works:
        width = work.account.width
        for index, quantities in work.account.bins.items():
            predicted[index] = predicted.get(index, 0.0) + quantities.joules(engine.coefficients)
    whole = [index for index in predicted if all(device.counter.is_known((index + 1) * width) for device in devices)]
    indices = whole or list(predicted)
    measured = sum(device.counter.peek(index) for device in devices for index in indices)
    total = sum(predicted[index] for index in indices)
    return measured / total if measured > 0.0 and total > 0.0 else None


def _scope(devices: list[DeviceLedger]) -> str:
    scopes = {device.counter.device.scope for device in devices}
    return scopes.pop() if len(scopes) == 1 else "gpu+cpu"
