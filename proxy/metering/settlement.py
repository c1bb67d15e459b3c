"""The settlement of one bin: what its devices consumed meets the work that was done in it.

A device's energy in a bin is divided in this order: what a reading could not vouch for is `unresolved`; the time with
nobody in flight is `idle`; the rest is busy energy, static power included, and is paid by the attempts at work x price.
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ..units import Joules, Seconds, Watts
from .account import Account, Quantities
from .bins import BinnedIntegral
from .counter import DeviceCounter
from .engine import Engine
from .meter import Device

MODEL_DOUBT: Final = 0.5
"""By how much F and c_p are enlarged, relative, to see how far a charge hangs on them."""
ACCOUNTS: Final = ("attributed", "idle", "bypass", "unresolved")
_IDLE_SETTLED_SECONDS: Final = 2.0
_FULL: Final = 0.999


class DeviceLedger:
    """One device: its counter, when it was busy, and the four accounts of what has settled."""

    def __init__(self, device: Device, bin_seconds: Seconds) -> None:
        self.counter = DeviceCounter(device, bin_seconds=bin_seconds)
        self.accounts: dict[str, Joules] = dict.fromkeys(ACCOUNTS, 0.0)
        self.busy = BinnedIntegral(bin_seconds, 0.0)
        self.in_flight = 0
        self.idle_bins = 0
        """Consecutive bins with nobody in flight."""
        self.idle_watts: deque[Watts] = deque(maxlen=240)
        """The power of recent bins after two seconds with nobody in flight: its median is the idle power."""

    def begin(self, now: Seconds) -> None:
        """One more attempt keeps it busy."""
        self.in_flight += 1
        if self.in_flight == 1:
            self.busy.change(now, 1.0)

    def end(self, now: Seconds) -> None:
        """One attempt less."""
        self.in_flight -= 1
        if self.in_flight == 0:
            self.busy.change(now, 0.0)

    def idle_joules(self, joules: Joules, busy_seconds: Seconds, width: Seconds) -> Joules:
        """The part of one bin's energy that nobody pays: idle power for the idle time; pro rata until that is known."""
        idle_seconds = max(0.0, width - busy_seconds)
        if busy_seconds <= 0.0 or not self.idle_watts:
            return joules * idle_seconds / width
        return min(joules, statistics.median(self.idle_watts) * idle_seconds)

    def saw(self, joules: Joules, busy_seconds: Seconds, width: Seconds) -> None:
        """Learn the idle power from a bin that was idle, and had been for a while."""
        self.idle_bins = 0 if busy_seconds > 0 else self.idle_bins + 1
        if self.idle_bins * width > _IDLE_SETTLED_SECONDS:
            self.idle_watts.append(joules / width)


@dataclass(slots=True)
class Weights:
    """Predicted joules, and the same with F or c_p enlarged."""

    base: Joules = 0.0
    more_fixed: Joules = 0.0
    more_prompt: Joules = 0.0

    def add(self, other: Weights, share: float = 1.0) -> None:
        """Add a share of other weights."""
        self.base += other.base * share
        self.more_fixed += other.more_fixed * share
        self.more_prompt += other.more_prompt * share


@dataclass(slots=True)
class Bill:
    """One engine's accounts with work in the bin, and what each and all of them weigh."""

    engine: Engine
    entries: list[tuple[Account, Weights]] = field(default_factory=list)
    total: Weights = field(default_factory=Weights)
    price: Weights = field(default_factory=Weights)
    """Measured over predicted joules, under the three sets of coefficients; sums over devices as it is filled."""
    flags: set[str] = field(default_factory=set)
    is_known: bool = True
    is_held: bool = False
    """Nobody had work to show: the weights are seconds in flight, and the price says nothing."""
    busy_seconds: Seconds = 0.0

    def enter(self, account: Account, weights: Weights) -> None:
        """Add one account's work."""
        self.entries.append((account, weights))
        self.total.add(weights)


