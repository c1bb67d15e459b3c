"""A world for the attribution with no physics in it: devices of constant power, attempts that do anything in any order.

Its counters give the energy of the moment of the reading, so that what has to be booked is known exactly: also after a reset,
when the power held is the power there was.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest

from jevons.proxy.exchange import Coefficients, EnergyStatus, Usage
from jevons.proxy.metering.attribution import BIN_SECONDS, Attribution
from jevons.proxy.metering.meter import Device, Sample
from jevons.proxy.metering.work import Work
from jevons.proxy.observed import ServedTokens

COEFFICIENTS = Coefficients(3.16, 0.056, 3.4e-5, 0.0226)
LIMIT_WATTS = 700.0
EXACT = 1e-9


@dataclass
class VirtualDevice:
    """One device: what it draws, which readings it has, and what it has shown."""

    id: str
    watts: float
    has_counter: bool = True
    has_power: bool = True
    lag_seconds: float = 0.0
    origin: float = 0.0
    """What is to be added to the energy since time 0 to have the counter."""
    first_joules: float | None = None
    """The energy when it was first read, and when its counter last moved."""
    moved_joules: float = 0.0
    shown: float | None = None
    """The counter's last reading."""
    read_at: float = 0.0

    def read(self, now: float, kind: str = "ok") -> Sample:
        """A reading at this time: `ok`, `fail`, `still` (the counter has not moved), `reset` or `leap`."""
        if kind == "fail":
            return Sample(self.id, now, problem="lost")
        joules = self.watts * now
        if kind == "still" and self.shown is not None and self.has_counter:
            return self._sample(now, self.shown)
        if kind in {"reset", "leap"} and self.shown is not None and self.has_power:
            self.origin = (self.shown / 2 if kind == "reset" else self.shown + 1e9) - joules
        self.first_joules = joules if self.first_joules is None else self.first_joules
        self.moved_joules = joules
        self.shown = joules + self.origin
        return self._sample(now, self.shown)

    def _sample(self, now: float, joules: float) -> Sample:
        return Sample(self.id, now, joules if self.has_counter else None, self.watts if self.has_power else None)

    @property
    def booked_joules(self) -> float:
        """What the readings so far have shown to be consumed."""
        return 0.0 if self.first_joules is None else self.moved_joules - self.first_joules


@dataclass
class World:
    """Devices, engines and attempts, and the time, which only the test moves."""

    devices: dict[str, VirtualDevice]
    engines: dict[str, tuple[str, ...]]
    """The devices of each."""
    now: float = 1000.1
    attempts: list[tuple[str, Work]] = field(default_factory=list)
    served: dict[str, ServedTokens] = field(default_factory=dict)
    """What engines' own counters show."""

    def __post_init__(self) -> None:
        """Let the attribution know them all."""
        self.attribution = Attribution()
        for device in self.devices.values():
            self.attribution.add_device(
                Device(device.id, "virtual", power_limit_watts=LIMIT_WATTS, counter_lag_seconds=device.lag_seconds)
            )
        for name, devices in self.engines.items():
            self.attribution.add_engine(name, COEFFICIENTS, devices)

    def begin(self, engine: str, kind: str = "streamed", *, prompt: float = 100.0, sequences: int = 1) -> Work:
        """An attempt begins: `streamed`, `buffered` or `prompt`."""
        work = self.attribution.begin(
            engine,
            self.now,
            prompt_tokens=prompt,
            sequences=sequences,
            is_streamed=kind == "streamed",
            decodes=kind != "prompt",
        )
        self.attempts.append((engine, work))
        return work

    def finish(self, work: Work, completion: int | None = None, prompt: int | None = 100, cached: int | None = 0) -> None:
        """Its usage is known, and it is over."""
        work.finish(self.now, Usage(prompt=prompt, cached=cached, completion=completion))
        self.end(work)

    def end(self, work: Work) -> None:
        """It is over."""
        engine = next(name for name, attempt in self.attempts if attempt is work)
        self.attribution.end(engine, work, self.now)

    def read(self, device: str, kind: str = "ok") -> None:
        """One device is read; twice at the same time is once."""
        if self.now > self.devices[device].read_at:
            self.devices[device].read_at = self.now
            self.attribution.sample(self.devices[device].read(self.now, kind))

    def settle(self) -> None:
        """Settle what can be."""
        self.attribution.settle(self.now)

    def wait(self, seconds: float) -> None:
        """Nothing happens for a while."""
        self.now += seconds

    def run(self, seconds: float, poll_seconds: float = 0.125) -> None:
        """Time goes on, and all devices are read."""
        for _ in range(round(seconds / poll_seconds)):
            self.now += poll_seconds
            for name in self.devices:
                self.read(name)
            self.settle()

    def stream(self, work: Work, seconds: float, tokens_per_second: float = 32.0, poll_seconds: float = 0.125) -> None:
        """Tokens arrive one by one for a while, and all devices are read."""
        for _ in range(round(seconds / poll_seconds)):
            for _ in range(round(poll_seconds * tokens_per_second)):
                self.now += 1 / tokens_per_second
                work.chunks(self.now, 1)
            for name in self.devices:
                self.read(name)
            self.settle()

    @property
    def charged_joules(self) -> float:
        """The charges of all attempts."""
        return sum(work.account.charge.joules for _, work in self.attempts)

    def account_joules(self, account: str) -> float:
        """One account, over all devices."""
        return sum(ledger.accounts[account] for ledger in self.attribution.devices.values())


def one_device(**options) -> World:
    """One GPU of 400 W with one model server."""
    return World({"gpu": VirtualDevice("gpu", 400.0, **options)}, {"model": ("gpu",)})


def check_energies(world):
    """No energy is ever absurd."""
    for engine, work in world.attempts:
        energy = world.attribution.energy(engine, work.account)
        assert (energy.status is EnergyStatus.FINAL) == work.account.is_final
        if energy.joules is not None:
            assert math.isfinite(energy.high)
            assert 0 <= energy.low <= energy.joules <= energy.high
        else:
            assert energy.high is None
            assert energy.low is None or energy.low > 0


def check_sums(world):
    """What was measured is in the accounts or in bins that are open; what is attributed is charged to somebody."""
    for name, device in world.devices.items():
        ledger = world.attribution.devices[name]
        assert all(joules >= 0 for joules in ledger.accounts.values())
        held = sum(ledger.accounts.values()) + ledger.counter.open_joules()
        assert held == pytest.approx(device.booked_joules, rel=EXACT, abs=1e-6)
        assert ledger.counter.booked_joules == pytest.approx(held, rel=EXACT, abs=1e-9)
    assert world.charged_joules == pytest.approx(world.account_joules("attributed"), rel=EXACT, abs=1e-9)
    for _, work in world.attempts:
        charge = work.account.charge
        assert charge.joules >= 0


def check_memory(world):
    """Nothing is left of attempts that are over."""
    for engine in world.attribution.engines.values():
        assert not engine.works
        assert not engine.waiting
        assert engine.decoding == engine.reading == 0
        assert len(engine.step_shares.bins) <= 1
    for ledger in world.attribution.devices.values():
        assert len(ledger.counter._bins) < 1 / BIN_SECONDS
        assert not ledger.busy._stretches
    assert all(not work.account.bins for _, work in world.attempts)
