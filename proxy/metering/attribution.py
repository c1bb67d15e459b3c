"""Who pays for what the devices consumed: the settlement of bins. Pure: time and readings are handed in.

For each bin `b` and device `d`: `price(d, b) = busy energy measured / work predicted`, and every attempt pays price x its
work. Weights come from the model, totals from the meter, so the parts sum to the meter whatever the model says. For a cost
"fixed per step + additive terms" the Shapley value is exactly `F/N + own terms` (docs/metering.md): that is the fair split.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..exchange import Coefficients, DeviceState, Energy, MeteringState
from ..observed import ServedTokens
from ..units import Joules, Seconds
from .account import Account
from .bounds import energy_of
from .bypass import BypassWatch
from .engine import Engine
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
    ) -> None:
        self.width = bin_seconds
        self._watches_prices = watches_prices
        self.horizon_seconds = horizon_seconds
        self.devices: dict[str, DeviceLedger] = {}
        self.engines: dict[str, Engine] = {}
        self.oldest_open: int | None = None
        self.watches: dict[tuple[str, ...], BypassWatch] = {}
        """By the engines that stand for one model server."""

    def add_device(self, device: Device) -> None:
        """Know a device; it counts from its first reading on."""
        ledger = self.devices[device.id] = DeviceLedger(device, self.width)
        if self._watches_prices:
            ledger.price_watch = PriceWatch()

    def add_engine(self, name: str, coefficients: Coefficients, devices: Iterable[str]) -> None:
        """Know a model server that runs on these devices, which must be known."""
        names = tuple(devices)
        limits = [self.devices[device].counter.device.power_limit_watts for device in names]
        watts = sum(_STARTING_LOAD * limit for limit in limits if limit is not None)
        engine = Engine(name, coefficients, names, bin_seconds=self.width, starting_watts=watts)
        engine.oldest_open = self.oldest_open or 0
        self.engines[name] = engine

    def begin(
        self, engine_name: str, now: Seconds, *, prompt_tokens: float, sequences: int, is_streamed: bool, decodes: bool
    ) -> Work:
        """An attempt begins at an upstream. `prompt_tokens` is an estimate until its usage is known."""
        engine = self.engines[engine_name]
        self._open(now)
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
        self._open(sample.at - self.devices[sample.device_id].counter.device.counter_lag_seconds)
        self.devices[sample.device_id].counter.add(sample, oldest_open=self.oldest_open or 0)

    def served(self, engines: tuple[str, ...], served: ServedTokens, at: Seconds) -> bool:
        """The model server behind these engines says what it has served; returns whether others use it too, as it seems."""
        watch = self.watches.get(engines)
        if watch is None:
            watch = self.watches[engines] = BypassWatch()
            for name in engines:
                watch.add(self.engines[name].bypass, self.engines[name])
        share = self.engines[engines[0]].fresh_share.value
        watch.observe(served, at, oldest_open=self.oldest_open or 0, fresh_share=share)
        return watch.is_suspected(at)

    def book_unresolved(self, device: str, joules: Joules) -> None:
        """Energy of a known device that is nobody's: consumed while nobody was there to read."""
        self.devices[device].accounts["unresolved"] += joules

    def settled_counters(self) -> dict[str, SavedCounter]:
        """What each counter showed when all of it had settled, and when that was."""
        at = (self.oldest_open or 0) * self.width
        return {
            name: SavedCounter(ledger.counter.raw_joules - ledger.counter.open_joules(), at)
            for name, ledger in self.devices.items()
            if ledger.counter.raw_joules is not None
        }

    def _open(self, now: Seconds) -> None:
        """The first event or reading opens the first bin."""
        if self.oldest_open is None:
            self.oldest_open = int(now // self.width)
            for engine in self.engines.values():
                engine.oldest_open = self.oldest_open

    def settle(self, now: Seconds) -> list[Account]:
        """Settle every bin that can be, in order; returns the accounts that became final by it."""
        if self.oldest_open is None:
            return []
        finals: list[Account] = []
        hold = self._hold(now)
        while (edge := (self.oldest_open + 1) * self.width) <= hold:
            if not all(ledger.counter.covers(edge, now) for ledger in self.devices.values()):
                break
            finals += settle_bin(self.oldest_open, self.width, list(self.engines.values()), self.devices)
            self.oldest_open += 1
            for engine in self.engines.values():
                engine.oldest_open = self.oldest_open
        return finals

    def _hold(self, now: Seconds) -> Seconds:
        """Until when bins may settle: not beyond now, nor beyond the beginning of a stream that waits for its first token.

        Nor beyond what is known of others, where there may be any, or where nobody waits for his energy anyway.
        """
        for watch in self.watches.values():
            watch.mark(now)
        is_quiet = not any(engine.works for engine in self.engines.values())
        hold = min((watch.holds_at(now, is_quiet=is_quiet) for watch in self.watches.values()), default=now)
        hold = min(hold, now)
        for engine in self.engines.values():
            while engine.waiting:
                account, started = next(iter(engine.waiting.items()))
                if now - started <= self.horizon_seconds:
                    hold = min(hold, started)
                    break
                del engine.waiting[account]
        return hold

    def energy(self, engine_name: str, account: Account) -> Energy:
        """What an attempt has consumed, as far as it is known now."""
        engine = self.engines[engine_name]
        return energy_of(account, engine, [self.devices[device] for device in engine.devices])

    def state(self, now: Seconds) -> MeteringState:
        """All devices and their accounts at one instant."""
        settled_until = now if self.oldest_open is None else self.oldest_open * self.width
        return MeteringState(
            devices=tuple(self._device_state(ledger) for ledger in self.devices.values()),
            settle_lag_seconds=max(0.0, now - settled_until),
            coefficients={name: engine.coefficients for name, engine in self.engines.items()},
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
            counter_power_ratio=counter.cross_check.ratio,
            is_bypass_suspected=ledger.price_watch is not None and ledger.price_watch.is_suspicious,
        )
