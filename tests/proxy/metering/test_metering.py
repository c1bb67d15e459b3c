"""Metering as the request path sees it: begin, tell, ask; and devices that fail are reasons, not errors."""

import asyncio
import contextlib
import threading

import pytest
from structlog.testing import capture_logs

from jevons.proxy.errors import MeterError
from jevons.proxy.exchange import Coefficients, Endpoint, EnergyStatus, Prompt, Request, Upstream, Usage
from jevons.proxy.metering.carbon import Carbon
from jevons.proxy.metering.coefficients import prior
from jevons.proxy.metering.counter import GAP_SECONDS
from jevons.proxy.metering.meter import Device, Sample
from jevons.proxy.metering.metering import Metering
from jevons.proxy.metering.topology import Found

GPU = Device("GPU-1", "NVIDIA A100", power_limit_watts=400.0, configured_as="simulated:/tmp/gpu", aliases=("pci-1",))
OTHER = Device("GPU-2", "NVIDIA A100", power_limit_watts=400.0)
WATTS = 200.0


class QuietMeter:
    """A meter whose devices are read by the test."""

    def __init__(self, *devices, name="quiet", reason=None):
        self.name = name
        self._devices = devices
        self._reason = reason
        self.closed = threading.Event()

    def open(self):
        if self._reason is not None:
            raise MeterError(self._reason)
        return list(self._devices)

    def read(self):
        return []

    def close(self):
        self.closed.set()


class Bench:
    """A metering whose clock and readings are moved by hand."""

    def __init__(self, *, meters=None, upstreams=None, carbon=None):
        self.now = 1000.0
        self.metering = Metering(
            [QuietMeter(GPU, OTHER)] if meters is None else meters,
            [upstream()] if upstreams is None else upstreams,
            carbon=carbon or Carbon(),
            clock=lambda: self.now,
        )

    def run(self, seconds):
        """Time goes on, devices are read and bins settle."""
        for _ in range(round(seconds / 0.125)):
            self.now += 0.125
            for sampler in self.metering._samplers:
                sampler._deliver([Sample(device.id, self.now, WATTS * self.now) for device in sampler.devices])
            self.metering.settle()


def upstream(name="chat", devices=("GPU-1",), **options):
    return Upstream(name, "http://127.0.0.1:8000/v1", "Llama-3.1-8B-Instruct", devices=devices, **options)


def request(endpoint=Endpoint.CHAT, **options):
    return Request("r1", endpoint, None, "auto", 0.0, prompt=Prompt(tokens=100), **options)


def answer(bench, attempt, seconds=1.0):
    """A short streamed answer of ten tokens."""
    for _ in range(10):
        bench.run(seconds / 10)
        attempt.chunks(1)
    attempt.finish(Usage(prompt=100, cached=0, completion=10))
    attempt.end()


async def test_a_request_gets_its_joules():
    """Provisional when it ends, final when its last bin has settled; all of a device that it had for itself."""
    bench = Bench(carbon=Carbon(gco2e_per_kwh=360.0))
    async with bench.metering as metering:
        bench.run(3.0)
        attempt = metering.begin("chat", request(stream=True))
        answer(bench, attempt, seconds=2.5)
        assert attempt.energy.status is EnergyStatus.PROVISIONAL
        assert attempt.energy.joules == pytest.approx(WATTS * 2.5, rel=0.1)
        bench.run(1.0)
        assert attempt.is_final
        assert attempt.energy.joules == pytest.approx(WATTS * 2.5, rel=0.01)
        assert attempt.energy.gco2e == pytest.approx(attempt.energy.joules / 3.6e6 * 360.0)
        [device, other] = metering.state().devices
        assert device.accounts["attributed"] == pytest.approx(attempt.energy.joules)
        assert other.accounts["attributed"] == 0.0


