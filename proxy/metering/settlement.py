"""The settlement of one bin: what its devices consumed meets the work that was done in it.

A device's energy in a bin is divided in this order: what a reading could not vouch for is `unresolved`; the time with
nobody in flight is `idle`; the rest is busy energy, static power included, and is paid by the attempts at work x price.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ..units import Joules, Seconds
from .account import Account, Quantities
from .engine import Engine
from .evidence import Unsure
from .ledger import DeviceLedger

_FULL: Final = 0.5
"""The share of a bin that must be busy before its price is compared with others."""
_LEAST_BUSY: Final = 0.2
"""The share of a bin that must be busy before its power says how fast the engine works."""
_MOST_UNSEEN: Final = 0.1
"""Of a bin's work, the share that may be expected and not seen where it is to teach anything."""
_WHOLE: Final = 0.99
"""The share of a bin that must be busy before its price says what work costs."""


@dataclass(slots=True)
class Weights:
    """Predicted joules, and of these the parts that hang on F, c_kv and c_p."""

    base: Joules = 0.0
    fixed: Joules = 0.0
    context: Joules = 0.0
    prompt: Joules = 0.0

    def add(self, other: Weights, share: float = 1.0) -> None:
        """Add a share of other weights."""
        self.base += other.base * share
        self.fixed += other.fixed * share
        self.context += other.context * share
        self.prompt += other.prompt * share


@dataclass(slots=True)
class Bill:
    """Accounts of one engine that pay for a bin, what each and all of them weigh, and the price."""

    engine: Engine
    entries: list[tuple[Account, Weights]] = field(default_factory=list)
    total: Weights = field(default_factory=Weights)
    work: Quantities = field(default_factory=Quantities)
    """All of theirs."""
    unseen: Joules = 0.0
    """Of `total`, tokens that are expected and not seen."""
    unsure: Unsure = field(default_factory=Unsure)
    """Prompts that nobody has counted yet."""
    bypass: Weights = field(default_factory=Weights)
    """Of `total`, the work of others."""
    price: float = 0.0
    """Measured over predicted joules; sums over devices as it is filled."""
    correction: float = 0.0
    """What the uncounted work owes beyond that price, in joules per variance of its predicted joules; sums likewise."""
    flags: set[str] = field(default_factory=set)
    is_known: bool = True
    known_since: Seconds = 0.0
    """Who began before this has done work in the bin of which there is no reading."""
    busy_seconds: Seconds = 0.0

    def enter(self, account: Account, weights: Weights) -> None:
        """Add one account's work."""
        self.entries.append((account, weights))
        self.total.add(weights)

    def enter_work(self, account: Account, work: Quantities) -> None:
        """The same, by its quantities."""
        weights = _weigh(work, self.engine)
        self.enter(account, weights)
        self.work.add(work)
        if not account.is_seen:
            self.unseen += weights.base
        if account.prompt_doubt:
            self.unsure.enter(account, weights.prompt)


@dataclass(frozen=True, slots=True)
class Reading:
    """What one device has shown of a bin."""

    joules: Joules
    busy_seconds: Seconds
    is_clean: bool
    """Measured in this very bin, and nothing in it is without explanation."""


@dataclass(slots=True)
class Bin:
    """One bin while it settles. `held` has the attempts by their seconds in flight, for devices where nobody shows work."""

    index: int
    begin: Seconds
    end: Seconds
    bills: list[Bill]
    held: dict[str, Bill] = field(default_factory=dict)
    """By engine."""
    readings: dict[str, Reading] = field(default_factory=dict)
    """By device."""

    def payers(self, device: str) -> list[Bill]:
        """Who has worked on a device. Where nobody has, those in flight share by time: busy time has a payer."""
        bills = [bill for bill in self.bills if device in bill.engine.devices]
        working = [bill for bill in bills if bill.total.base > 0.0]
        return working or [held for bill in bills if (held := self._held(bill.engine)).entries]

    def _held(self, engine: Engine) -> Bill:
        bill = self.held.get(engine.name)
        if bill is None:
            bill = self.held[engine.name] = Bill(engine)
            for work in engine.works:
                seconds = work.account.seconds_in_flight(self.begin, self.end) * work.account.sequences
                if seconds > 0.0:
                    bill.enter(work.account, Weights(seconds))
        return bill


