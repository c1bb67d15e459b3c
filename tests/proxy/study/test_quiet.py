"""The idle devices: their power, and when it holds still."""

import pytest

from jevons.proxy.study.proxy_link import DeviceReading, ProxyLink
from jevons.proxy.study.quiet import is_still, mean_watts, settle, watch_idle

pytest_plugins = ["proxy_fixture"]


def reading(at, **joules):
    return DeviceReading(at, joules)


def test_power_is_energy_over_time():
    """Of all devices together; unknown where one of them was not read both times, or no time has passed."""
    assert mean_watts(reading(0, a=0, b=5), reading(2, a=100, b=105)) == 100
    assert mean_watts(reading(0, a=0), reading(2, a=1, b=1)) is None
    assert mean_watts(reading(0), reading(2)) is None
    assert mean_watts(reading(2, a=0), reading(2, a=1)) is None


def test_still_is_within_two_percent():
    """What falls further has not settled; what is unknown is not still."""
    assert is_still(100, 101)
    assert not is_still(120, 100)
    assert not is_still(None, 100)


@pytest.fixture
async def link(start_proxy, start_upstream):
    proxy = await start_proxy(await start_upstream())
    return ProxyLink(proxy.session, proxy.url, proxy.admin)


async def test_an_idle_card_settles_and_is_watched(link):
    """The simulated card idles at 75 W; it is still after two windows, long before the limit."""
    assert await settle(link, 30.0, window_seconds=0.5) < 20
    idle = await watch_idle(link, "before", 1.0)
    assert idle.watts == pytest.approx(75, rel=0.2)
    assert (idle.when, idle.seconds) == ("before", pytest.approx(1.0, abs=0.9))


async def test_no_time_to_settle_is_none(link):
    """A limit of 0 does not wait."""
    assert await settle(link, 0.0) == 0
