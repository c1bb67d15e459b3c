"""Which meters a configuration needs."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_trees import write_tree

from jevons.proxy.exchange import Upstream
from jevons.proxy.metering.devices import meters_for
from jevons.proxy.metering.nvml import NvmlMeter
from jevons.proxy.metering.simulated import SimulatedMeter


def upstream(*devices):
    return Upstream("chat", "http://127.0.0.1:1/v1", "model", devices=devices)


def names(tmp_path, *upstreams):
    return [meter.name for meter in meters_for(upstreams, root=tmp_path)]


@pytest.fixture
def amd(tmp_path):
    """A host with one AMD card."""
    files = {"hwmon/hwmon0/name": "amdgpu\n", "hwmon/hwmon0/power1_average": "1\n"}
    write_tree(tmp_path / "class/drm/card0/device", files)
    write_tree(tmp_path / "bus/pci/devices/0000:03:00.0", {"vendor": "0x1002\n"})
    return tmp_path


def test_all_is_nvidia_where_it_is_there_or_nothing_is(tmp_path, amd):
    """The host's vendor decides; without any board the NVIDIA driver is asked, for its reason."""
    assert names(tmp_path / "empty", upstream("all")) == ["nvidia"]
    assert names(amd, upstream("all")) == names(amd, upstream("auto")) == ["amd"]
    write_tree(amd / "bus/pci/devices/0000:01:00.0", {"vendor": "0x10de\n", "class": "0x030200\n"})
    assert names(amd, upstream("all")) == ["nvidia"]


def test_all_is_intel_where_only_that_is_there(tmp_path):
    """A discrete Intel card with a counter."""
    write_tree(tmp_path / "class/drm/card0/device/hwmon/hwmon0", {"name": "xe\n", "energy1_input": "1\n"})
    assert names(tmp_path, upstream("all")) == ["i915+xe"]


def test_every_kind_has_its_meter(amd):
    """One per family, per node and per simulated device, however many upstreams name it."""
    first = upstream("GPU-6f1c83a2-1", "cpu", "http://node:4938", "dcgm+http://node:9400/metrics", "simulated:/a")
    second = upstream("MIG-1", "GPU-1948a1d3ec4ab5f1", "pci-0000:03:00.0", "pci-0000:09:00.0", "simulated:/b", "cpu")
    assert names(amd, first, second) == [
        "simulated",
        "simulated",
        "nvidia",
        "amd",
        "i915+xe",
        "cpu",
        "zeusd node:4938",
        "dcgm-exporter node:9400",
    ]


def test_a_node_is_asked_once(amd):
    """Also where one upstream means all of its boards and another one of them."""
    one, whole = upstream("http://node:4938/gpu/0000:01:00.0"), upstream("http://node:4938")
    assert names(amd, one, whole) == ["zeusd node:4938"]


def test_nobody_with_a_device_needs_no_meter(amd):
    """No upstream, or none that runs on a device, opens no driver."""
    assert names(amd) == []
    assert names(amd, upstream()) == []


def test_nvidia_boards_are_one_meter(tmp_path):
    """`all`, and UUIDs, are the boards of the NVIDIA driver: one meter however many upstreams there are."""
    meters = meters_for([upstream("all"), upstream("GPU-1"), upstream("GPU-2", "GPU-1")], root=tmp_path)
    assert [type(meter) for meter in meters] == [NvmlMeter]


def test_a_simulated_device_is_a_file():
    """Each simulated device has a meter of its own, whoever names it, and the NVIDIA driver is left alone."""
    meters = meters_for([upstream("simulated:/run/b"), upstream("simulated:/run/a", "simulated:/run/b")])
    assert [type(meter) for meter in meters] == [SimulatedMeter, SimulatedMeter]
    assert [meter._path for meter in meters] == [Path("/run/a"), Path("/run/b")]
