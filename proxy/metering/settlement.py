"""The settlement of one bin: what its devices consumed meets the work that was done in it.

A device's energy in a bin is divided in this order: what a reading could not vouch for is `unresolved`; the time with
nobody in flight is `idle`; the rest is busy energy, static power included, and is paid by the attempts at work x price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ..units import Joules, Seconds
from .account import Account, Quantities, total_of
from .engine import Engine
from .evidence import Unsure
from .ledger import DeviceLedger
from .teaching import teach

_FULL: Final = 0.5
"""The share of a bin that must be busy before its price is compared with others."""
_LEAST_BUSY: Final = 0.2
"""The share of a bin that must be busy before its power says how fast the engine works."""
_UNCLEAN_SPREAD: Final = 0.012
"""What is said of a bin's price, at the least, where its energy was interpolated or bridged: 11 %, squared."""
_EVENED: Final = 0.75
"""Of the scatter of prices, what comes of tokens being taken to be too early or too late, and evens out, where all are expected
and not seen, or are the work of others."""
_FOR_GOOD: Final = 0.25
"""Of the scatter of prices, at the least what does not come of misplaced edges."""
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


Entry: TypeAlias = tuple[Account, Joules, Joules, Joules, Joules]
"""An account, and what `Weights` has of its work: base, fixed, context, prompt."""


@dataclass(slots=True)
class Bill:
    """Accounts of one engine that pay for a bin, what each and all of them weigh, and the price."""

    engine: Engine
    entries: list[Entry] = field(default_factory=list)
    total: Weights = field(default_factory=Weights)
    work: Quantities = field(default_factory=Quantities)
    """All of theirs."""
    unseen: Joules = 0.0
    """Of `total`, tokens that are expected and not seen."""
    unseen_work: Quantities = field(default_factory=Quantities)
    """The same as work."""
    unsure: Unsure = field(default_factory=Unsure)
    """Prompts that nobody has counted yet."""
    bypass: Weights = field(default_factory=Weights)
    """Of `total`, the work of others."""
    others: Quantities | None = None
    """That work; None where there is none."""
    price: float = 0.0
    """Measured over predicted joules; sums over devices as it is filled."""
    correction: float = 0.0
    """What the uncounted work owes beyond that price, in joules per variance of its predicted joules; sums likewise."""
    late: float = 0.0
    """The squares of predicted joules that belong to bins which have settled."""
    spread: float = 0.0
    """How far, relative, the price may be off: the mean square."""
    rivalry: float = 0.0
    """Of `price`, as much as it may be off since this engine's work and that of others on the same devices compare otherwise."""
    flags: set[str] = field(default_factory=set)
    is_known: bool = True
    known_since: Seconds = 0.0
    """Who began before this has done work in the bin of which there is no reading."""
    busy_seconds: Seconds = 0.0

    def enter(self, account: Account, seconds: Seconds) -> None:
        """Let an account pay by its time."""
        self.entries.append((account, seconds, 0.0, 0.0, 0.0))
        self.total.base += seconds

    def enter_works(self, done: Sequence[tuple[Account, Quantities]]) -> None:
        """Add each account's work. Once per account and bin, and hence written out in local names."""
        coefficients, entries = self.engine.coefficients, self.entries
        by_step, by_token = coefficients.fixed_joules_per_step, coefficients.joules_per_token
        by_context, by_prompt = coefficients.joules_per_context_token, coefficients.joules_per_prompt_token
        bases = fixeds = contexts = prompts = 0.0
        for account, work in done:
            fixed, context = work.steps * by_step, work.context * by_context
            prompt = (work.prompt + work.late) * by_prompt
            base = fixed + prompt + work.tokens * by_token + context
            if base <= 0.0:  # more was taken back than is left of it
                base = fixed = context = prompt = 0.0
            entries.append((account, base, fixed, context, prompt))
            bases += base
            fixeds += fixed
            contexts += context
            prompts += prompt
            if work.late:
                self.late += (work.late * by_prompt) ** 2
            if not account.is_seen:
                self.unseen += base
            if prompt > 0.0 and account.prompt_doubt:
                self.unsure.enter(account, min(prompt, base))
        self.total.add(Weights(bases, fixeds, contexts, prompts))
        self.work.absorb(total_of([work for _, work in done]))
        self.unseen_work.absorb(total_of([work for account, work in done if not account.is_seen]))


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
        return working or [held for bill in bills if (held := self.held_by(bill.engine)).total.base > 0.0]

    def held_by(self, engine: Engine) -> Bill:
        """An engine's attempts by their time in flight."""
        bill = self.held.get(engine.name)
        if bill is None:
            bill = self.held[engine.name] = held_bill(engine, self.begin, self.end)
        return bill


