"""Whether a request would make the model server fetch something: images, sound and documents by URL.

A server fetches what a request names, from inside the operator's network (vLLM does so for any `image_url`): whoever may
send requests could reach what the server can. The rule says which hosts may be named; data within the request always may.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from ..errors import BadRequest
from .replies import UNREADABLE

_MARKS: Final = (b"_url", b"input_image", b"input_audio", b"input_file", b'"source"', b"\\u")
"""One of them is in every body that holds media; an escape may hide any."""
_TURNS: Final = ("messages", "input")
_PLACES: Final = frozenset({"url", "image_url", "video_url", "audio_url", "file_url"})
_DATA: Final = "data:"


@dataclass(frozen=True, slots=True)
class MediaRule:
    """`hosts`: those that a request may name, and no others; None lets it name any."""

    hosts: frozenset[str] | None = None

    def check(self, body: bytes) -> None:
        """Raises BadRequest where a JSON body names a host that it may not; what cannot be read is not judged here."""
        if self.hosts is None or not any(mark in body for mark in _MARKS):
            return
        try:
            fields = msgspec.json.decode(body)
        except UNREADABLE:
            return
        if not isinstance(fields, dict):
            return
        for turns in _TURNS:
            for url in _urls(fields.get(turns)):
                if not self._allows(url):
                    raise BadRequest(_refusal(self.hosts), param=turns)

    def _allows(self, url: str) -> bool:
        if url[: len(_DATA)].lower() == _DATA:
            return True
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        is_plain = parts.username is None and "\\" not in url and parts.scheme in {"http", "https"}
        return is_plain and self.hosts is not None and (parts.hostname or "") in self.hosts


def _urls(value: Any) -> Iterator[str]:
    """Every address below a value, wherever a server may look for one."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += each
        elif isinstance(each, dict):
            for key, child in each.items():
                if key in _PLACES and isinstance(child, str):
                    yield child
                else:
                    waiting.append(child)


def _refusal(hosts: frozenset[str]) -> str:
    allowed = f", or from {', '.join(sorted(hosts))}" if hosts else ""
    return f"Media may be sent as data: URLs only{allowed}: the model server is not to fetch other addresses."
