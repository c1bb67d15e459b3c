"""Header names: the same few come with every request, so that making a string of one is worth remembering."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

REMEMBERED_BYTES: Final = 40
"""Longer names are nobody's that is well known, and are not remembered."""


def header_name(raw: bytes) -> str:
    """The name in lower case."""
    return known_name(raw) if len(raw) <= REMEMBERED_BYTES else raw.decode("latin-1").lower()


@lru_cache(maxsize=1024)
def known_name(raw: bytes) -> str:
    """The same of one that is no longer than `REMEMBERED_BYTES`."""
    return raw.decode("latin-1").lower()