def held_bill(engine: Engine, begin: Seconds, end: Seconds) -> Bill:
    """The engine's attempts by their seconds in flight between two times."""
    bill = Bill(engine)
    for work in engine.works:
        seconds = work.account.seconds_in_flight(begin, end) * work.account.sequences
        if seconds > 0.0:
            bill.enter(work.account, seconds)
    return bill


def settle_bin(index: int, width: Seconds, engines: list[Engine], devices: Mapping[str, DeviceLedger]) -> list[Account]:
    """Settle one bin on all devices at once; returns the accounts whose last bin it was."""
    end = (index + 1) * width
    settling = Bin(index, index * width, end, [_bill(engine, index, width) for engine in engines])
    for name, ledger in devices.items():
        settle_device(ledger, settling, settling.payers(name))
    finals: list[Account] = []
    for bill in settling.held.values():
        charge(bill)
    for bill in settling.bills:
        if bill.engine.is_estimated:
            bill.price = 1.0
        charge(bill)
        learn(bill, width)
        teach(bill, settling)
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
    bill.enter_works(done)
    if others is not None:
        bill.others, bill.bypass = others, weigh(others, engine)
        bill.total.add(bill.bypass)
        bill.flags.add("bypass")
    engine.forget(index)
    return bill


def weigh(work: Quantities, engine: Engine) -> Weights:
    """What work weighs at an engine; nothing where it is less than none."""
    coefficients = engine.coefficients
    base = work.joules(coefficients)
    if base <= 0.0:  # more was taken back than is left of it
        return Weights()
    return Weights(base, work.fixed_joules(coefficients), work.context_joules(coefficients), work.prompt_joules(coefficients))


def settle_device(ledger: DeviceLedger, settling: Bin, payers: list[Bill]) -> None:
    """Book what one device consumed in a bin, and add what it costs to the price of each that pays."""
    counter = ledger.counter
    energy = counter.take(settling.index)
    busy_seconds = max(
        ledger.busy.seconds(settling.begin, settling.end),
        *(_seconds_of_others(bill, settling.end - settling.begin) for bill in payers),
        0.0,
    )
    ledger.forget(settling.end)
    is_known = counter.is_known(settling.end) and "gap" not in energy.flags
    ledger.learn_idle(energy, busy_seconds, is_known=is_known)
    predicted = sum(bill.total.base * bill.engine.shares[counter.device.id] for bill in payers)
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
    predicted_of_others = sum(bill.bypass.base * bill.engine.shares[counter.device.id] for bill in payers)
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
        bill.spread = max(bill.spread, _spread(ledger, is_clean=is_clean))
        share = bill.engine.shares[counter.device.id]
        price = (busy - due) / predicted * share
        bill.price += price
        if len(payers) > 1:
            bill.rivalry += price * (1.0 - bill.total.base * share / predicted) * bill.engine.fit.rival_doubt
    _send_correction(counter.device.id, payers, due)


def _spread(ledger: DeviceLedger, *, is_clean: bool) -> float:
    """How far, relative, the price of a bin may be off for good: the mean square.

    What a bin lacks since its edges are misplaced its neighbours have. Who is in both has it too; who began or ended there is
    in doubt by that all the same (`bounds`).
    """
    spread = ledger.expected.spread if is_clean else max(_UNCLEAN_SPREAD, ledger.expected.spread)
    by_edges = 2.0 * (ledger.counter.edge_seconds / ledger.width) ** 2
    return max(_FOR_GOOD * spread, spread - by_edges)


