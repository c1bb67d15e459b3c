"""A day in virtual time: what the metering holds after it is what it held after two hours."""

import gc
import types

from metering_world import COEFFICIENTS, VirtualDevice

from jevons.proxy.exchange import Usage
from jevons.proxy.metering.attribution import Attribution
from jevons.proxy.metering.meter import Device
from jevons.proxy.observed import ServedTokens

DAY_SECONDS, WARM_SECONDS = 86_400, 7_200
POLL_SECONDS = 4.0
_SHARED = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)


def count_objects(root):
    """All that hangs on it: containers, and what is in them."""
    seen, waiting = set(), [root]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen and not isinstance(one, _SHARED):
            seen.add(id(one))
            waiting += gc.get_referents(one)
    return len(seen)


class Day:
    """Devices that are read every four seconds, and a request every twenty; now and then a device is silent, or is reset."""

    def __init__(self):
        self.attribution = Attribution(bin_seconds=10.0, watches_prices=True)
        self.devices = [VirtualDevice("one", 400.0), VirtualDevice("two", 200.0), VirtualDevice("cpu", 90.0, has_counter=False)]
        for device in self.devices:
            scope = "cpu" if device.id == "cpu" else "gpu"
            self.attribution.add_device(Device(device.id, "virtual", scope=scope, power_limit_watts=700.0))
        self.attribution.add_engine("a", COEFFICIENTS, ["one", "cpu"])
        self.attribution.add_engine("b", COEFFICIENTS, ["two", "cpu"])
        self.now, self.polls = 1000.0, 0
        self.tokens = 0.0

    def run(self, seconds):
        """Go on for so long."""
        for _ in range(round(seconds / POLL_SECONDS)):
            self.now += POLL_SECONDS
            self.polls += 1
            for number, device in enumerate(self.devices):
                phase = (self.polls + 100 * number) % 1800
                kind = "fail" if phase < 10 else "reset" if phase == 500 else "ok"
                self.attribution.sample(device.read(self.now, kind))
            if self.polls % 5 == 0:
                self._answer("ab"[self.polls % 2])
            self.attribution.settle(self.now)

    def _answer(self, engine):
        options = {"prompt_tokens": 50.0, "sequences": 1, "is_streamed": True, "decodes": True}
        work = self.attribution.begin(engine, self.now - 1.5, **options)
        for _ in range(3):
            work.chunks(self.now - 0.5, 1)
        work.finish(self.now, Usage(prompt=50, cached=0, completion=3))
        self.attribution.end(engine, work, self.now)
        self.tokens += 5.0
        self.attribution.served((engine,), ServedTokens(self.tokens * 20, self.tokens), self.now)


def test_a_day_leaves_nothing_behind():
    """Counters, their cadence, the comparison with power, ledgers, engines and watches: all of it is bounded."""
    day = Day()
    day.run(WARM_SECONDS)
    before = count_objects(day.attribution)
    day.run(DAY_SECONDS - WARM_SECONDS)
    assert count_objects(day.attribution) < 1.1 * before
    for ledger in day.attribution.devices.values():
        assert sum(ledger.accounts.values()) > 0.0
