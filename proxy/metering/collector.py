"""The owner of the devices, where the attempts are other processes': it settles bins over what all of them have stated. Pure.

Every joule is booked here, once, whatever becomes of a worker. What one that died had stated and was not charged for, and what
it is likely to have done since, is `unresolved`: nobody is left to pay, and nobody else shall.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..exchange import Usage
from ..observed import ServedTokens
from ..units import Joules, Seconds
from .account import Account
from .attribution import Attribution
from .bypass import Done, Seen
from .engine import Engine
from .fitting import Fit
from .groups import Group
from .settlement import Bill, Bin, learn, settle_device, weigh
from .statements import Due, Model, Settled, Sight, Stated, Statement, add_done, settled, take_stated
from .teaching import teach

PATIENCE_SECONDS: Final[Seconds] = 2.0
"""A worker that has said nothing for so long is not waited for; what it states later counts for the bin that is open then."""
_RECENT_BINS: Final = 4
"""So old, at most, is the work by which that of a dead worker is estimated."""


@dataclass(slots=True)
class SharedBill(Bill):
    """One engine's bill over all workers."""

    lost: Joules = 0.0
    """Of its base, what dead workers would have to pay."""
    steps_share: float = 1.0


@dataclass(slots=True)
class _SharedBin(Bin):
    """A bin whose attempts are elsewhere."""

    flights: Mapping[str, tuple[Seconds, Seconds]] = field(default_factory=dict)
    """By engine: seconds in flight, all in all, and those of dead workers."""

    def held_by(self, engine: Engine) -> Bill:
        """Time in flight, as the workers have stated it."""
        bill = self.held.get(engine.name)
        if bill is None:
            seconds, lost = self.flights.get(engine.name, (0.0, 0.0))
            bill = self.held[engine.name] = SharedBill(engine, lost=lost)
            bill.total.base = seconds
        return bill


class _Elsewhere:
    """All that one worker has at one engine, in the place of attempts of our own."""

    def __init__(self, width: Seconds, now: Seconds) -> None:
        self.account = Account(width, now, 1)
        self.sight: Sight | None = None

    def seen(self, now: Seconds) -> Seen:  # noqa: ARG002 - the protocol's; it is as the worker has last said
        """The tokens in flight."""
        return Seen(0.0, 0.0, 0.0) if self.sight is None else Seen(*self.sight.seen)

    def chunks(self, now: Seconds, count: int) -> None:
        """They arrive elsewhere."""

    def finish(self, now: Seconds, usage: Usage) -> None:
        """It is counted elsewhere."""

    def end(self, now: Seconds) -> None:
        """It ends elsewhere."""

    def accrue(self, until: Seconds) -> None:
        """It is stated."""


@dataclass(slots=True)
class _Member:
    """One worker."""

    heard: Seconds
    """When it last stated anything."""
    reached: dict[str, int] = field(default_factory=dict)
    stated: dict[tuple[str, int], list[Stated]] = field(default_factory=dict)
    """By engine and bin: what has not settled."""
    latest: dict[str, Stated] = field(default_factory=dict)
    flying: set[str] = field(default_factory=set)
    """Engines at which it has something in flight."""
    works: dict[str, _Elsewhere] = field(default_factory=dict)
    sights: dict[str, Sight] = field(default_factory=dict)


