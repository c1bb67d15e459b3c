"""The machine that a benchmark runs on: what it is, which of its cores to use, and how busy they are with other things."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import JevonsError
from ..units import Seconds

_PROC: Final = Path("/proc")
_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Cores:
    """The proxy has one to itself; the load, the model server and the bench share the other."""

    proxy: int
    load: int
    are_siblings: bool = False
    """They are two threads of one physical core, and get in each other's way."""


def pick_cores(allowed: set[int], siblings: dict[int, set[int]]) -> Cores:
    """The first core this process may use, and the first other one that is no hardware thread of it, where there is one.

    Raises JevonsError below two cores: on one, whoever is measured waits for whoever measures.
    """
    if len(allowed) < 2:  # noqa: PLR2004 - a pair
        raise JevonsError("the bench needs two cores: one for the proxy, one for the load and the model server")
    proxy, *others = sorted(allowed)
    apart = [core for core in others if core not in siblings.get(proxy, set())]
    return Cores(proxy, (apart or others)[0], are_siblings=not apart)


def thread_siblings(root: Path = Path("/sys/devices/system/cpu")) -> dict[int, set[int]]:
    """Of each core, the hardware threads of the same physical core, itself included; empty where the system does not tell."""
    found = {}
    for path in root.glob("cpu[0-9]*/topology/thread_siblings_list"):
        found[int(path.parts[-3].removeprefix("cpu"))] = parse_cores(path.read_text())
    return found


def parse_cores(text: str) -> set[int]:
    """A list as the kernel writes it: `0-2,5`."""
    cores: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        cores.update(range(int(first), int(last or first) + 1))
    return cores


def busy_seconds(core: int, stat: Path = _PROC / "stat") -> Seconds | None:
    """How long the core has run anything since boot, what a hypervisor took from it included; to 10 ms. None where unknown."""
    for line in stat.read_text().splitlines():
        name, *ticks = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, ticks[:8])
            return (user + nice + system + irq + softirq + steal) / _TICKS_PER_SECOND
    return None


def load_average() -> float:
    """Runnable processes over the last minute, all cores together."""
    return os.getloadavg()[0]


@dataclass(frozen=True, slots=True)
class Machine:
    """What a reader needs to judge absolute figures."""

    cpu: str
    cores: int
    kernel: str
    system: str
    python: str


def describe_machine() -> Machine:
    """This one."""
    return Machine(
        cpu=_field(_PROC / "cpuinfo", "model name", ":") or platform.machine(),
        cores=os.cpu_count() or 1,
        kernel=f"{platform.system()} {platform.release()}",
        system=(_field(Path("/etc/os-release"), "PRETTY_NAME", "=") or "unknown").strip('"'),
        python=platform.python_version(),
    )


def _field(path: Path, name: str, separator: str) -> str | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    values = [value.strip() for key, _, value in (line.partition(separator) for line in lines) if key.strip() == name]
    return values[0] if values else None
