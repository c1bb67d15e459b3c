"""The accounts of one worker: their work goes up bin by bin, and they are charged at the prices that come down. Pure.

The worker has no device. It takes a bin's work out of its accounts when the owner calls for it, and keeps it until the bin's
price is known; work that arrives for a bin which has been stated goes to the next, as it does where a bin has settled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

from ..exchange import Coefficients, Doubts, Energy
from ..units import Seconds
from .account import Account, Quantities, total_of
from .attribution import Attribution
from .counter import DeviceCounter
from .engine import Engine
from .fitting import TABLE_DOUBT, Fit
from .meter import Device
from .settlement import Bill, charge, held_bill, learn
from .shared_counts import Row
from .shared_engine import SharedEngine
from .statements import Due, Model, Settled, Sight, Stated, Statement, state, sum_seen, take_settled
from .work import Work

_STATED: Final = -1
"""A bin that no time has: where stated work is while somebody asks for energy before its price has come."""


@dataclass(frozen=True, slots=True)
class _Awaited:
    """What was stated of one bin: by work, and by time in flight where none was shown."""

    bill: Bill
    held: Bill
    done: dict[Account, Quantities]


class _Mirrored(DeviceCounter):
    """A counter that another process reads."""

    def __init__(self, device: Device, placing_seconds: Seconds, width: Seconds) -> None:
        super().__init__(device, bin_seconds=width)
        self._placing_seconds = placing_seconds

    @property
    def placing_seconds(self) -> Seconds:
        """As its reader knows it."""
        return self._placing_seconds


class Contributor(Attribution):
    """One worker's engines and accounts, and what has been stated of them."""

    def __init__(self, row: Row, on_edge: Callable[[], None] = lambda: None) -> None:
        """`on_edge` is called when there is one to tell of."""
        super().__init__()
        self._row = row
        self.slots: dict[str, int] = {}
        """By engine: its place in the shared table."""
        self.shared: dict[str, SharedEngine] = {}
        """The engines, as what they are."""
        self._awaited: dict[tuple[str, int], list[_Awaited]] = {}
        """By engine and bin: what was stated, and waits for its price."""
        self._stated: list[dict[Account, Quantities]] = []
        """The work in them, by account: of one bin or two of each engine, most often."""
        self._homes: dict[str, tuple[str, ...]] = {}
        """By engine that has yet to move: the devices that it runs on by the owner's last word."""
        self.edges: list[tuple[str, Seconds, bool]] = []
        """When engines began, and ceased, to have something of ours in flight; whoever tells the owner clears it."""
        self.on_edge = on_edge

    def mirror(self, device: Device, placing_seconds: Seconds) -> None:
        """Know a device of the owner's, for what is to be said of it."""
        if device.id not in self.devices:
            self.add_device(device)
        self.devices[device.id].counter = _Mirrored(device, placing_seconds, self.width)

    def know(self, name: str, slot: int, devices: tuple[str, ...], model: Model, *, doubt: Doubts) -> None:
        """Know an engine of the owner's, or where it runs now: an engine with something open moves when there is nothing."""
        self.slots[name] = slot
        if name not in self.engines:
            self.add_engine(name, Coefficients(*model.coefficients), devices)
            self.engines[name].fit = Fit(Coefficients(*model.coefficients), doubt=doubt)
        self.take_model(name, model)
        self._homes.pop(name, None)
        if self.engines[name].devices != devices:
            self._homes[name] = devices
            self._move(name)

    def _move(self, name: str) -> None:
        if not self.engines[name].works:
            self.move_engine(name, self._homes.pop(name))

    def add_engine(self, name: str, coefficients: Coefficients, devices: Iterable[str], *, doubt: float = TABLE_DOUBT) -> None:
        """Know a model server, whose place in the shared table must be known."""
        engine = SharedEngine(name, coefficients, self._row, self.slots[name], bin_seconds=self.width, doubt=doubt)
        self.engines[name] = self.shared[name] = engine
        self.move_engine(name, devices)

    def begin(
        self, engine_name: str, now: Seconds, *, prompt_tokens: float, sequences: int, is_streamed: bool, decodes: bool
    ) -> Work:
        """An attempt begins at an upstream."""
        if engine_name in self._homes:
            self._move(engine_name)
        if self.shared[engine_name].fly(1):
            self._tell_edge(engine_name, now, is_begin=True)
        return super().begin(
            engine_name, now, prompt_tokens=prompt_tokens, sequences=sequences, is_streamed=is_streamed, decodes=decodes
        )

    def end(self, engine_name: str, work: Work, now: Seconds) -> None:
        """The attempt is over; asking twice is asking once."""
        if work.account.ended is None and self.shared[engine_name].fly(-1):
            self._tell_edge(engine_name, now, is_begin=False)
        super().end(engine_name, work, now)

    def _tell_edge(self, name: str, now: Seconds, *, is_begin: bool) -> None:
        self.edges.append((name, now, is_begin))
        self.on_edge()

    def look(self, now: Seconds) -> bool:
        """See who else has come or gone; returns whether anything of ours is in flight."""
        is_flying = False
        for engine in self.shared.values():
            engine.look(now)
            is_flying |= engine.flying > 0
        return is_flying

    def answer(self, dues: Iterable[Due], now: Seconds) -> Statement:
        """State every bin that is called for, as far as no stream of ours waits for its first token."""
        stated: list[Stated] = []
        reached: dict[str, int] = {}
        for due in dues:
            engines = [self.engines[name] for name in due.engines if name in self.engines]
            hold = self._until_first_token(engines, now)
            for engine in engines:
                stated += self._state(engine, due.until, hold)
                reached[engine.name] = engine.oldest_open
        sights = [self._sight(engine, now) for engine in self.engines.values()]
        return Statement(reached, tuple(stated), tuple(sights), now)

    def _until_first_token(self, engines: Iterable[Engine], now: Seconds) -> Seconds:
        """Until when bins may be stated: not beyond the beginning of a stream of ours that waits for its first token."""
        hold = now
        for engine in engines:
            while engine.waiting:
                account, started = next(iter(engine.waiting.items()))
                if now - started <= self.horizon_seconds:
                    hold = min(hold, started)
                    break
                del engine.waiting[account]
        return hold

    def _state(self, engine: Engine, until: int, hold: Seconds) -> Iterator[Stated]:
        engine.oldest_open = engine.oldest_open or until
        while (index := engine.oldest_open) <= until and (index + 1) * self.width <= hold:
            bill, done = _bill(engine, index, self.width)
            begin = index * self.width
            held = Bill(engine) if bill.total.base > 0.0 else held_bill(engine, begin, begin + self.width)
            engine.oldest_open = index + 1
            if bill.entries or held.entries:
                awaited = _Awaited(bill, held, dict(done))
                self._awaited.setdefault((engine.name, index), []).append(awaited)
                self._stated.append(awaited.done)
                yield state(bill, index, held.total.base)

    def move_statement(self, engine: str, index: int, to: int) -> None:
        """A bin was settled without us: what we stated of it counts for another."""
        self._awaited.setdefault((engine, to), []).extend(self._awaited.pop((engine, index), ()))

    def take(self, told: Settled) -> list[Account]:
        """What a bin has cost; returns the accounts that became final by it."""
        engine = self.engines.get(told.engine)
        if engine is None:
            return []
        self.take_model(told.engine, told.model)
        for awaited in self._awaited.pop((told.engine, told.index), ()):
            own = awaited.held if told.is_held else awaited.bill
            take_settled(own, told)
            charge(own)
        self._stated = [awaited.done for awaited in chain.from_iterable(self._awaited.values())]
        whole = Bill(engine)
        take_settled(whole, told)
        if not told.is_held:
            learn(whole, self.width)
        edge = (told.index + 1) * self.width
        for name in engine.devices:
            self.devices[name].forget(edge)
        return self._retire(engine, edge)

    def _retire(self, engine: Engine, edge: Seconds) -> list[Account]:
        """Those whose last bin it was; not of work that was stated and has no price yet."""
        finals = []
        for work in list(engine.works):
            account = work.account
            if account.ended is None or account.ended >= edge or account.bins:
                continue
            if not self._stated or not any(account in done for done in self._stated):
                account.is_final = True
                finals.append(account)
                del engine.works[work]
        return finals

    def take_model(self, name: str, model: Model) -> None:
        """Reckon with what the owner has learned."""
        engine = self.engines[name]
        engine.coefficients = Coefficients(*model.coefficients)
        engine.fit.covariance = [list(row) for row in model.covariance]
        engine.is_estimated = model.is_estimated
        engine.bypass.late_share = model.late_share

    def energy(self, engine_name: str, account: Account) -> Energy:
        """What an attempt has consumed, as far as it is known now; what was stated and has no price is as open as the rest."""
        stated = [done[account] for done in self._stated if account in done] if self._stated else None
        if not stated:
            return super().energy(engine_name, account)
        account.bins[_STATED] = total_of(stated)
        try:
            return super().energy(engine_name, account)
        finally:
            del account.bins[_STATED]

    def _sight(self, engine: Engine, now: Seconds) -> Sight:
        done = engine.bypass.done
        return Sight(
            engine.name,
            bool(engine.works),
            (done.prompt, done.fresh, done.output, done.prompt_unseen, done.output_unseen),
            sum_seen(engine.seen(now)),
            engine.tokens_per_second.value,
            engine.tokens_per_chunk.value,
            engine.steps_per_chunk,
            engine.fresh_share.value,
            engine.length_doubt_share,
            engine.tokens_per_second.is_known,
        )


def _bill(engine: Engine, index: int, width: Seconds) -> tuple[Bill, list[tuple[Account, Quantities]]]:
    """What our accounts have done in one bin, and are to pay for."""
    end = (index + 1) * width
    bill = Bill(engine)
    done: list[tuple[Account, Quantities]] = []
    for work in engine.works:
        work.accrue(end)
        quantities = work.account.take(index)
        if quantities is not None:
            done.append((work.account, quantities))
    bill.enter_works(done)
    engine.forget(index)
    return bill, done
