"""How `x-jevons-route` is written: printable ASCII, whatever policies, rules and upstreams are called."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

PART_CHARACTERS: Final = 100
_NOT_HEADER_SAFE: Final = re.compile(r"[^\x20-\x3a\x3c-\x7e]")  # printable ASCII, and the semicolon parts a route


@lru_cache(maxsize=1024)  # they are few: names of policies, rules and upstreams, and scores
def write_route(policy: str, word: str, to: str) -> str:
    """`<policy>:<rule or score>;to=<upstream>`; what has no place in a header becomes an underscore."""
    return f"{_safe(policy)}:{_safe(word)};to={_safe(to)}"


def _safe(text: str) -> str:
    return _NOT_HEADER_SAFE.sub("_", text[:PART_CHARACTERS]).strip()
