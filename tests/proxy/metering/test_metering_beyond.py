"""Metering beyond its own readings: what others do, what was consumed while nobody read, and what cannot be read at all."""

import asyncio

import pytest
from structlog.testing import capture_logs

from jevons.proxy.errors import MeterError, NothingToRead
from jevons.proxy.exchange import Coefficients, Endpoint, EnergyStatus, Method, Prompt, Request, Upstream, Usage
from jevons.proxy.metering.carbon import Carbon
from jevons.proxy.metering.dcgm import DcgmMeter
from jevons.proxy.metering.fitting import GIVEN_DOUBT, TABLE_DOUBT
from jevons.proxy.metering.meter import Device, Sample
from jevons.proxy.metering.metering import Metering
from jevons.proxy.metering.rapl import RaplMeter
from jevons.proxy.metering.state_file import SavedCounter, StateFile
from jevons.proxy.metering.zeusd import ZeusdMeter
from jevons.proxy.observed import Intensity, ServedTokens

GPU = Device("GPU-1", "NVIDIA A100", power_limit_watts=400.0)
WATTS = 200.0


class QuietMeter:
    """A meter whose devices are read by the test, or one that cannot be opened."""

    name = "quiet"

    def __init__(self, *devices, error=None):
        self._devices = devices
        self._error = error

    def open(self):
        if self._error is not None:
            raise self._error
        return list(self._devices)

    def read(self):
        return []

    def close(self):
        """Nothing is held."""


class Bench:
    """A metering whose clock and readings are moved by hand."""

    def __init__(self, *meters, now=1000.0, upstreams=None, carbon=None, **options):
        self.now = now
        self.upstream = Upstream("chat", "http://127.0.0.1:8000/v1", "Llama-3.1-8B-Instruct")
        self.metering = Metering(
            meters, upstreams or [self.upstream], carbon=carbon or Carbon(), clock=lambda: self.now, **options
        )

    def run(self, seconds):
        """Time goes on, devices are read and bins settle."""
        for _ in range(round(seconds / 0.125)):
            self.now += 0.125
            for sampler in self.metering._samplers:
                sampler._deliver([Sample(device.id, self.now, WATTS * self.now) for device in sampler.devices])
            self.metering.settle()

    def answer(self):
        """A streamed answer of ten tokens, an eighth of a second each."""
        request = Request("r1", Endpoint.CHAT, None, "auto", 0.0, prompt=Prompt(tokens=100), stream=True)
        attempt = self.metering.begin("chat", request)
        for _ in range(10):
            self.run(0.125)
            attempt.chunks(1)
        attempt.finish(Usage(prompt=100, cached=0, completion=10))
        attempt.end()
        return attempt


def accounts(bench):
    [device] = bench.metering.state().devices
    assert sum(device.accounts.values()) == pytest.approx(device.settled_joules)
    return device.accounts


# Restarts


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.json"


async def keep_once(bench):
    """Let the state file be written as it is at the end."""
    task = asyncio.create_task(bench.metering.keep_state())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_was_consumed_while_nobody_read(path):
    """After a restart it is unresolved, the device's total grows with it, and no request pays for it."""
    first = Bench(QuietMeter(GPU), state_file=StateFile(path, boot_id="boot"))
    async with first.metering:
        first.run(5.0)
        await keep_once(first)
        settled = sum(accounts(first).values())
    second = Bench(QuietMeter(GPU), now=first.now + 600.0, state_file=StateFile(path, boot_id="boot"))
    async with second.metering:
        second.run(5.0)
        attempt = second.answer()
        second.run(2.0)
        sums = accounts(second)
        energy = attempt.energy.joules
        [device] = second.metering.state().devices
    assert device.counter_joules - WATTS * 1000.125 == pytest.approx(sum(sums.values()), rel=0.01)
    assert sum(sums.values()) > settled + WATTS * 600.0
    assert sums["unresolved"] == pytest.approx(WATTS * 600.0, rel=0.01)
    assert energy == pytest.approx(WATTS * 1.25, rel=0.05)