def _due(ledger: DeviceLedger, payers: list[Bill], busy: Joules, predicted: Joules, *, is_whole: bool) -> Joules:
    """What of the busy energy, over or under the usual, prompts that nobody has counted yet are to answer for."""
    due = 0.0
    if all(bill.bypass.base == 0.0 for bill in payers):
        variance, steepest = _variance(ledger.counter.device.id, payers)
        due = ledger.expected.explain(busy, predicted, variance, steepest)
    if is_whole:
        ledger.expected.learn(busy - due, predicted)
    return due


def _variance(device: str, payers: list[Bill]) -> tuple[float, Joules]:
    """Of the uncounted work on one device, and the greatest per joule of it."""
    variance = sum(bill.unsure.variance * bill.engine.shares[device] ** 2 for bill in payers)
    return variance, max(bill.unsure.steepest * bill.engine.shares[device] for bill in payers)


def _send_correction(device: str, payers: list[Bill], due: Joules) -> None:
    variance, _ = _variance(device, payers) if due else (0.0, 0.0)
    for bill in payers if variance > 0.0 else ():
        bill.correction += due / variance * bill.engine.shares[device] ** 2


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


def charge(bill: Bill) -> None:
    """Let every account pay its work at the bin's price, and the uncounted what the bin says of it beyond that."""
    total, price = bill.total, bill.price
    if total.base <= 0.0:
        _mark(bill)
        return
    bypass_share = bill.bypass.base / total.base
    unseen_share = min(1.0, bill.unseen / total.base)
    spread = bill.spread * (1.0 - _EVENED * min(1.0, unseen_share + bypass_share)) + bill.late / total.base**2
    own = 0.0 if bill.rivalry else 1.0 / total.base  # who pays for a bin alone pays what it was, whatever its price
    fixed_share, context_share, prompt_share = total.fixed / total.base, total.context / total.base, total.prompt / total.base
    for account, base, fixed, context, prompt in bill.entries:
        charge, joules = account.charge, base * price
        charge.joules += joules
        charge.by_fixed += price * fixed - joules * fixed_share
        charge.by_context += price * context - joules * context_share
        charge.by_prompt += price * prompt - joules * prompt_share
        charge.scatter += spread * joules * joules * (1.0 - base * own)
        if bypass_share:
            charge.beside_bypass += joules * bypass_share
        if bill.rivalry:
            charge.beside_rivals += base * bill.rivalry
        if unseen_share:
            charge.beside_unseen += joules * (unseen_share if account.is_seen else 1.0)
    _mark(bill)
    if bill.correction and price > 0.0:
        each = bill.engine.coefficients.joules_per_prompt_token
        for account, variance in bill.unsure.entries:
            joules = variance * bill.correction
            account.charge.joules += joules
            account.settled.prompt += joules / price / each


def _mark(bill: Bill) -> None:
    """Tell the accounts what is to be said of this bin."""
    if bill.is_known and not bill.flags and bill.known_since <= 0.0:
        return
    for account, *_ in bill.entries:
        account.flags |= bill.flags
        if not bill.is_known or account.started < bill.known_since:
            account.is_known = False
            account.flags.add("gap")


def learn(bill: Bill, width: Seconds) -> None:
    """Remember what the engine's work has cost, and at which power it was done."""
    if bill.is_known and bill.price > 0.0:
        joules = bill.total.base * bill.price
        bill.engine.price.see(joules, bill.total.base)
        if bill.busy_seconds >= _LEAST_BUSY * width:
            bill.engine.busy_watts.see(joules / bill.busy_seconds)


def _retire(engine: Engine, edge: Seconds) -> list[Account]:
    finals = []
    for work in list(engine.works):
        account = work.account
        if account.ended is not None and account.ended < edge and not account.bins:
            account.is_final = True
            finals.append(account)
            del engine.works[work]
    return finals