def settle_bin(index: int, width: Seconds, engines: list[Engine], devices: Mapping[str, DeviceLedger]) -> list[Account]:
    """Settle one bin on all devices at once; returns the accounts whose last bin it was."""
    end = (index + 1) * width
    settling = Bin(index, index * width, end, [_bill(engine, index, width) for engine in engines])
    for name, ledger in devices.items():
        _settle_device(ledger, settling, settling.payers(name))
    finals: list[Account] = []
    for bill in settling.held.values():
        _charge(bill)
    for bill in settling.bills:
        if bill.engine.is_estimated:
            bill.price = 1.0
        _charge(bill)
        _learn(bill, width)
        _teach(bill, settling)
        finals += _retire(bill.engine, end)
    return finals


def _bill(engine: Engine, index: int, width: Seconds) -> Bill:
    end = (index + 1) * width
    bill = Bill(engine)
    done: list[tuple[Account, Quantities]] = []
    for work in engine.works:
        work.accrue(end)
        quantities = work.account.take(index)
        if quantities is not None:
            done.append((work.account, quantities))
    others = engine.bypass.take(index, [quantities for _, quantities in done], engine.tokens_per_second.value * width)
    for account, quantities in done:
        bill.enter_work(account, quantities)
    if others is not None:
        bill.bypass = _weigh(others, engine)
        bill.total.add(bill.bypass)
        bill.flags.add("bypass")
    engine.forget(index)
    return bill


def _weigh(work: Quantities, engine: Engine) -> Weights:
    coefficients = engine.coefficients
    base = work.joules(coefficients)
    if base <= 0.0:  # more was taken back than is left of it
        return Weights()
    return Weights(base, work.fixed_joules(coefficients), work.context_joules(coefficients), work.prompt_joules(coefficients))


def _settle_device(ledger: DeviceLedger, settling: Bin, payers: list[Bill]) -> None:
    counter = ledger.counter
    energy = counter.take(settling.index)
    busy_seconds = max(
        ledger.busy.seconds(settling.begin, settling.end),
        *(_seconds_of_others(bill, settling.end - settling.begin) for bill in payers),
        0.0,
    )
    ledger.busy.forget(settling.end)
    is_known = counter.is_known(settling.end) and "gap" not in energy.flags
    ledger.learn_idle(energy, busy_seconds, is_known=is_known)
    predicted = sum(bill.total.base / len(bill.engine.devices) for bill in payers)
    idle = ledger.idle_joules(energy.joules, busy_seconds) if predicted > 0.0 else energy.joules
    busy = energy.joules - idle
    excess = _excess(ledger, payers, predicted, busy, busy_seconds) if is_known and not energy.flags else 0.0
    busy -= excess
    due = 0.0
    if is_known and not energy.flags and excess == 0.0 and predicted > 0.0:
        due = _due(ledger, payers, busy, predicted, is_whole=busy_seconds >= _WHOLE * ledger.width)
    is_clean = is_known and not energy.flags and excess == 0.0 and energy.unresolved_joules == 0.0
    settling.readings[counter.device.id] = Reading(energy.joules, busy_seconds, is_clean)
    ledger.accounts["unresolved"] += energy.unresolved_joules + excess
    ledger.accounts["idle"] += idle
    predicted_of_others = sum(bill.bypass.base / len(bill.engine.devices) for bill in payers)
    others = (busy - due) * min(1.0, predicted_of_others / predicted) if predicted_of_others > 0.0 else 0.0
    ledger.accounts["bypass"] += others
    ledger.accounts["attributed"] += busy - others
    for bill in payers:
        bill.is_known &= is_known
        if counter.known_since is not None and counter.known_since > settling.begin:
            bill.known_since = max(bill.known_since, counter.known_since)
        bill.flags |= energy.flags
        if excess > 0.0:
            bill.flags.add("bypass")
        if len(payers) > 1:
            bill.flags.add("shared_device")
        bill.busy_seconds = max(bill.busy_seconds, busy_seconds)
        bill.price += (busy - due) / predicted / len(bill.engine.devices)
    _send_correction(payers, due)


def _due(ledger: DeviceLedger, payers: list[Bill], busy: Joules, predicted: Joules, *, is_whole: bool) -> Joules:
    """What of the busy energy, over or under the usual, prompts that nobody has counted yet are to answer for."""
    due = 0.0
    if all(bill.bypass.base == 0.0 for bill in payers):
        variance, steepest = _variance(payers)
        due = ledger.expected.explain(busy, predicted, variance, steepest)
    if is_whole:
        ledger.expected.learn(busy - due, predicted)
    return due


