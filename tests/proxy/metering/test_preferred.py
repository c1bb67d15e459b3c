"""The first of several meters that opens."""

from __future__ import annotations

import pytest
from fake_trees import write_tree

from jevons.proxy.errors import MeterError
from jevons.proxy.metering.hwmon import HwmonMeter
from jevons.proxy.metering.preferred import FirstUsable
from jevons.proxy.metering.rapl import RaplMeter


@pytest.fixture
def card(tmp_path):
    """A tree with one AMD card in it."""
    files = {"name": "amdgpu\n", "power1_average": "42000000\n"}
    write_tree(tmp_path / "class/drm/card0/device/hwmon/hwmon0", files)
    return tmp_path


def test_the_first_that_opens_is_used(card, tmp_path):
    """The others before it are passed over, those behind it are not asked."""
    second = HwmonMeter(root=card)
    meter = FirstUsable("amd", [RaplMeter(tmp_path / "nowhere"), second, HwmonMeter(root=card)])
    assert meter.read() == []
    (device,) = meter.open()
    assert device.name.startswith("AMD GPU")
    assert meter.used is second
    assert [sample.watts for sample in meter.read()] == [42.0]
    meter.close()
    assert meter.used is None
    assert meter.read() == []
    meter.close()


def test_where_none_opens_every_reason_is_given(tmp_path):
    """Each under the name of its meter."""
    meter = FirstUsable("amd", [RaplMeter(tmp_path), HwmonMeter(root=tmp_path)])
    with pytest.raises(MeterError, match=r"cpu: no RAPL zone .*; amdgpu\+i915\+xe: no board"):
        meter.open()
    assert meter.used is None
