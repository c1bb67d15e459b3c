"""`host:port`, as written in the configuration."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

WILDCARDS: Final = frozenset({"0.0.0.0", "::"})
MAX_PORT: Final = 65_535

_ADDRESS: Final = re.compile(r"(?:\[(?P<ipv6>[0-9a-fA-F:.]+)\]|(?P<host>[^\s:\[\]/@]+)):(?P<port>[0-9]{1,5})")
_HOST_NAME: Final = re.compile(r"(?:[a-zA-Z0-9_](?:[a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?)(?:\.[a-zA-Z0-9_-]{1,63})*\.?")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener binds. `host` is without brackets; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it; a name other than `localhost` is not trusted to mean that."""
        if self.host.lower() == "localhost":
            return True
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return False
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None  # as 3.13 does
        return (mapped or address).is_loopback

    def collides_with(self, other: Address) -> bool:
        """Whether both cannot be bound at once: the same port on the same host, or on every host."""
        if self.port != other.port or self.port == 0:
            return False
        hosts = {"127.0.0.1" if address.host.lower() == "localhost" else address.host.lower() for address in (self, other)}
        return len(hosts) == 1 or bool(hosts & WILDCARDS)


def parse_address(text: str) -> Address:
    """The address in `127.0.0.1:8800`, `localhost:8800` or `[::]:8800`; raises ValueError with what is wrong."""
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise ValueError("must be host:port, such as 127.0.0.1:8800 or [::1]:8800")
    port = int(match["port"])
    if port > MAX_PORT:
        raise ValueError(f"the port must be at most {MAX_PORT}")
    if match["ipv6"]:
        try:
            return Address(str(ipaddress.IPv6Address(match["ipv6"])), port)
        except ValueError as error:
            raise ValueError("between [ and ] must stand an IPv6 address") from error
    if not _HOST_NAME.fullmatch(match["host"]):
        raise ValueError("the host must be an IP address or a host name")
    return Address(match["host"], port)