@pytest.mark.parametrize(
    ("endpoint", "is_stream", "usage"),
    [
        (Endpoint.CHAT, False, Usage(prompt=100, completion=50)),
        (Endpoint.EMBEDDINGS, False, Usage(prompt=100)),
        (Endpoint.RERANK, True, Usage()),
    ],
)
async def test_every_kind_of_request_is_metered(endpoint, is_stream, usage):
    """Whole replies, and those that decode nothing, are charged as streams are."""
    bench = Bench()
    async with bench.metering as metering:
        bench.run(3.0)
        attempt = metering.begin("chat", request(endpoint, stream=is_stream))
        bench.run(1.0)
        attempt.finish(usage)
        attempt.end()
        attempt.end()
        bench.run(1.0)
        assert attempt.energy.joules == pytest.approx(WATTS, rel=0.01)
        assert attempt.energy.status is EnergyStatus.FINAL


async def test_whoever_waits_for_the_final_energy_is_told():
    """By a call, at once where it is final already; or by waiting, for a limited time."""
    bench, told = Bench(), []
    async with bench.metering as metering:
        bench.run(1.0)
        attempt = metering.begin("chat", request(stream=True))
        attempt.when_final(lambda: told.append("first"))
        await attempt.settled(0.001)
        assert not attempt.is_final
        answer(bench, attempt)
        waiting = asyncio.create_task(attempt.settled(60.0))
        await asyncio.sleep(0)
        assert told == []
        bench.run(1.0)
        assert told == ["first"]
        await waiting
        attempt.when_final(lambda: told.append("second"))
        assert told == ["first", "second"]
        bench.run(1.0)
        assert told == ["first", "second"]


async def test_a_meter_that_cannot_be_used_is_a_reason():
    """Requests are served without a figure, and health says why; the other meters are used."""
    meters = [
        QuietMeter(name="nvidia", reason="no driver"),
        QuietMeter(name="nvidia", reason="no permission"),
        QuietMeter(GPU),
    ]
    bench = Bench(meters=meters, upstreams=[upstream(), upstream("lost", devices=("GPU-9",))])
    with capture_logs() as logs:
        async with bench.metering as metering:
            attempt = metering.begin("lost", request(stream=True))
            answer(bench, attempt)
            bench.run(1.0)
            assert attempt.is_final
            assert (attempt.energy.joules, attempt.energy.method) == (None, None)
            assert metering.problems == {"nvidia": "no driver; no permission"}
            assert metering.health() == [
                {"device": "GPU-1", "name": "NVIDIA A100", "up": True, "reason": None},
                {"device": "nvidia", "up": False, "reason": "no driver; no permission"},
            ]
    assert [entry["event"] for entry in logs] == ["meter not usable", "meter not usable", "device not found"]
    assert (logs[2]["upstream"], logs[2]["device"], logs[2]["known"]) == ("lost", "GPU-9", ["GPU-1"])


async def test_a_start_that_is_given_up_leaves_no_reader():
    """Where one meter hangs and the start is cancelled, those that are open already are let go."""
    go_on = threading.Event()

    class HangingMeter(QuietMeter):
        def open(self):
            go_on.wait(5.0)
            return super().open()

    first, second = QuietMeter(GPU), HangingMeter(OTHER)
    starting = asyncio.create_task(Bench(meters=[first, second]).metering.__aenter__())
    await asyncio.sleep(0.01)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    go_on.set()
    for meter in (first, second):
        assert await asyncio.to_thread(meter.closed.wait, 5.0)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("all",), {"GPU-2"}),
        (("auto",), {"GPU-2"}),
        (("GPU-2",), {"GPU-2"}),
        (("simulated:/tmp/gpu",), {"GPU-1"}),
        (("pci-1", "GPU-2"), {"GPU-1", "GPU-2"}),
        (("GPU-9",), set()),
        ((), set()),
    ],
)
async def test_devices_are_found_by_any_of_their_names(names, expected):
    """An id, what the configuration calls it, another name of the board, or all that need no name of their own."""
    bench = Bench()
    async with bench.metering as metering:
        assert {device.id for device in metering.devices_of(upstream(devices=names))} == expected


AUTO = ("auto",)
ON_ONE, ON_TWO = (Found(frozenset({name}), f"on {name}") for name in ("GPU-1", "GPU-2"))
NOWHERE = Found(None, "nothing listens")
BOARDS = tuple(Device(name, "NVIDIA A100", power_limit_watts=400.0) for name in ("GPU-1", "GPU-2"))


