"""Who pays for what the devices consumed: the settlement of bins. Pure: time and readings are handed in.

For each bin `b` and device `d`: `price(d, b) = busy energy measured / work predicted`, and every attempt pays price x its
work. Weights come from the model, totals from the meter, so the parts sum to the meter whatever the model says. For a cost
"fixed per step + additive terms" the Shapley value is exactly `F/N + own terms` (docs/metering.md): that is the fair split.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..exchange import Coefficients, DeviceState, Energy, MeteringState
from ..units import Seconds
from .account import Account
from .bounds import energy_of
from .engine import Engine
from .meter import Device, Sample
from .settlement import DeviceLedger, settle_bin
from .work import BufferedWork, StreamedWork, Work

BIN_SECONDS: Final = 0.25
HORIZON_SECONDS: Final = 8.0
"""A stream without a first token holds its bins open no longer than this."""


class Attribution:
    """The engines, the devices, and the bins between them."""

    def __init__(self, *, bin_seconds: Seconds = BIN_SECONDS, horizon_seconds: Seconds = HORIZON_SECONDS) -> None:
        self.width = bin_seconds
        self.horizon_seconds = horizon_seconds
        self.devices: dict[str, DeviceLedger] = {}
        self.engines: dict[str, Engine] = {}
        self.oldest_open: int | None = None

    def add_device(self, device: Device) -> None:
        """Know a device; it counts from its first reading on."""
        self.devices[device.id] = DeviceLedger(device, self.width)

    def add_engine(self, name: str, coefficients: Coefficients, devices: Iterable[str]) -> None:
        """Know a model server that runs on these devices, which must be known."""
        engine = self.engines[name] = Engine(name, coefficients, tuple(devices), self.width)
        engine.oldest_open = self.oldest_open or 0

    def begin(
        self, engine_name: str, now: Seconds, *, prompt_tokens: float, sequences: int, is_streamed: bool, decodes: bool
    ) -> Work:
        """An attempt begins at an upstream. `prompt_tokens` is an estimate until its usage is known."""
        engine = self.engines[engine_name]
        self._open(now)
        account = Account(self.width, now, sequences)
        for device in engine.devices:
            self.devices[device].begin(now)
        work: Work
        if is_streamed and decodes:
            work = StreamedWork(account, engine, prompt_tokens)
        else:
            work = BufferedWork(account, engine, prompt_tokens, decodes=decodes)
        engine.works[work] = None
        return work

    def end(self, engine_name: str, work: Work, now: Seconds) -> None:
        """The attempt is over; asking twice is asking once."""
        if work.account.ended is not None:
            return
        engine = self.engines[engine_name]
        work.end(now)
        work.account.ended = now
        for device in engine.devices:
            self.devices[device].end(now)

    def sample(self, sample: Sample) -> None:
        """Take one reading of a known device."""
        self._open(sample.at - self.devices[sample.device_id].counter.device.counter_lag_seconds)
        self.devices[sample.device_id].counter.add(sample, oldest_open=self.oldest_open or 0)

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
        """Until when bins may settle: not beyond now, nor beyond the beginning of a stream that waits for its first token."""
        hold = now
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
        )