def settle_bin(index: int, width: Seconds, engines: list[Engine], devices: Mapping[str, DeviceLedger]) -> list[Account]:
    """Settle one bin on all devices at once; returns the accounts whose last bin it was."""
    bills = [_bill(engine, index, width) for engine in engines]
    for name, ledger in devices.items():
        _settle_device(ledger, index, width, [bill for bill in bills if name in bill.engine.devices])
    finals: list[Account] = []
    for bill in bills:
        _charge(bill, width)
        finals += _retire(bill.engine, (index + 1) * width)
    return finals


def _bill(engine: Engine, index: int, width: Seconds) -> Bill:
    bill = Bill(engine)
    for work in engine.works:
        work.accrue((index + 1) * width)
        quantities = work.account.take(index)
        if quantities is not None:
            bill.enter(work.account, _weigh(quantities, engine))
    engine.step_shares.take(index)
    return bill


def _weigh(quantities: Quantities, engine: Engine) -> Weights:
    coefficients = engine.coefficients
    base = quantities.joules(coefficients)
    return Weights(
        base,
        base + MODEL_DOUBT * quantities.fixed_joules(coefficients),
        base + MODEL_DOUBT * quantities.prompt_joules(coefficients),
    )


def _settle_device(ledger: DeviceLedger, index: int, width: Seconds, bills: list[Bill]) -> None:
    is_known = ledger.counter.is_known((index + 1) * width)
    energy = ledger.counter.take(index)
    busy_seconds = ledger.busy.take(index)
    measured = max(0.0, energy.joules - energy.unresolved_joules)
    idle = ledger.idle_joules(measured, busy_seconds, width)
    if is_known:
        ledger.saw(measured, busy_seconds, width)
    payers = _payers(bills, index, width) if busy_seconds > 0 else []
    total = Weights()
    for bill in payers:
        total.add(bill.total, 1 / len(bill.engine.devices))
    if total.base <= 0.0:
        idle = measured
    busy = measured - idle
    ledger.accounts["unresolved"] += energy.unresolved_joules
    ledger.accounts["idle"] += idle
    ledger.accounts["attributed"] += busy
    for bill in payers:
        bill.is_known &= is_known
        bill.flags |= energy.flags
        if len(payers) > 1:
            bill.flags.add("shared_device")
        if total.base > 0.0:
            price = Weights(busy / total.base, busy / total.more_fixed, busy / total.more_prompt)
            bill.price.add(price, 1 / len(bill.engine.devices))
            bill.busy_seconds = max(bill.busy_seconds, busy_seconds)


def _payers(bills: list[Bill], index: int, width: Seconds) -> list[Bill]:
    """The engines with work in the bin. Where none has any to show, those in flight share by time: a busy bin has a payer."""
    payers = [bill for bill in bills if bill.total.base > 0.0]
    if payers:
        return payers
    for bill in bills:
        for work in bill.engine.works:
            seconds = work.account.held_seconds(index, (index + 1) * width) * work.account.sequences
            if seconds > 0.0:
                bill.enter(work.account, Weights(seconds, seconds, seconds))
                bill.is_held = True
    return [bill for bill in bills if bill.total.base > 0.0]


def _charge(bill: Bill, width: Seconds) -> None:
    """Let every account pay its work at the bin's price."""
    for account, weights in bill.entries:
        account.charge.joules += weights.base * bill.price.base
        account.charge.with_more_fixed += weights.more_fixed * bill.price.more_fixed
        account.charge.with_more_prompt += weights.more_prompt * bill.price.more_prompt
        account.is_known &= bill.is_known
        account.flags |= bill.flags
        if not bill.is_known:
            account.flags.add("gap")
    if bill.price.base > 0.0 and not bill.is_held:
        bill.engine.price = bill.price.base
        if bill.busy_seconds >= _FULL * width:
            bill.engine.busy_watts.see(bill.total.base * bill.price.base / width)


def _retire(engine: Engine, edge: Seconds) -> list[Account]:
    finals = []
    for work in list(engine.works):
        account = work.account
        if account.ended is not None and account.ended < edge and not account.bins:
            account.is_final = True
            finals.append(account)
            del engine.works[work]
    return finals