@pytest.mark.parametrize(
    ("names", "found", "expected"),
    [
        (AUTO, None, {"GPU-1", "GPU-2"}),
        (AUTO, NOWHERE, {"GPU-1", "GPU-2"}),
        (AUTO, ON_TWO, {"GPU-2"}),
        (AUTO, Found(frozenset({"GPU-1", "GPU-2"}), "on both"), {"GPU-1", "GPU-2"}),
        (AUTO, Found(frozenset({"GPU-7"}), "on another"), {"GPU-1", "GPU-2"}),
        (AUTO, Found(frozenset(), "on none"), {"GPU-1", "GPU-2"}),
        (("auto", "cpu"), ON_TWO, {"GPU-2", "cpu"}),
        (("auto", "all"), ON_TWO, {"GPU-1", "GPU-2"}),
        (("GPU-1",), ON_TWO, {"GPU-1"}),
    ],
)
async def test_a_server_that_was_found_is_where_it_was_found(names, found, expected):
    """Unless the configuration names its devices; not found, it may be on any, and it is never on none."""
    bench = Bench(meters=[QuietMeter(*BOARDS, Device("cpu", "host CPU", scope="cpu"))], upstreams=[upstream(devices=names)])
    async with bench.metering as metering:
        if found is not None:
            metering.place("chat", found)
        assert {device.id for device in metering.devices_of(upstream(devices=names))} == expected
        assert set(metering.attribution.engines["chat"].devices) == expected


async def test_a_server_moves_when_nothing_of_it_is_in_flight():
    """What runs is paid where it began, to its last settled bin; what comes after, on the board that was found."""
    bench = Bench(meters=[QuietMeter(*BOARDS)], upstreams=[upstream(devices=AUTO)])
    async with bench.metering as metering:
        bench.run(3.0)
        first = metering.begin("chat", request(stream=True))
        with capture_logs() as logs:
            metering.place("chat", ON_TWO)
            metering.place("chat", ON_TWO)
            answer(bench, first)
            assert set(metering.attribution.engines["chat"].devices) == {"GPU-1", "GPU-2"}
            bench.run(1.0)
            assert metering.attribution.engines["chat"].devices == ("GPU-2",)
            metering.place("chat", NOWHERE)
            assert set(metering.attribution.engines["chat"].devices) == {"GPU-1", "GPU-2"}
            metering.place("chat", ON_TWO)
        second = metering.begin("chat", request(stream=True))
        answer(bench, second)
        bench.run(1.0)
        assert first.energy.joules == pytest.approx(2 * WATTS * 1.25, rel=0.02)
        assert second.energy.joules == pytest.approx(WATTS * 1.25, rel=0.02)
        one, two = (device.accounts["attributed"] for device in metering.state().devices)
        assert one + two == pytest.approx(first.energy.joules + second.energy.joules)
    assert [line["event"] for line in logs] == [
        "server's devices",
        "upstream runs on",
        *["server's devices", "upstream runs on"] * 2,
    ]


async def test_a_board_that_comes_later_is_used():
    """An upstream that names it has no figure until it is there, and a figure from then on."""
    lost = QuietMeter(GPU, name="zeusd", reason="no answer")
    bench = Bench(meters=[QuietMeter(OTHER), lost], upstreams=[upstream("chat"), upstream("other", devices=("GPU-2",))])
    async with bench.metering as metering:
        bench.run(1.0)
        assert metering.problems == {"zeusd": "no answer"}
        [_, sampler] = metering._samplers
        sampler.devices, sampler.problem = [GPU], None
        metering.readers._late(sampler)
        assert metering.problems == {}
        bench.run(3.0)
        attempts = [metering.begin(name, request(stream=True)) for name in ("chat", "other")]
        for attempt in attempts:
            attempt.chunks(5)
        bench.run(1.0)
        for attempt in attempts:
            attempt.chunks(5)
            attempt.end()
        bench.run(1.0)
        assert [attempt.energy.joules for attempt in attempts] == pytest.approx([WATTS, WATTS], rel=0.02)