async def test_killed_at_any_moment_every_joule_is_booked_once(path):
    """Over several processes, each killed: accounts never fall below what was shown, and sum to the counter."""
    began, now, shown = None, 1000.0, {}
    for seconds in (3.0, 1.0, 0.375, 2.0):
        bench = Bench(QuietMeter(GPU), now=now, state_file=StateFile(path, boot_id="boot"))
        async with bench.metering as metering:
            assert accounts(bench) == pytest.approx(shown or dict.fromkeys(accounts(bench), 0.0))
            assert metering.state().devices[0].carried == shown
            bench.run(seconds / 2)
            began = began or WATTS * (now + 0.125)
            bench.answer()
            bench.run(seconds / 2)
            shown = dict(accounts(bench))
            await metering.keep_shown()
            bench.run(seconds)  # settled after the last save, shown to nobody, and lost with the process
            [ledger] = metering.attribution.devices.values()
            held = sum(accounts(bench).values()) + ledger.counter.open_joules()
            assert held == pytest.approx(WATTS * bench.now - began, rel=1e-9)
        now = bench.now + 7.0
    assert shown["unresolved"] > WATTS * 3 * 7.0
    assert shown["attributed"] > WATTS * 4 * 1.0


async def test_what_is_shown_is_kept_first(path):
    """Without a state file there is nothing to keep, and with one it holds at least as much as was shown."""
    bench = Bench(QuietMeter(GPU))
    async with bench.metering as metering:
        await metering.keep_shown()
    bench = Bench(QuietMeter(GPU), state_file=StateFile(path, boot_id="boot"))
    async with bench.metering as metering:
        bench.run(3.0)
        shown = accounts(bench)
        await metering.keep_shown()
        assert StateFile(path, boot_id="boot").load()["GPU-1"].accounts == shown


@pytest.mark.parametrize(
    ("boot_id", "saved"),
    [
        ("another", SavedCounter(1000.0, 500.0)),
        ("boot", SavedCounter(WATTS * 5000.0, 500.0)),
        ("boot", SavedCounter(0.0, 999.0)),
        ("boot", None),
    ],
    ids=["another boot", "begun anew", "more than can be", "another device"],
)
async def test_a_counter_that_is_not_the_same(path, boot_id, saved):
    """After a boot, a reset, or for a device that was not there, nothing is booked."""
    await StateFile(path, boot_id="boot").save({"GPU-1" if saved else "GPU-9": saved or SavedCounter(0.0, 500.0)})
    bench = Bench(QuietMeter(GPU), state_file=StateFile(path, boot_id=boot_id))
    async with bench.metering:
        bench.run(5.0)
        assert accounts(bench)["unresolved"] == 0.0


async def test_a_device_that_is_down_is_not_forgotten(path):
    """Its last counter stays in the file until it has been read again."""
    await StateFile(path, boot_id="boot").save({"GPU-1": SavedCounter(1000.0, 5.0)})
    bench = Bench(QuietMeter(GPU), state_file=StateFile(path, boot_id="boot"))
    async with bench.metering:
        await keep_once(bench)
    assert StateFile(path, boot_id="boot").load() == {"GPU-1": SavedCounter(1000.0, 5.0)}


async def test_without_a_state_file_nothing_is_kept(tmp_path):
    """It is an option."""
    bench = Bench(QuietMeter(GPU))
    async with bench.metering:
        bench.run(1.0)
        await bench.metering.keep_state()
    assert list(tmp_path.iterdir()) == []


# Others


