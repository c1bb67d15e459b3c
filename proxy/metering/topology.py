"""Which boards a model server runs on, found from its process, where the proxy shares its host.

The server's address leads to a listening socket (`/proc/net/tcp`), the socket to the processes that hold it (`/proc/*/fd`),
and those to their relatives, since the process that answers HTTP is seldom the one that computes: its descendants first; if none
of them is on a board, step by step its ancestors of the same session and process group with theirs, which leads from an API
server to the engine beside it but not to what else was started from the same shell. The driver says which processes are on
which board; where it cannot, the server's own `CUDA_VISIBLE_DEVICES` may. What is not certain is None with the reason.

Everything here reads files and may take a while: call it from a thread that nobody waits for.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ..errors import MeterError
from .visible import ORDER_VARIABLE, VARIABLE, Board, visible_boards

PROC: Final = Path("/proc")

_LISTENS: Final = "0A"
_SOCKET: Final = re.compile(r"socket:\[(\d+)\]")
_FIRST_PID_NAMESPACE: Final = "pid:[4026531836]"
"""The host's own, by a constant of the kernel (PROC_PID_INIT_INO)."""
_FORWARDERS: Final = frozenset({"docker-proxy", "rootlessport", "slirp4netns", "pasta", "passt", "ssh", "kubectl", "socat"})
"""Programs that listen for a server that is elsewhere."""
_UNSPECIFIED: Final = frozenset({"0.0.0.0", "::"})
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1"})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Found:
    """The boards a server runs on, by UUID, and how that is known; None where it is not, with the reason.

    No board at all is an answer too: the server hides them all from itself.
    """

    devices: frozenset[str] | None
    reason: str


@dataclass(frozen=True, slots=True)
class Process:
    """What `/proc/PID/stat` says of one."""

    name: str
    parent: int
    group: int
    session: int


def find_devices(
    url: str,
    on_boards: Mapping[str, frozenset[int]],
    boards: Sequence[Board],
    *,
    proc: Path = PROC,
    has_host_pids: bool | None = None,
) -> Found:
    """The boards of the server at `url`.

    Args:
        url: The upstream's address.
        on_boards: The PIDs that compute on each board, as `NvmlMeter.processes` gives them.
        boards: All boards of this host, as `NvmlMeter.boards` gives them.
        proc: Where processes are read.
        has_host_pids: Whether PIDs here are those of the driver; None finds out.
    """
    host, port = _address(url)
    addresses = local_addresses(host)
    if not addresses:
        return Found(None, f"{host} is another host")
    inodes = listening_inodes(proc, port, addresses)
    if not inodes:
        return Found(None, f"nothing listens at port {port} in this network namespace: not started yet, or in a container")
    processes = read_processes(proc)
    owners = socket_owners(proc, inodes) & processes.keys()
    if not owners:
        return Found(None, f"the process behind port {port} is another user's, or in a container: jevons may not look into it")
    owner = min(owners)
    said = f"process {owner} ({processes[owner].name}) behind port {port}"
    if processes[owner].name in _FORWARDERS:
        return Found(None, f"{said} only forwards to a server elsewhere")
    is_known = sees_host_pids(proc) if has_host_pids is None else has_host_pids
    if is_known:
        for family in relatives(processes, owners):
            devices = frozenset(uuid for uuid, pids in on_boards.items() if pids & family)
            if devices:
                return Found(devices, f"{said} or one of its {len(family) - 1} relatives is on {', '.join(sorted(devices))}")
    return _by_environment(proc, owner, boards, said if is_known else f"{said}; jevons is in a container and sees other PIDs")


def find_sockets(url: str, *, proc: Path = PROC) -> frozenset[int]:
    """The sockets that a server's address leads to on this host: while they are the same, so is the server."""
    host, port = _address(url)
    return listening_inodes(proc, port, local_addresses(host))


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)


def _by_environment(proc: Path, owner: int, boards: Sequence[Board], said: str) -> Found:
    environment = read_environment(proc, owner)
    if environment is None:
        return Found(None, f"{said} is on no board that lists it, and its environment may not be read")
    variable = environment.get(VARIABLE)
    if variable is None:
        return Found(None, f"{said} is on no board that lists it (yet), and sets no {VARIABLE}")
    try:
        visible = visible_boards(variable, boards, order=environment.get(ORDER_VARIABLE))
    except MeterError as error:
        return Found(None, f"{said}: {error}")
    return Found(visible.boards, "; ".join([f"{said} has {VARIABLE}={variable}", *visible.notes]))


