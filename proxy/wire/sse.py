"""Server-sent events without I/O: where a byte stream may be cut, and what an event's data is.

The rules are those of the WHATWG HTML standard, "Parsing an event stream": a line ends with CRLF, LF or CR, and an empty line
ends an event. A cut is made only behind an empty line, so that whatever is put between two pieces (a comment, one more event)
lands between two events.
"""

from __future__ import annotations

import re
from typing import Final

CAP_BYTES: Final = 4 * 1024 * 1024
"""The longest unfinished event that is held back by default."""

_EMPTY_LINE: Final = re.compile(rb"\A(?:\r\n?|\n)|(?<=\n)\n|(?<=[\r\n])\r\n?")
"""Each empty line, given that the text starts where an event starts."""
_DATA_LINE: Final = re.compile(rb"(?:\A|(?<=[\r\n]))(data:[ ]?)([^\r\n]*)(\r\n?|\n)?")


class EventSplitter:
    """Cuts a byte stream at event boundaries, wherever the network cut it; what goes in comes out, in order and unchanged.

    An event that grows beyond `cap_bytes` is passed through in pieces up to its end, so memory stays bounded. A CR at the very
    end of a block waits for the next byte, which may be the LF that belongs to it.
    """

    def __init__(self, *, cap_bytes: int = CAP_BYTES) -> None:
        self._cap_bytes = cap_bytes
        self._held = bytearray()
        self._tail = b"\n"  # the last two bytes fed; a stream starts as if a line had just ended
        self._is_passing = False
        self.unread = 0
        """Of the last output, how many bytes at its end belong to an event that is too long to be held until it is whole."""

    @property
    def is_at_boundary(self) -> bool:
        """Whether all that was given out so far ends where an event ends."""
        return not self._is_passing

    @property
    def is_empty(self) -> bool:
        """Whether the next byte begins an event."""
        return not self._held and not self._is_passing and self._tail.endswith(b"\n")

    def skip(self) -> None:
        """Whole events, the last with its empty line, went by without being fed."""
        self._tail = b"\n\n"

    def feed(self, block: bytes) -> bytes:
        """All events that `block` completes, in one piece; empty while there is none."""
        self.unread = 0
        if not block:
            return b""
        cut = self._find_cut(block)
        self._tail = block[-2:] if len(block) > 1 else (self._tail + block)[-2:]
        if cut is None:
            return self._hold(block)
        self._is_passing = False
        complete = block[:cut]
        if self._held:
            complete = bytes(self._held) + complete
            self._held.clear()
        return complete + self._hold(block[cut:]) if cut < len(block) else complete

    def flush(self) -> bytes:
        """What is left when the stream ends: an event that was never finished, or nothing."""
        rest = bytes(self._held)
        self._held.clear()
        return rest

    def _hold(self, block: bytes) -> bytes:
        """Keep the beginning of an event; give out what may not be kept."""
        if self._is_passing:
            self.unread = len(block)
            return block
        self._held += block
        if len(self._held) <= self._cap_bytes:
            return b""
        self._is_passing = True
        self.unread = len(self._held)
        return self.flush()

    def _find_cut(self, block: bytes) -> int | None:
        """How much of `block` belongs to finished events; 0 if only what came before it is finished now."""
        if b"\r" not in block and b"\r" not in self._tail:
            at = block.rfind(b"\n\n")
            if at >= 0:
                return at + 2
            return 1 if block.startswith(b"\n") and self._tail.endswith(b"\n") else None
        end = _last_boundary(self._tail + block) - len(self._tail)
        return end if end >= 0 else None


def split_events(complete: bytes) -> list[bytes]:
    """The single events, each with its empty line, of a piece that starts at a boundary; the last may lack its end."""
    if b"\r" not in complete and b"\n\n\n" not in complete and not complete.startswith(b"\n"):
        *whole, rest = complete.split(b"\n\n")
        return [event + b"\n\n" for event in whole] + ([rest] if rest else [])
    events = []
    start = 0
    for line in _EMPTY_LINE.finditer(complete):
        events.append(complete[start : line.end()])
        start = line.end()
    if start < len(complete):
        events.append(complete[start:])
    return events


def read_data(event: bytes) -> bytes:
    """The value of the event's `data` field, its lines joined by LF; empty for a comment."""
    return b"\n".join(line.group(2) for line in _DATA_LINE.finditer(event))


def replace_data(event: bytes, data: bytes) -> bytes:
    """The same event with `data` (one line) for its data; every other line stays."""
    fresh = iter((data,))

    def put(line: re.Match[bytes]) -> bytes:
        value = next(fresh, None)
        return b"" if value is None else line.group(1) + value + (line.group(3) or b"")

    return _DATA_LINE.sub(put, event)


def _last_boundary(window: bytes) -> int:
    """The index behind the last empty line of `window`, -1 if none; a CR at its end is undecided and does not count."""
    at = window.rfind(b"\n\n")
    last = at + 2 if at >= 0 else -1
    for pair in (b"\n\r", b"\r\r"):
        at = window.rfind(pair, 0, len(window) - 1)
        if at >= 0:
            last = max(last, at + 2 + (window[at + 2] == ord("\n")))
    return last
