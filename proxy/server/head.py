"""The head of a request, beyond what the parser looks at: how large it may be, and what must be in it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from ..errors import BadRequest
from ..header_names import KNOWN_NAMES, header_name

HEAD_LIMIT_BYTES: Final = 32 * 1024
HEADERS_LIMIT: Final = 128
SLOW_HEADERS: Final = frozenset({"expect", "upgrade", "content-encoding", "trailer"})
"""Those that only aiohttp answers."""


def read_headers(fields: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """The headers by their names in lower case; of one that comes twice the values are joined."""
    headers: dict[str, str] = {}
    for name, value in fields:
        key = KNOWN_NAMES.get(name) or header_name(name)
        text = value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def is_too_long(url: bytes, fields: Sequence[tuple[bytes, bytes]]) -> bool:
    """Whether a head is beyond the limits."""
    return len(fields) > HEADERS_LIMIT or len(url) + sum(len(name) + len(value) for name, value in fields) > HEAD_LIMIT_BYTES


def find_fault(version: str, headers: Mapping[str, str]) -> str | None:
    """What is wrong with a head that the parser takes; None where nothing is."""
    if version not in {"1.0", "1.1"}:
        return "its version is another"
    host = headers.get("host", None if version == "1.1" else "")
    if host is None or "," in host:
        return "it must have one Host header"
    if "transfer-encoding" in headers and (version == "1.0" or headers["transfer-encoding"].strip().lower() != "chunked"):
        return "its transfer coding is not `chunked`"
    return None


def head_too_long() -> BadRequest:
    """The refusal of one that never seems to end."""
    return BadRequest(f"The request's head is larger than {HEAD_LIMIT_BYTES} bytes, or has more than {HEADERS_LIMIT} headers.")
