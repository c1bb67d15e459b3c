"""The real driver's readings."""

import time

import pytest

from jevons.proxy.calibration.readings import meters_of
from jevons.proxy.exchange import Upstream

pytestmark = pytest.mark.gpu


def test_the_counter_counts():
    """Over a second and a half every board's energy rises, by no more than its limit allows, and power is given."""
    [meter] = meters_of(Upstream("bench", "http://127.0.0.1:9/v1", "m"))
    devices = {device.id: device for device in meter.open()}
    try:
        before = {sample.device_id: sample for sample in meter.read()}
        time.sleep(1.5)
        after = {sample.device_id: sample for sample in meter.read()}
    finally:
        meter.close()
    assert devices.keys() == before.keys() == after.keys()
    for name, sample in after.items():
        assert sample.problem is None
        assert sample.joules is not None
        assert sample.watts is not None
        consumed = sample.joules - (before[name].joules or 0.0)
        seconds = sample.at - before[name].at
        limit = devices[name].power_limit_watts or 1500.0
        assert 0.0 < consumed <= 1.2 * limit * (seconds + 0.5)
        assert sample.watts <= 1.2 * limit