def local_addresses(host: str) -> frozenset[str]:
    """The addresses of a host name that are this host's own; empty where it is another host, or nobody knows it."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return frozenset()
    own = frozenset(str(address[0]) for family, *_, address in found if _is_own(family, str(address[0])))
    return own | _LOOPBACK if own & _UNSPECIFIED else own


def _is_own(family: int, address: str) -> bool:
    """Whether one can bind there: that takes an address of one's own."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def listening_inodes(proc: Path, port: int, addresses: frozenset[str]) -> frozenset[int]:
    """The listening sockets at a port, bound to one of the addresses or to every one."""
    found = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError, ValueError):
            for line in (proc / "net" / table).read_text().splitlines()[1:]:
                fields = line.split() if f" {_LISTENS} " in line else []  # of thousands of lines a few
                if len(fields) > 9 and fields[3] == _LISTENS:  # noqa: PLR2004 - sl local remote state … inode is the tenth
                    address, bound = _endpoint(fields[1])
                    if bound == port and (address.is_unspecified or str(address) in addresses):
                        found.add(int(fields[9]))
    return frozenset(found)


def _endpoint(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    """`0100007F:1F90`: words of 32 bits as this machine writes them, and the port. An IPv4 address in IPv6 is the former."""
    address, _, port = text.partition(":")
    words = [int(address[start : start + 8], 16) for start in range(0, len(address), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    made = ipaddress.ip_address(packed)
    mapped = made.ipv4_mapped if isinstance(made, ipaddress.IPv6Address) else None
    return mapped or made, int(port, 16)


def socket_owners(proc: Path, inodes: frozenset[int]) -> frozenset[int]:
    """The processes that hold one of these sockets, of those that may be looked into."""
    found = set()
    for pid in _pids(proc):
        with suppress(OSError):  # another user's, or it just ended
            for descriptor in os.listdir(proc / str(pid) / "fd"):  # noqa: PTH208 - thousands of them, by name only
                with suppress(OSError):
                    match = _SOCKET.fullmatch(os.readlink(proc / str(pid) / "fd" / descriptor))  # noqa: PTH115 - no file's path
                    if match and int(match[1]) in inodes:
                        found.add(pid)
                        break
    return frozenset(found)


def read_processes(proc: Path) -> dict[int, Process]:
    """Every process, by PID."""
    found = {}
    for pid in _pids(proc):
        with suppress(OSError, ValueError, IndexError):  # it just ended
            text = (proc / str(pid) / "stat").read_text(errors="replace")
            name, _, rest = text.partition("(")[2].rpartition(")")  # a name may hold anything, parentheses too
            _, parent, group, session = rest.split()[:4]
            found[pid] = Process(name, int(parent), int(group), int(session))
    return found


def relatives(processes: Mapping[int, Process], owners: frozenset[int]) -> Iterator[frozenset[int]]:
    """The owners with their descendants; then, each time, one more ancestor of their session and group with its own."""
    children: dict[int, set[int]] = {}
    for pid, process in processes.items():
        children.setdefault(process.parent, set()).add(pid)
    family = _descend(owners, children)
    yield family
    heads, seen = owners, owners
    while heads := (_parents_of_the_group(processes, heads) - seen):  # a snapshot of a changing tree may hold a loop
        seen |= heads
        family |= _descend(heads, children)
        yield family


def _parents_of_the_group(processes: Mapping[int, Process], pids: frozenset[int]) -> frozenset[int]:
    found = set()
    for process in (processes[pid] for pid in pids):
        parent = processes.get(process.parent)
        if parent is not None and (parent.session, parent.group) == (process.session, process.group):
            found.add(process.parent)
    return frozenset(found)


def _descend(heads: frozenset[int], children: Mapping[int, set[int]]) -> frozenset[int]:
    found: set[int] = set()
    waiting = set(heads)
    while waiting:
        pid = waiting.pop()
        found.add(pid)
        waiting |= children.get(pid, set()) - found
    return frozenset(found)


def read_environment(proc: Path, pid: int) -> dict[str, str] | None:
    """What a process was started with; None where it may not be read."""
    try:
        text = (proc / str(pid) / "environ").read_bytes().decode(errors="replace")
    except OSError:
        return None
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


def sees_host_pids(proc: Path = PROC) -> bool:
    """Whether PIDs here are the host's, which the driver gives; in a container they are others by the same numbers."""
    try:
        return os.readlink(proc / "self" / "ns" / "pid") == _FIRST_PID_NAMESPACE  # noqa: PTH115 - no file's path
    except OSError:
        return False


def _pids(proc: Path) -> list[int]:
    try:
        return sorted(int(name) for name in os.listdir(proc) if name.isdecimal())  # noqa: PTH208 - names only
    except OSError:
        return []
