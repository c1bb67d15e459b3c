"""How a configuration names devices."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jevons.proxy.device_names import DeviceKind, DeviceName, parse_device_name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("all", DeviceName(DeviceKind.ALL, "all")),
        ("auto", DeviceName(DeviceKind.AUTO, "auto")),
        ("cpu", DeviceName(DeviceKind.CPU, "cpu")),
        ("GPU-6f1c83a2-0000-4000-8000-000000000001", DeviceName(DeviceKind.NVIDIA, "GPU-6f1c83a2-0000-4000-8000-000000000001")),
        ("GPU-6f1c83a2", DeviceName(DeviceKind.NVIDIA, "GPU-6f1c83a2")),
        ("MIG-77d2a3c4-1", DeviceName(DeviceKind.NVIDIA, "MIG-77d2a3c4-1")),
        ("MIG-GPU-6f1c83a2-0000/1/0", DeviceName(DeviceKind.NVIDIA, "MIG-GPU-6f1c83a2-0000/1/0")),
        ("GPU-1948A1D3EC4AB5F1", DeviceName(DeviceKind.AMD, "GPU-1948a1d3ec4ab5f1")),
        ("GPU-0x1948a1d3ec4ab5f1", DeviceName(DeviceKind.AMD, "GPU-1948a1d3ec4ab5f1")),
        ("pci-0000:0C:00.0", DeviceName(DeviceKind.PCI, "pci-0000:0c:00.0")),
        ("simulated:/tmp/gpu", DeviceName(DeviceKind.SIMULATED, "simulated:/tmp/gpu")),
        ("http://node:4938/", DeviceName(DeviceKind.ZEUSD, "http://node:4938", "http://node:4938")),
        ("https://node", DeviceName(DeviceKind.ZEUSD, "https://node", "https://node")),
        ("http://[::1]:4938", DeviceName(DeviceKind.ZEUSD, "http://[::1]:4938", "http://[::1]:4938")),
        (
            "http://node:4938/gpu/0000:03:00.0",
            DeviceName(DeviceKind.ZEUSD, "http://node:4938/gpu/0000:03:00.0", "http://node:4938"),
        ),
        ("http://node/zeus/gpu/1", DeviceName(DeviceKind.ZEUSD, "http://node/zeus/gpu/1", "http://node/zeus")),
        ("dcgm+http://node:9400", DeviceName(DeviceKind.DCGM, "dcgm+http://node:9400/metrics", "http://node:9400/metrics")),
        (
            "dcgm+http://node:9400/metrics/GPU-6f1c",
            DeviceName(DeviceKind.DCGM, "dcgm+http://node:9400/metrics/GPU-6f1c", "http://node:9400/metrics"),
        ),
        ("dcgm+https://node/x/", DeviceName(DeviceKind.DCGM, "dcgm+https://node/x", "https://node/x")),
    ],
)
def test_each_name_has_its_kind(text, expected):
    """Every form of the grammar is told from the others, and is written in one way only."""
    assert parse_device_name(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0", "an index changes with the order of the boards"),
        ("", "must be all, auto, cpu, a UUID"),
        ("ALL", "must be all, auto, cpu, a UUID"),
        ("nvidia", "must be all, auto, cpu, a UUID"),
        ("GPU-", "must be all, auto, cpu, a UUID"),
        ("pci-03:00.0", "must be all, auto, cpu, a UUID"),
        ("simulated:", "must be followed by the path"),
        ("http://node:9400/metrics", r"for dcgm-exporter write dcgm\+http://node:9400/metrics"),
        ("ftp://node", "must be the address of a node"),
        ("dcgm+node:9400", "must be the address of a node"),
        ("dcgm+ftp://node", "must be the address of a node"),
        ("http://", "must be the address of a node"),
        ("http://node:0", "must be the address of a node"),
        ("http://node:99999", "must be the address of a node"),
        ("http://no de", "must be the address of a node"),
        ("http://nöde", "must be the address of a node"),
        ("http://u:p@node", "must not carry credentials"),
        ("http://node?x=1", "must have no query"),
        ("dcgm+http://node/metrics#x", "must have no query"),
    ],
)
def test_a_name_of_no_kind_says_what_would_be_right(text, reason):
    """The error names the form that was missed."""
    with pytest.raises(ValueError, match=reason):
        parse_device_name(text)


@settings(deadline=None)
@given(st.text(max_size=40))
def test_reading_a_name_twice_is_reading_it_once(text):
    """Whatever the text, it is a name or an error; and a name's own text is the same name."""
    try:
        name = parse_device_name(text)
    except ValueError:
        return
    assert parse_device_name(name.text) == name
