"""Who pays for what the devices consumed: the settlement of bins. Pure: time and readings are handed in.

For each bin `b` and device `d`: `price(d, b) = busy energy measured / work predicted`, and every attempt pays price x its
work. Weights come from the model, totals from the meter, so the parts sum to the meter whatever the model says. For a cost
"fixed per step + additive terms" the Shapley value is exactly `F/N + own terms` (docs/metering.md): that is the fair split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from ..exchange import Coefficients, Energy
from ..metering_state import DeviceState, MeteringState
from ..observed import ServedTokens
from ..units import Joules, Seconds
from .account import Account
from .bounds import energy_of
from .bypass import BypassWatch
from .engine import Engine
from .fitting import TABLE_DOUBT
from .groups import Group, groups_of
from .ledger import DeviceLedger
from .meter import Device, Sample
from .price_watch import PriceWatch
from .settlement import settle_bin
from .state_file import SavedCounter
from .whole_work import BufferedWork, PromptWork
from .work import StreamedWork, Work

BIN_SECONDS: Final = 0.25
HORIZON_SECONDS: Final = 8.0
"""A stream without a first token holds its bins open no longer than this."""
_STARTING_LOAD: Final = 0.5
"""Of its power limit, what a device is taken to draw under load until it has been seen."""


class Attribution:
    """The engines, the devices, and the bins between them."""

    def __init__(
        self,
        *,
        bin_seconds: Seconds = BIN_SECONDS,
        horizon_seconds: Seconds = HORIZON_SECONDS,
        watches_prices: bool = False,
        learns: bool = True,
    ) -> None:
        self.width = bin_seconds
        self._learns = learns
        self._watches_prices = watches_prices
        self.horizon_seconds = horizon_seconds
        self.devices: dict[str, DeviceLedger] = {}
        self.engines: dict[str, Engine] = {}
        self._groups: list[Group] | None = None
        """None where they have to be found anew."""
        self._is_open = False
        self.watches: dict[tuple[str, ...], BypassWatch] = {}
        """By the engines that stand for one model server."""

    def add_device(self, device: Device) -> None:
        """Know a device; it counts from its first reading on."""
        ledger = self.devices[device.id] = DeviceLedger(device, self.width)
        self._groups = None
        if self._watches_prices:
            ledger.price_watch = PriceWatch()

    def add_engine(self, name: str, coefficients: Coefficients, devices: Iterable[str], *, doubt: float = TABLE_DOUBT) -> None:
        """Know a model server that runs on these devices, which must be known.

        `doubt`: how far off, relative, the ratios of its coefficients may be.
        """
        engine = Engine(name, coefficients, (), bin_seconds=self.width, doubt=doubt)
        engine.learns = self._learns
        self.engines[name] = engine
        self.move_engine(name, devices)

    def move_engine(self, name: str, devices: Iterable[str]) -> None:
        """Let a model server that has nothing in flight and nothing unsettled run on these devices from now on."""
        known = [self.devices[device].counter.device for device in devices]
        limits = [device.power_limit_watts for device in known]
        self.engines[name].place(known, sum(_STARTING_LOAD * limit for limit in limits if limit is not None))
        self._groups = None

    def begin(
        self, engine_name: str, now: Seconds, *, prompt_tokens: float, sequences: int, is_streamed: bool, decodes: bool
    ) -> Work:
        """An attempt begins at an upstream. `prompt_tokens` is an estimate until its usage is known."""
        engine = self.engines[engine_name]
        if not engine.oldest_open:
            self._open(engine, now)
        account = Account(self.width, now, sequences)
        for device in engine.devices:
            self.devices[device].busy.begin(now)
        work: Work
        if not decodes:
            work = PromptWork(account, engine, prompt_tokens)
        elif is_streamed:
            work = StreamedWork(account, engine, prompt_tokens)
        else:
            work = BufferedWork(account, engine, prompt_tokens)
        engine.works[work] = None
        return work

    def end(self, engine_name: str, work: Work, now: Seconds) -> None:
        """The attempt is over; asking twice is asking once."""
        if work.account.ended is not None:
            return
        engine = self.engines[engine_name]
        work.end(now)
        work.account.ended = now
        engine.bypass.done.add(work.seen(now))
        for device in engine.devices:
            self.devices[device].busy.end(now)

    def sample(self, sample: Sample) -> None:
        """Take one reading of a known device."""
        ledger = self.devices[sample.device_id]
        self._open(ledger, sample.at - ledger.counter.lag_seconds)
        ledger.counter.add(sample, oldest_open=ledger.oldest_open)

    def served(self, engines: tuple[str, ...], served: ServedTokens, at: Seconds) -> bool:
        """The model server behind these engines says what it has served; returns whether others use it too, as it seems."""
        watch = self.watches.get(engines)
        if watch is None:
            watch = self.watches[engines] = BypassWatch()
            for name in engines:
                watch.add(self.engines[name].bypass, self.engines[name])
        first = self.engines[engines[0]]
        watch.observe(served, at, oldest_open=first.oldest_open, fresh_share=first.fresh_share.value)
        return watch.is_suspected(at)

    def book_unresolved(self, device: str, joules: Joules) -> None:
        """Energy of a known device that is nobody's: consumed while nobody was there to read."""
        self.devices[device].accounts["unresolved"] += joules

    def restore_accounts(self, device: str, accounts: Mapping[str, Joules]) -> None:
        """Let a device that is new go on from what another process has settled."""
        ledger = self.devices[device]
        ledger.carried = {account: joules for account, joules in accounts.items() if account in ledger.accounts}
        ledger.accounts |= ledger.carried

    def settled_counters(self) -> dict[str, SavedCounter]:
        """What each counter showed when all of it had settled, and when that was."""
        return {
            name: SavedCounter(
                ledger.counter.raw_joules - ledger.counter.open_joules(), ledger.oldest_open * self.width, dict(ledger.accounts)
            )
            for name, ledger in self.devices.items()
            if ledger.counter.raw_joules is not None
        }

    @property
    def groups(self) -> list[Group]:
        """Those that settle together."""
        if self._groups is None:
            self._groups = groups_of(self.engines.values(), self.devices)
        return self._groups

    @property
    def oldest_open(self) -> int | None:
        """The first bin that has not settled everywhere; None before the first event."""
        return min((index for group in self.groups if (index := group.oldest_open) is not None), default=None)

    def _open(self, member: Engine | DeviceLedger, now: Seconds) -> None:
        """The first event or reading opens the first bin for all; for whoever comes later, his own does."""
        if member.oldest_open:
            return
        for group in self.groups:
            if not self._is_open or member in group.engines or member in group.devices:
                group.open(int(now // self.width))
        self._is_open = True

    def settle(self, now: Seconds) -> list[Account]:
        """Settle every bin that can be, in order; returns the accounts that became final by it."""
        for watch in self.watches.values():
            watch.mark(now)
        finals: list[Account] = []
        for group in self.groups:
            hold = self._hold(group, now)
            while (index := group.oldest_open) is not None and (edge := (index + 1) * self.width) <= hold:
                if not group.covers(edge, now):
                    break
                finals += settle_bin(index, self.width, *group.at(index))
                group.close(index)
        return finals

    def _hold(self, group: Group, now: Seconds) -> Seconds:
        """Until when bins may settle: not beyond now, nor beyond the beginning of a stream that waits for its first token.

        Nor beyond what is known of others, where there may be any, or where nobody waits for his energy anyway.
        """
        is_quiet = not any(engine.works for engine in group.engines)
        names = {engine.name for engine in group.engines}
        watches = [watch for engines, watch in self.watches.items() if not names.isdisjoint(engines)]
        hold = min((watch.holds_at(now, is_quiet=is_quiet) for watch in watches), default=now)
        hold = min(hold, now)
        for engine in group.engines:
            while engine.waiting:
                account, started = next(iter(engine.waiting.items()))
                if now - started <= self.horizon_seconds:
                    hold = min(hold, started)
                    break
                del engine.waiting[account]
        return hold

    def energy(self, engine_name: str, account: Account) -> Energy:
        """What an attempt has consumed, as far as it is known now; of one that is final always the same."""
        if account.final_energy is not None:
            return account.final_energy
        engine = self.engines[engine_name]
        energy = energy_of(account, engine, [self.devices[device] for device in engine.devices])
        if account.is_final:
            account.final_energy = energy
        return energy

    def state(self, now: Seconds) -> MeteringState:
        """All devices and their accounts at one instant."""
        oldest_open = self.oldest_open
        settled_until = now if oldest_open is None else oldest_open * self.width
        return MeteringState(
            devices=tuple(self._device_state(ledger) for ledger in self.devices.values()),
            settle_lag_seconds=max(0.0, now - settled_until),
            coefficients={name: engine.fit.measured or engine.coefficients for name, engine in self.engines.items()},
            bypass={name: engine.bypass.state for name, engine in self.engines.items()},
        )

    @staticmethod
    def _device_state(ledger: DeviceLedger) -> DeviceState:
        counter = ledger.counter
        return DeviceState(
            device=counter.device.id,
            name=counter.device.name,
            is_up=counter.is_up,
            reason=counter.problem,
            watts=counter.watts,
            counter_joules=counter.raw_joules,
            settled_joules=sum(ledger.accounts.values()),
            accounts=dict(ledger.accounts),
            carried=ledger.carried,
            counter_power_ratio=counter.cross_check.ratio,
            is_bypass_suspected=ledger.price_watch is not None and ledger.price_watch.is_suspicious,
        )
