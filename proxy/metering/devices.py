"""Which meters a configuration needs: a new device family is one file and one line here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from ..device_names import SIMULATED_PREFIX, DeviceKind, DeviceName, parse_device_name
from ..exchange import Upstream
from .amd import AmdMeter
from .dcgm import DcgmMeter
from .hwmon import AMD_DRIVERS, INTEL_DRIVERS, ROOT, HwmonMeter, vendor_of, vendors_here
from .meter import EnergyMeter
from .nvml import NvmlMeter
from .preferred import FirstUsable
from .rapl import RaplMeter
from .simulated import SimulatedMeter
from .zeusd import ZeusdMeter


def meters_for(upstreams: Iterable[Upstream], *, zeusd_token: str | None = None, root: Path = ROOT) -> list[EnergyMeter]:
    """One meter for each family of boards, each node and each simulated device, and one for the processors where they are named.

    Raises ValueError for a name of no kind, which a configuration cannot hold.

    Args:
        upstreams: Whose devices to read.
        zeusd_token: Sent to every zeusd.
        root: Where boards are looked for, `/sys`.
    """
    names: dict[DeviceKind, set[DeviceName]] = defaultdict(set)
    for upstream in upstreams:
        for text in upstream.devices:
            name = parse_device_name(text)
            names[name.kind].add(name)
    return [
        *(SimulatedMeter(Path(text.removeprefix(SIMULATED_PREFIX))) for text in sorted(_texts(names[DeviceKind.SIMULATED]))),
        *_local_boards(names, root),
        *([RaplMeter()] if names[DeviceKind.CPU] else []),
        *(ZeusdMeter(url, ids, token=zeusd_token) for url, ids in _by_node(names[DeviceKind.ZEUSD])),
        *(DcgmMeter(url, ids) for url, ids in _by_node(names[DeviceKind.DCGM])),
    ]


def _local_boards(names: Mapping[DeviceKind, set[DeviceName]], root: Path) -> list[EnergyMeter]:
    """The boards of this host. `all` is one vendor's, for a server runs on one: NVIDIA's, else AMD's, else Intel's."""
    is_all = bool(names[DeviceKind.ALL] or names[DeviceKind.AUTO])
    vendor = _vendor_of_all(root) if is_all else None
    at_address: dict[str | None, set[str]] = defaultdict(set)
    for pci in _texts(names[DeviceKind.PCI]):
        at_address[vendor_of(pci, root)].add(pci)
    nvidia = _texts(names[DeviceKind.NVIDIA])
    amd = _texts(names[DeviceKind.AMD]) | at_address.pop("amd", set())
    intel = set().union(*at_address.values())
    meters: list[EnergyMeter] = []
    if nvidia or vendor == "nvidia":
        meters.append(NvmlMeter(None if vendor == "nvidia" else nvidia))
    if amd or vendor == "amd":
        ids = None if vendor == "amd" else amd
        meters.append(FirstUsable("amd", [AmdMeter(ids), HwmonMeter(ids, drivers=AMD_DRIVERS, root=root)]))
    if intel or vendor == "intel":
        meters.append(HwmonMeter(None if vendor == "intel" else intel, drivers=INTEL_DRIVERS, root=root))
    return meters


def _vendor_of_all(root: Path) -> str:
    """Where there is no board at all, NVIDIA's driver is asked, whose reason is the one that people look for."""
    here = vendors_here(root)
    return next((vendor for vendor in ("nvidia", "amd", "intel") if vendor in here), "nvidia")


def _texts(names: Iterable[DeviceName]) -> set[str]:
    return {name.text for name in names}


def _by_node(names: Iterable[DeviceName]) -> list[tuple[str, Collection[str] | None]]:
    """Each node once, with the boards that were asked for; None where all of them were."""
    boards: dict[str, set[str]] = defaultdict(set)
    whole = set()
    for name in names:
        url = name.url or ""
        boards[url].add(name.text)
        if name.text in {url, f"dcgm+{url}"}:
            whole.add(url)
    return [(url, None if url in whole else boards[url]) for url in sorted(boards)]
