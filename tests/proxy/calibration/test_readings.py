"""Devices during a calibration: found or refused, idle or not."""

import pytest

from jevons.proxy.calibration.readings import Readings, check_idle, meters_of
from jevons.proxy.errors import MeterError
from jevons.proxy.exchange import Upstream
from jevons.proxy.metering.carbon import Carbon
from jevons.proxy.metering.meter import Device
from jevons.proxy.metering.metering import Metering

pytest_plugins = ["simulation_fixture"]


def on(*devices):
    """An upstream on these."""
    return Upstream("chat", "http://127.0.0.1:9/v1", "m", devices=devices)


async def test_the_idle_power(simulated_gpu):
    """It is what the board draws, to a counter's step of 100 ms more or less."""
    upstream = on(f"simulated:{simulated_gpu.path}")
    async with Metering(meters_of(upstream), [upstream], carbon=Carbon()) as metering:
        readings = Readings(metering, upstream)
        assert readings.is_simulated
        assert await readings.idle(2.0) == pytest.approx(75.0, rel=0.06)


async def test_a_device_that_is_not_there():
    """The upstream, the device and the meter's reason are said."""
    upstream = on("simulated:/nowhere")
    async with Metering(meters_of(upstream), [upstream], carbon=Carbon()) as metering:
        with pytest.raises(MeterError, match=r"simulated:/nowhere of upstream 'chat' cannot be read; .*no simulated GPU"):
            Readings(metering, upstream)


async def test_a_device_that_stops(simulated_gpu):
    """A counter that says no more is an error with the reason, not a short wait for ever."""
    upstream = on(f"simulated:{simulated_gpu.path}")
    async with Metering(meters_of(upstream), [upstream], carbon=Carbon()) as metering:
        readings = Readings(metering, upstream, cover_seconds=1.0)
        await readings.idle(0.5)
        simulated_gpu.path.unlink()
        with pytest.raises(MeterError, match="gives no readings: no simulated GPU"):
            await readings.idle(0.5)


class CoarseMeter:
    """A node that says what it consumed twice a minute."""

    name = "coarse"

    def open(self):
        return [Device("GPU-1", "H100", update_seconds=30.0)]

    def read(self):
        return []

    def close(self):
        pass


async def test_a_device_that_is_read_too_seldom():
    """Half a minute in one figure tells no stage from the next."""
    upstream = on("all")
    async with Metering([CoarseMeter()], [upstream], carbon=Carbon()) as metering:
        with pytest.raises(MeterError, match="too coarse"):
            Readings(metering, upstream)


@pytest.mark.parametrize("watts", [[75.0, 75.2, 74.9], [70.0, 77.0], [300.0, 340.0]])
def test_power_that_hardly_moves_is_idle(watts):
    """A few watts, or a few per cent, are any board's noise."""
    check_idle(watts, 700.0, "GPU-1")
    check_idle(watts, None, "GPU-1")


@pytest.mark.parametrize(("watts", "reason"), [([75.0, 120.0], "75 to 120 W"), ([400.0, 402.0], "400 W of at most 700 W")])
def test_a_device_that_others_use(watts, reason):
    """Power that moves without our doing, or is high, is somebody else's load: no calibration would be right."""
    with pytest.raises(MeterError, match=f"GPU-1 is not idle: {reason}"):
        check_idle(watts, 700.0, "GPU-1")
