"""How a configuration names devices: one grammar, for the configuration that checks it and for the meters that are chosen by it.

    all                               the boards of this host
    auto                              those of them that the server's process is on, or all where that is not known
    GPU-6f1c83a2-…, MIG-77d2…         an NVIDIA board, or a slice of one, as `nvidia-smi -L` prints it
    GPU-1948a1d3ec4ab5f1              an AMD board by its unique id, as ROCm writes it
    pci-0000:03:00.0                  an AMD or Intel board by its PCI address, as `lspci -D` prints it
    cpu                               this host's processors and memory, beside the boards
    http://node:4938                  the boards of another host, by `zeusd`; http://node:4938/gpu/0000:03:00.0 is one of them
    dcgm+http://node:9400/metrics     the boards of another host, by dcgm-exporter; followed by /GPU-6f1c… it is one of them
    simulated:/path/to/state          a simulated board

The address of another host says by itself which of the two is asked: finding out by asking would send requests to a wrong
address before anybody could see the mistake.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import urlsplit

DCGM_PREFIX: Final = "dcgm+"
SIMULATED_PREFIX: Final = "simulated:"
DCGM_PATH: Final = "/metrics"
NODE_GPU_PATH: Final = "/gpu/"
"""Between a node's address and one of its boards."""

_AMD: Final = re.compile(r"GPU-(?:0x)?[0-9a-fA-F]{16}")
_PCI: Final = re.compile(r"pci-[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")
_NVIDIA: Final = re.compile(r"(?:GPU|MIG)-[A-Za-z0-9/-]+")


class DeviceKind(Enum):
    """Which meter a name asks for."""

    ALL = "all"
    AUTO = "auto"
    NVIDIA = "nvidia"
    AMD = "amd"
    PCI = "pci"
    CPU = "cpu"
    ZEUSD = "zeusd"
    DCGM = "dcgm"
    SIMULATED = "simulated"


@dataclass(frozen=True, slots=True)
class DeviceName:
    """One name that a configuration gives. `text` is how a device's id, name or alias must read to be meant by it."""

    kind: DeviceKind
    text: str
    url: str | None = None
    """Of a node: what is asked, without the prefix and without the board."""


def parse_device_name(text: str) -> DeviceName:
    """The name's kind; raises ValueError with what would be right."""
    if text in {DeviceKind.ALL.value, DeviceKind.AUTO.value, DeviceKind.CPU.value}:
        return DeviceName(DeviceKind(text), text)
    if text.startswith(SIMULATED_PREFIX):
        if text == SIMULATED_PREFIX:
            raise ValueError("simulated: must be followed by the path of the simulated device's state")
        return DeviceName(DeviceKind.SIMULATED, text)
    if text.startswith(DCGM_PREFIX):
        url, slash, board = _checked_url(text.removeprefix(DCGM_PREFIX)).partition("/GPU-")
        url = url if urlsplit(url).path else url + DCGM_PATH
        return DeviceName(DeviceKind.DCGM, f"{DCGM_PREFIX}{url}{slash}{board}", url)
    if "://" in text:
        return _parse_node(text)
    return _parse_board(text)


def _parse_board(text: str) -> DeviceName:
    if _AMD.fullmatch(text):
        return DeviceName(DeviceKind.AMD, "GPU-" + text.removeprefix("GPU-").removeprefix("0x").lower())
    if _PCI.fullmatch(text.lower()):
        return DeviceName(DeviceKind.PCI, text.lower())
    if _NVIDIA.fullmatch(text):
        return DeviceName(DeviceKind.NVIDIA, text)
    if text.isdecimal():
        raise ValueError("an index changes with the order of the boards; give the UUID, which `nvidia-smi -L` prints")
    forms = "all, auto, cpu, a UUID (GPU-… or MIG-…), pci-0000:03:00.0, http://node:4938 or dcgm+http://node:9400/metrics"
    raise ValueError(f"must be {forms}")


def _parse_node(text: str) -> DeviceName:
    url = _checked_url(text)
    if urlsplit(url).path.endswith(DCGM_PATH):
        raise ValueError(f"for dcgm-exporter write {DCGM_PREFIX}{url}; without the prefix it is the address of zeusd")
    return DeviceName(DeviceKind.ZEUSD, url, url.partition(NODE_GPU_PATH)[0])


def _checked_url(text: str) -> str:
    """An address without credentials, query or fragment, and without a slash at its end."""
    try:
        parts = urlsplit(text)
        has_host = bool(parts.hostname) and parts.port != 0
    except ValueError:
        parts, has_host = urlsplit(""), False
    if parts.scheme not in {"http", "https"} or not has_host or not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be the address of a node, such as http://node:4938 or dcgm+http://node:9400/metrics")
    if parts.username is not None:
        raise ValueError("must not carry credentials")
    if parts.query or parts.fragment or "?" in text or "#" in text:
        raise ValueError("must have no query and no fragment")
    return text.rstrip("/")