async def test_others_at_a_server():
    """They have an account, the requests beside them a flag, and the log says it once."""
    bench = Bench(QuietMeter(GPU))
    with capture_logs() as logs:
        async with bench.metering as metering:
            bench.run(3.0)
            assert metering.served(("chat",), ServedTokens(0.0, 0.0), bench.now) is False
            for second in range(1, 5):
                attempt = bench.answer()
                assert metering.served(("chat",), ServedTokens(100.0 * second, 510.0 * second), bench.now) is True
            bench.run(4.0)
            assert "bypass" in attempt.energy.quality
            assert accounts(bench)["bypass"] > accounts(bench)["attributed"] > 0.0
            state = metering.state()
    assert [line["where"] for line in logs if line["event"] == "traffic past jevons"] == ["chat"]
    assert state.bypass["chat"].output_tokens == pytest.approx(2000.0, rel=0.05)


async def test_ours_alone_at_a_server():
    """A server that has served what passed through, and nothing else, is not suspected."""
    bench = Bench(QuietMeter(GPU))
    async with bench.metering as metering:
        metering.served(("chat",), ServedTokens(0.0, 0.0), bench.now)
        for second in range(1, 5):
            attempt = bench.answer()
            assert metering.served(("chat",), ServedTokens(100.0 * second, 10.0 * second), bench.now) is False
        bench.run(4.0)
        assert accounts(bench)["bypass"] == 0.0
        assert "bypass" not in attempt.energy.quality
        assert metering.state().bypass["chat"].is_watched


# What cannot be read


async def test_where_nothing_can_be_read_energy_is_estimated():
    """From the table, said in every way, with wide bounds; and no device's account has it."""
    bench = Bench(QuietMeter(error=NothingToRead("no driver")), estimates=True, carbon=Carbon(gco2e_per_kwh=360.0))
    async with bench.metering as metering:
        attempt = bench.answer()
        assert attempt.energy.status is EnergyStatus.PROVISIONAL
        bench.run(2.0)
        energy = attempt.energy
        assert attempt.is_final
        assert metering.state().devices == ()
        assert metering.is_estimated("chat")
    assert (energy.method, energy.scope, energy.status) == (Method.ESTIMATED, "gpu", EnergyStatus.FINAL)
    assert "estimated" in energy.quality
    assert 10 < energy.joules < 100
    assert energy.high > 2 * energy.joules > 4 * energy.low > 0
    assert energy.gco2e == pytest.approx(energy.joules / 1e4)


@pytest.mark.parametrize("name", ["zeusd", "dcgm", "cpu"])
async def test_what_others_name_and_cannot_be_read_leaves_the_estimate(name, tmp_path):
    """A node that is down, or processors without a counter, are unknown for who names them, and nobody else's concern."""
    node = "http://127.0.0.1:9"
    device = {"zeusd": node, "dcgm": f"dcgm+{node}/metrics", "cpu": "cpu"}[name]
    meter = {"zeusd": ZeusdMeter(node), "dcgm": DcgmMeter(f"{node}/metrics"), "cpu": RaplMeter(tmp_path)}[name]
    chat, far = (
        Upstream(who, "http://127.0.0.1:1/v1", "some-8b", devices=on) for who, on in (("chat", ("all",)), ("far", (device,)))
    )
    bench = Bench(QuietMeter(error=NothingToRead("no driver")), meter, estimates=True, upstreams=[chat, far])
    async with bench.metering as metering:
        assert metering.problems.keys() == {"quiet", meter.name}
        assert (metering.is_estimated("chat"), metering.is_estimated("far")) == (True, False)
        attempt = bench.answer()
        bench.run(2.0)
    assert attempt.energy.method is Method.ESTIMATED


async def test_an_estimate_is_divided_as_a_measurement_is():
    """Of several at a time each bears its part of the steps, as where there is a meter."""
    bench = Bench(estimates=True)
    async with bench.metering as metering:
        request = Request("r1", Endpoint.CHAT, None, "auto", 0.0, prompt=Prompt(tokens=100), stream=True)
        attempts = [metering.begin("chat", request) for _ in range(8)]
        for _ in range(50):
            bench.run(0.125)
            for attempt in attempts:
                attempt.chunks(1)
        for attempt in attempts:
            attempt.finish(Usage(prompt=100, cached=0, completion=50))
            attempt.end()
        bench.run(2.0)
        alone = bench.answer()
        bench.run(2.0)
    together = sum(attempt.energy.joules for attempt in attempts)
    assert max(a.energy.joules for a in attempts) < 1.2 * min(a.energy.joules for a in attempts)
    assert together / 400 < 0.4 * alone.energy.joules / 10