class Collector(Attribution):
    """The devices, the engines, and the workers whose attempts run on them."""

    def __init__(self, *, watches_prices: bool = False) -> None:
        super().__init__(watches_prices=watches_prices)
        self._members: dict[int, _Member] = {}
        self._lost: dict[tuple[str, int], list[Stated]] = {}
        """What dead workers have stated, or are taken to have done."""
        self._gone: dict[str, Done] = {}
        """Tokens of dead workers' attempts, by engine."""
        self._settled: list[Settled] = []
        self._served: dict[tuple[str, ...], tuple[ServedTokens, Seconds]] = {}
        """Servers' own counts, to be compared once every worker has said what it has seen since."""

    def join(self, member: int, now: Seconds) -> None:
        """A worker begins."""
        self._members[member] = _Member(now)

    def leave(self, member: int, now: Seconds) -> None:
        """A worker is gone, and with it whoever was to pay for its work."""
        gone = self._members.pop(member, None)
        if gone is None:
            return
        for name in gone.flying:
            self._book_lost(gone, self.engines[name], now)
            for device in self.engines[name].devices:
                self.devices[device].busy.end(now)
        for key, stated in gone.stated.items():
            self._lost.setdefault(key, []).extend(stated)
        for name, work in gone.works.items():
            self.engines[name].works.pop(work, None)
        for name, sight in gone.sights.items():
            add_done(self._gone.setdefault(name, Done()), sight.done)
        for watch in self.watches.values():
            watch.begin_anew()

    def _book_lost(self, gone: _Member, engine: Engine, now: Seconds) -> None:
        """The bins that it has not stated any more: as much work as in the last that it, or another, has; or its time."""
        first = max(engine.oldest_open, gone.reached.get(engine.name, 0))
        likely = [member.latest.get(engine.name) for member in (gone, *self._members.values())]
        latest = next((one for one in likely if one is not None and one.base > 0.0 and first - one.index <= _RECENT_BINS), None)
        for index in range(first, int(now // self.width) + 1):
            seconds = min(now, (index + 1) * self.width) - index * self.width
            if latest is None:
                lost = Stated(engine.name, index, 0.0, 0.0, 0.0, 0.0, (0.0,) * 5, 0.0, 0.0, 0.0, 0.0, seconds)
            else:
                share = seconds / self.width
                parts = (latest.base * share, latest.fixed * share, latest.context * share, latest.prompt * share)
                steps, tokens, context, prompt, late = (amount * share for amount in latest.work)
                work = (steps, tokens, context, prompt, late)
                lost = Stated(engine.name, index, *parts, work, 0.0, 0.0, 0.0, 0.0, seconds)
            self._lost.setdefault((engine.name, index), []).append(lost)

    def take_edges(self, member: int, edges: Iterable[tuple[str, Seconds, bool]]) -> None:
        """A worker's engines began, or ceased, to have something in flight."""
        known = self._members.get(member)
        if known is None:
            return
        for name, at, is_begin in edges:
            engine = self.engines.get(name)
            if engine is None or is_begin == (name in known.flying):
                continue
            if is_begin:
                self._open(engine, at)
                known.flying.add(name)
                work = known.works.get(name)
                if work is None:
                    work = known.works[name] = _Elsewhere(self.width, at)
                engine.works[work] = None
            else:
                known.flying.discard(name)
            for device in engine.devices:
                busy = self.devices[device].busy
                (busy.begin if is_begin else busy.end)(at)

    def take(self, member: int, statement: Statement) -> list[tuple[str, int, int]]:
        """What a worker states; returns (engine, bin, bin that it counts for) of what came too late for its own."""
        known = self._members.get(member)
        if known is None:  # it answers before it serves: it has nothing to state
            return []
        known.heard = statement.at
        known.reached.update(statement.reached)
        moved = []
        for stated in statement.stated:
            oldest_open = self.engines[stated.engine].oldest_open
            index = max(stated.index, oldest_open)
            if index != stated.index:
                moved.append((stated.engine, stated.index, index))
            known.stated.setdefault((stated.engine, index), []).append(stated)
            known.latest[stated.engine] = stated
        for sight in statement.sights:
            self._see(known, sight)
        self._observe()
        return moved

    def _see(self, member: _Member, sight: Sight) -> None:
        engine = self.engines.get(sight.engine)
        if engine is None:
            return
        member.sights[sight.engine] = sight
        work = member.works.get(sight.engine)
        if work is not None:
            work.sight = sight
            if not sight.is_open and sight.engine not in member.flying:
                engine.works.pop(member.works.pop(sight.engine), None)
        if not sight.is_learned:
            return
        engine.tokens_per_second.start = sight.tokens_per_second
        engine.tokens_per_chunk.start = sight.tokens_per_chunk
        engine.fresh_share.start = sight.fresh_share
        engine.prompt_error.start, engine.length_error.start = 1.0, sight.length_doubt_share
        steps = max(each.sights[sight.engine].steps_per_chunk for each in self._members.values() if sight.engine in each.sights)
        if steps != engine.steps_per_chunk:
            engine.steps_per_chunk = steps
            engine.fit = Fit(engine.fit.start, doubt=engine.fit.doubt)
            engine.coefficients = engine.fit.start

    def served(self, engines: tuple[str, ...], served: ServedTokens, at: Seconds) -> bool:
        """As `Attribution.served`, once all workers have said what they have seen by then."""
        self._served[engines] = (served, at)
        self._observe()
        watch = self.watches.get(engines)
        return watch is not None and watch.is_suspected(at)

    @property
    def needs_sights(self) -> bool:
        """Whether workers are to say what they have seen."""
        return bool(self._served)

    def _observe(self) -> None:
        for engines, (served, at) in list(self._served.items()):
            if any(member.heard <= at for member in self._members.values()):
                continue
            for name in engines:
                done = self.engines[name].bypass.done = Done()
                gone = self._gone.get(name, Done())
                for part in (
                    (gone.prompt, gone.fresh, gone.output, gone.prompt_unseen, gone.output_unseen),
                    *(member.sights[name].done for member in self._members.values() if name in member.sights),
                ):
                    add_done(done, part)
            del self._served[engines]
            super().served(engines, served, at)

    def dues(self, now: Seconds) -> list[Due]:
        """Up to which bins the counters tell, by engines that settle together: to be called for."""
        for watch in self.watches.values():
            watch.mark(now)
        found = []
        for group in self.groups:
            last = None
            for index in self._covered(group, now):
                last = index
            if last is not None and group.engines:
                found.append(Due(tuple(engine.name for engine in group.engines), last))
        return found

    def _covered(self, group: Group, now: Seconds) -> Iterator[int]:
        hold, index = self._hold(group, now), group.oldest_open
        while index is not None and (edge := (index + 1) * self.width) <= hold and group.covers(edge, now):
            yield index
            index += 1

    def settle_stated(self, now: Seconds) -> list[Settled]:
        """Settle every bin of which all workers have stated their work, in order; what each has cost is for all of them."""
        found: list[Settled] = []
        for group in self.groups:
            for index in self._covered(group, now):
                if not all(self._has_stated(member, group, index, now) for member in self._members.values()):
                    break
                found += self._settle(group, index)
                group.close(index)
        return found

    def settle(self, now: Seconds) -> list[Account]:
        """Settle what can be; the accounts are elsewhere, and what bins have cost waits for `take_settled`."""
        for watch in self.watches.values():
            watch.mark(now)
        self._settled += self.settle_stated(now)
        return []

    def take_settled(self) -> list[Settled]:
        """What bins have cost since this was last asked: for all workers, in this order."""
        settled, self._settled = self._settled, []
        return settled

    @staticmethod
    def _has_stated(member: _Member, group: Group, index: int, now: Seconds) -> bool:
        is_silent = now - member.heard > PATIENCE_SECONDS
        return is_silent or all(member.reached.get(engine.name, 0) > index for engine in group.engines)

    def _settle(self, group: Group, index: int) -> list[Settled]:
        engines, devices = group.at(index)
        begin, flights = index * self.width, {}
        bills: list[SharedBill] = []
        for engine in engines:
            lost = self._lost.pop((engine.name, index), [])
            ours = [one for member in self._members.values() for one in member.stated.pop((engine.name, index), ())]
            bills.append(self._bill(engine, index, ours, lost))
            seconds = sum(one.held for one in lost)
            flights[engine.name] = (seconds + sum(one.held for one in ours), seconds)
        settling = _SharedBin(index, begin, begin + self.width, list[Bill](bills), flights=flights)
        for name, ledger in devices.items():
            payers = settling.payers(name)
            before = [bill.price for bill in payers]
            settle_device(ledger, settling, payers)
            for bill, price in zip(payers, before, strict=True):
                if isinstance(bill, SharedBill) and bill.lost > 0.0:
                    joules = (bill.price - price) * bill.lost
                    ledger.accounts["attributed"] -= joules
                    ledger.accounts["unresolved"] += joules
        return [self._close(bill, settling) for bill in bills]

    def _bill(self, engine: Engine, index: int, ours: Sequence[Stated], lost: Sequence[Stated]) -> SharedBill:
        bill = SharedBill(engine)
        for stated in ours:
            take_stated(bill, stated, is_lost=False)
        for stated in lost:
            take_stated(bill, stated, is_lost=True)
            bill.lost += stated.base
        steps = bill.work.steps
        others = engine.bypass.take(index, [bill.work], engine.tokens_per_second.value * self.width)
        if others is not None:
            if steps > 0.0:
                bill.steps_share = bill.work.steps / steps
                elsewhere = bill.total.fixed * (1.0 - bill.steps_share)
                bill.total.fixed -= elsewhere
                bill.total.base -= elsewhere
            bill.others, bill.bypass = others, weigh(others, engine)
            bill.total.add(bill.bypass)
            bill.flags.add("bypass")
        engine.forget(index)
        return bill

    def _close(self, bill: SharedBill, settling: _SharedBin) -> Settled:
        """The bill is paid: learn from it, and say what it was."""
        engine = bill.engine
        if engine.is_estimated:
            bill.price = 1.0
        learn(bill, self.width)
        if bill.lost > 0.0:
            engine.fit.regression.skip()
        else:
            teach(bill, settling)
        held = settling.held.get(engine.name)
        whole = bill if held is None else held
        return settled(whole, settling.index, bill.steps_share, is_held=held is not None, model=self.model(engine))

    @staticmethod
    def model(engine: Engine) -> Model:
        """What workers are to reckon with."""
        used = engine.coefficients
        coefficients = (
            used.fixed_joules_per_step,
            used.joules_per_token,
            used.joules_per_context_token,
            used.joules_per_prompt_token,
        )
        return Model(
            coefficients, tuple(tuple(row) for row in engine.fit.covariance), engine.is_estimated, engine.bypass.late_share
        )