def _variance(payers: list[Bill]) -> tuple[float, Joules]:
    """Of the uncounted work on one device, and the greatest per joule of it."""
    variance = sum(bill.unsure.variance / len(bill.engine.devices) ** 2 for bill in payers)
    return variance, max(bill.unsure.steepest / len(bill.engine.devices) for bill in payers)


def _send_correction(payers: list[Bill], due: Joules) -> None:
    variance, _ = _variance(payers) if due else (0.0, 0.0)
    for bill in payers if variance > 0.0 else ():
        bill.correction += due / variance / len(bill.engine.devices) ** 2


def _excess(ledger: DeviceLedger, payers: list[Bill], predicted: Joules, busy: Joules, busy_seconds: Seconds) -> Joules:
    """What of the busy energy no work of ours can have cost, where somebody's server does not say what it serves."""
    if ledger.price_watch is None or busy_seconds < _FULL * ledger.width or all(bill.engine.bypass.is_watched for bill in payers):
        return 0.0
    return ledger.price_watch.excess(busy, predicted, busy_seconds)


def _seconds_of_others(bill: Bill, width: Seconds) -> Seconds:
    """For how much of the bin others kept the engine busy, at the least; all of it where nothing is known of its speed."""
    if bill.bypass.base <= 0.0:
        return 0.0
    seconds = bill.engine.seconds_of(bill.bypass.base)
    return width if seconds is None else min(width, seconds)


def _charge(bill: Bill) -> None:
    """Let every account pay its work at the bin's price, and the uncounted what the bin says of it beyond that."""
    total, price = bill.total, bill.price
    bypass_share = bill.bypass.base / total.base if bill.bypass.base > 0.0 else 0.0
    for account, weights in bill.entries:
        charge, share = account.charge, weights.base / total.base if total.base > 0.0 else 0.0
        charge.joules += weights.base * price
        charge.beside_bypass += weights.base * price * bypass_share
        charge.by_fixed += price * (weights.fixed - share * total.fixed)
        charge.by_context += price * (weights.context - share * total.context)
        charge.by_prompt += price * (weights.prompt - share * total.prompt)
        account.flags |= bill.flags
        if not bill.is_known or account.started < bill.known_since:
            account.is_known = False
            account.flags.add("gap")
    if bill.correction and price > 0.0:
        each = bill.engine.coefficients.joules_per_prompt_token
        for account, variance in bill.unsure.entries:
            joules = variance * bill.correction
            account.charge.joules += joules
            account.settled.prompt += joules / price / each


def _learn(bill: Bill, width: Seconds) -> None:
    """Remember what the engine's work has cost, and at which power it was done."""
    if bill.is_known and bill.price > 0.0:
        joules = bill.total.base * bill.price
        bill.engine.price.see(joules, bill.total.base)
        if bill.busy_seconds >= _LEAST_BUSY * width:
            bill.engine.busy_watts.see(joules / bill.busy_seconds)


def _teach(bill: Bill, settling: Bin) -> None:
    """Let the engine's energy model learn from a bin in which all work was seen, and nobody else's was done."""
    engine = bill.engine
    readings = [settling.readings[name] for name in engine.devices]
    is_alone = not any(
        other.engine.works and set(other.engine.devices) & set(engine.devices) for other in settling.bills if other is not bill
    )
    is_seen = bill.unseen <= _MOST_UNSEEN * bill.total.base and bill.bypass.base == 0.0
    if not readings or not is_alone or not is_seen or not all(reading.is_clean for reading in readings):
        engine.fit.skip()
        return
    width = settling.end - settling.begin
    idle_seconds = max(0.0, width - max(reading.busy_seconds for reading in readings))
    engine.fit.tokens_per_step = engine.tokens_per_chunk.value
    each = engine.coefficients.joules_per_prompt_token
    engine.fit.see(
        bill.work,
        sum(reading.joules for reading in readings),
        seconds=width,
        idle_seconds=idle_seconds,
        prompt_variance=bill.unsure.variance * engine.length_doubt_share / each**2 if each > 0.0 else 0.0,
    )
    engine.coefficients = engine.fit.coefficients


def _retire(engine: Engine, edge: Seconds) -> list[Account]:
    finals = []
    for work in list(engine.works):
        account = work.account
        if account.ended is not None and account.ended < edge and not account.bins:
            account.is_final = True
            finals.append(account)
            del engine.works[work]
    return finals