async def test_the_processors_are_no_board():
    """Start values are for the board, wherever the host's processors stand in the list."""
    meters = [QuietMeter(Device("cpu", "host CPU (RAPL: package-0)", scope="cpu"), OTHER)]
    bench = Bench(meters=meters, upstreams=[upstream(devices=("cpu", "all"))])
    async with bench.metering as metering:
        assert metering.state().coefficients["chat"] == prior("Llama-3.1-8B-Instruct", "NVIDIA A100")
        assert metering.attribution.engines["chat"].devices == ("cpu", "GPU-2")


async def test_coefficients_are_the_operators_or_start_values():
    """What the configuration says goes before what is known of the model on that card; the state shows what is used."""
    own = Coefficients(1.0, 2.0, 3.0, 4.0)
    bench = Bench(upstreams=[upstream(), upstream("tuned", coefficients=own), upstream("bare", devices=())])
    async with bench.metering as metering:
        coefficients = metering.state().coefficients
    assert coefficients["chat"] == prior("Llama-3.1-8B-Instruct", "NVIDIA A100")
    assert coefficients["tuned"] == own
    assert coefficients["bare"] == prior("Llama-3.1-8B-Instruct", None)


async def test_the_state_is_one_instant():
    """Settled and counted energy, the four accounts and the lag between them."""
    bench = Bench()
    async with bench.metering as metering:
        assert metering.state().settle_lag_seconds == 0.0
        assert [device.reason for device in metering.state().devices] == ["no reading yet"] * 2
        bench.run(3.1)
        state = metering.state()
        device = state.devices[0]
        assert device.is_up
        assert device.counter_joules == WATTS * bench.now
        assert sum(device.accounts.values()) == pytest.approx(device.settled_joules)
        assert device.settled_joules == pytest.approx(WATTS * 3.0, rel=0.1)
        assert 0 <= state.settle_lag_seconds <= 0.5


async def test_a_driver_that_falls_silent_takes_its_devices_down():
    """After two seconds they are down, and after ten whoever was in flight has no figure, and is not kept waiting."""
    bench = Bench()
    async with bench.metering as metering:
        bench.run(1.0)
        attempt = metering.begin("chat", request(stream=True))
        attempt.chunks(5)
        bench.now += 3.0
        metering.settle()
        assert [device.reason for device in metering.state().devices] == ["no reading for 3 s: the driver hangs"] * 2
        attempt.end()
        bench.now += GAP_SECONDS
        metering.settle()
        assert attempt.is_final
        assert (attempt.energy.joules, attempt.energy.quality) == (None, ("gap",))


async def test_a_counter_that_its_power_contradicts_is_warned_of():
    """Once, with the device: which of the two is wrong nobody can say, and the ratio is in the metrics."""
    bench = Bench(meters=[QuietMeter(OTHER)], upstreams=[upstream(devices=("GPU-2",))])
    with capture_logs() as logs:
        async with bench.metering as metering:
            for factor in (1.0, 1.2):
                for _ in range(160):
                    bench.now += 0.125
                    [sampler] = metering._samplers
                    sampler._deliver([Sample("GPU-2", bench.now, WATTS * bench.now, factor * WATTS)])
                    metering.settle()
            assert metering.state().devices[0].counter_power_ratio < 0.95
    said = [line for line in logs if line["log_level"] == "warning"]
    assert [(line["event"], line["where"]) for line in said] == [("energy counter and power readings disagree", "GPU-2")]


async def test_bins_settle_by_themselves():
    """The loop settles ten times a second until it is cancelled."""
    bench = Bench(upstreams=[upstream(devices=())])
    async with bench.metering as metering:
        attempt = metering.begin("chat", request(stream=True))
        attempt.end()
        bench.now += 1.0
        loop = asyncio.create_task(metering.run())
        await attempt.settled(10.0)
        assert attempt.is_final
        loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await loop


async def test_the_end_waits_for_what_has_ended():
    """Whoever is done is waited for, for a limited time; whoever is not done is not."""
    bench = Bench(upstreams=[upstream(devices=())])
    async with bench.metering as metering:
        metering.begin("chat", request(stream=True))
        await metering.settle_last(60.0)
        attempt = metering.begin("chat", request(stream=True))
        attempt.end()
        await metering.settle_last(0.1)
        assert not attempt.is_final
        bench.now += 10.0
        metering.settle()
        await metering.settle_last(60.0)
        assert attempt.is_final