@pytest.mark.parametrize(
    ("meters", "options"),
    [
        ([QuietMeter(error=MeterError("the driver did not answer"))], {"estimates": True}),
        ([QuietMeter(GPU)], {"estimates": True}),
        ([], {"estimates": False}),
        ([], {"estimates": True, "upstreams": [Upstream("chat", "http://127.0.0.1:1/v1", "some-8b", devices=("GPU-9",))]}),
        ([], {"estimates": True, "upstreams": [Upstream("chat", "http://127.0.0.1:1/v1", "of-unknown-size")]}),
    ],
    ids=["driver down", "device without a reading", "switched off", "device named", "size unknown"],
)
async def test_what_is_merely_down_is_not_estimated(meters, options):
    """A device that is there and cannot be read now is a gap; so is one that the configuration names; the energy is unknown."""
    bench = Bench(*meters, **options)
    async with bench.metering:
        request = Request("r1", Endpoint.CHAT, None, "auto", 0.0, prompt=Prompt(tokens=100), stream=True)
        attempt = bench.metering.begin("chat", request)
        attempt.chunks(5)
        attempt.finish(Usage(prompt=100, completion=5))
        attempt.end()
        bench.now += 60.0
        bench.metering.settle()
        assert (attempt.energy.joules, attempt.energy.method) == (None, None)


async def test_coefficients_of_the_operators_are_enough():
    """With them a model of unknown size is estimated too."""
    given = Coefficients(1.0, 0.0, 0.0, 0.0)
    bench = Bench(estimates=True, upstreams=[Upstream("chat", "http://h/v1", "of-unknown-size", coefficients=given)])
    async with bench.metering:
        attempt = bench.answer()
        bench.run(2.0)
        assert attempt.energy.joules == pytest.approx(10.0, rel=0.2)


async def test_doubts_are_the_operators_or_those_of_where_the_values_come_from():
    """What was calibrated is as unsure as it says; what is merely given, listed, or foretold by a law, as each of these is."""
    own, sure = Coefficients(1.0, 2.0, 3.0, 4.0), (0.02, 0.03, 0.05, 0.02)
    upstreams = [
        Upstream("calibrated", "http://h/v1", "m", devices=("GPU-1",), coefficients=own, doubts=sure),
        Upstream("given", "http://h/v1", "m", devices=("GPU-1",), coefficients=own),
        Upstream("foretold", "http://h/v1", "Unheard-Of-8B", devices=("GPU-1",)),
    ]
    async with Bench(upstreams=upstreams).metering as metering:
        engines = metering.attribution.engines
        assert engines["calibrated"].fit.doubt == sure
        assert engines["calibrated"].fit.start == own
        assert engines["given"].fit.doubt == (GIVEN_DOUBT,) * 4
        assert engines["foretold"].fit.doubt == (TABLE_DOUBT,) * 4


# The grid


async def test_a_record_has_the_intensity_of_its_settlement():
    """The emissions of a request are those of the moment when they are asked for; the state has the intensity itself."""
    now = [Intensity(360.0, "file", 1.0)]
    bench = Bench(QuietMeter(GPU), carbon=Carbon(source=lambda: now[0]))
    async with bench.metering as metering:
        bench.run(2.0)
        attempt = bench.answer()
        bench.run(2.0)
        assert attempt.energy.gco2e == pytest.approx(attempt.energy.joules / 1e4)
        assert metering.state().intensity == now[0]
        now[0] = None
        assert attempt.energy.gco2e is None
        assert metering.state().intensity is None
