"""From an account to the energy that people see: joules, bounds, method, status, scope, quality.

`low` and `high` are to hold nine of ten true values. The variances of independent doubts add up: the sensor's gain, the ratios
of the energy model's terms as far as they are learned, the scatter of single bins' prices, how well energy is placed in time,
tokens that were expected and not seen, prompts that nobody counted, the work of others, and what has not settled. The sizes of
those that nothing measures were set by the coverage they give in simulation (`jevons bench attribution`, docs/metering.md).
"""

from __future__ import annotations

import math
from typing import Final

from ..exchange import Energy, EnergyStatus, Method
from ..units import Joules, Seconds
from .account import Account, Charge
from .engine import Engine
from .estimate import estimated
from .ledger import DeviceLedger

NINE_OF_TEN: Final = 1.645
"""Standard deviations of a normal error."""
SENSOR_GAIN_LIMIT: Final = 0.05
"""NVIDIA, NVML API Reference, nvmlDeviceGetPowerUsage: +/- 5 % of the current power draw. Taken as even within that."""
GAIN_BOUND: Final = 0.9 * SENSOR_GAIN_LIMIT
"""Nine of ten cards are within this, relative."""
OPEN_DOUBT: Final = 0.15
"""Standard deviation, relative, of work priced at the last bin's price because its own has not settled."""
UNSEEN_DOUBT: Final = 0.03
"""Of what is charged beside tokens that are only expected."""
BYPASS_DOUBT: Final = 0.07
"""Of what is charged beside the work of others: its context and its steps are taken to be as ours."""
NEIGHBOURS: Final = 1.3
"""Bins next to each other are off together: so much the more variance have their sums."""
RESOLUTION_SECONDS: Final = 0.1
"""The usual period of an energy counter: an attempt that is shorter may lie between two of its steps."""


def energy_of(account: Account, engine: Engine, devices: list[DeviceLedger]) -> Energy:
    """What an account has been charged, and while it is open what it is about to be. Unknown is None."""
    status = EnergyStatus.FINAL if account.is_final else EnergyStatus.PROVISIONAL
    quality = set(account.flags)
    is_simulated, placing = False, 0.0
    for ledger in devices:
        device = ledger.counter.device
        quality |= device.quality
        is_simulated |= device.is_simulated
        placing = max(placing, ledger.counter.placing_seconds)
    if account.ended is not None and account.ended - account.started < RESOLUTION_SECONDS:
        quality.add("resolution")
    if engine.is_estimated:
        return estimated(account.charge.joules + account.open_work().joules(engine.coefficients), status, frozenset(quality))
    flags = tuple(sorted(quality)) if quality else ()
    unpriced = (_open_joules(account, engine, devices) if account.bins else 0.0) if devices else None
    if unpriced is None:
        return Energy(status=status, quality=flags)
    joules = account.charge.joules + unpriced
    if joules == 0.0 and not account.is_final:
        # Nothing has been seen of it yet: that is not the same as having consumed nothing.
        return Energy(status=status, quality=flags)
    scope = devices[0].counter.device.scope if len(devices) == 1 else _scope(devices)
    method = Method.SIMULATED if is_simulated else Method.MEASURED
    if not account.is_known:
        # Part of it fell into a gap: what was measured is a floor, the whole is unknown.
        floor = account.charge.joules or None
        return Energy(low=floor, method=method if floor else None, status=status, scope=scope, quality=flags)
    half = math.hypot(GAIN_BOUND * joules, NINE_OF_TEN * math.sqrt(_variance(account, unpriced, engine, placing)))
    return Energy(joules, joules - half if joules > half else 0.0, joules + half, method, status, scope, flags)


def _variance(account: Account, unpriced: Joules, engine: Engine, placing: Seconds) -> float:
    """Of the joules of an account, of which `unpriced` have not settled; `placing` is how far its ends may be misplaced.

    Once or twice per request, where most doubts are none: hence without a list of them.
    """
    charge, variance = account.charge, 0.0
    if charge.beside_unseen:
        variance += (UNSEEN_DOUBT * charge.beside_unseen) ** 2
    if charge.beside_bypass:
        variance += (BYPASS_DOUBT * charge.beside_bypass) ** 2
    if charge.beside_rivals:
        variance += charge.beside_rivals**2
    if unpriced:
        variance += (OPEN_DOUBT * unpriced) ** 2
    if account.prompt_doubt:
        variance += (account.prompt_doubt * engine.price.value * account.settled.prompt_joules(engine.coefficients)) ** 2
    if account.ended is not None:  # else nothing is said of ends
        seconds = account.ended - account.started
        variance += ((charge.joules + unpriced) * (placing / seconds if seconds > placing else 1.0)) ** 2
    return variance + NEIGHBOURS * charge.scatter + _model_variance(charge, engine)


def _model_variance(charge: Charge, engine: Engine) -> float:
    """What the ratios of the model's terms leave in doubt; a scale common to all of them changes nothing."""
    by_fixed, by_context, by_prompt = charge.by_fixed, charge.by_context, charge.by_prompt
    by_token = -(by_fixed + by_context + by_prompt)
    slopes = (by_fixed, by_token, by_context, by_prompt)
    if not any(slopes):
        return 0.0
    variance = 0.0
    for slope, (fixed, token, context, prompt) in zip(slopes, engine.fit.covariance, strict=True):
        variance += slope * (by_fixed * fixed + by_token * token + by_context * context + by_prompt * prompt)
    return max(0.0, variance)


def _open_joules(account: Account, engine: Engine, devices: list[DeviceLedger]) -> Joules | None:
    """Unsettled work at the last price; before there is one, at what the devices have shown since. None: neither."""
    predicted = account.open_work().joules(engine.coefficients)
    if predicted <= 0.0:
        return 0.0
    price = engine.price.value if engine.price.is_known else _first_price(engine, devices)
    return None if price is None else price * predicted


def _first_price(engine: Engine, devices: list[DeviceLedger]) -> float | None:
    """The price over the bins that are open and measured; where none is to its end, over all, as far as it has got.

    A device that is lost gets no further: then what it showed of a bin's beginning is no price of the whole.
    """
    predicted: dict[int, Joules] = {}
    width = 0.0
    for work in engine.works:
        width = work.account.width
        for index, quantities in work.account.bins.items():
            predicted[index] = predicted.get(index, 0.0) + quantities.joules(engine.coefficients)
    whole = [index for index in predicted if all(device.counter.is_known((index + 1) * width) for device in devices)]
    indices = whole or (list(predicted) if all(device.counter.is_up for device in devices) else [])
    measured = sum(device.counter.peek(index) for device in devices for index in indices)
    total = sum(predicted[index] for index in indices)
    return measured / total if measured > 0.0 and total > 0.0 else None


def _scope(devices: list[DeviceLedger]) -> str:
    """What the figure covers: a module's counter holds everything that the others of the same host would."""
    scopes = {device.counter.device.scope for device in devices}
    if "module" in scopes:
        return "module"
    return scopes.pop() if len(scopes) == 1 else "gpu+cpu"
