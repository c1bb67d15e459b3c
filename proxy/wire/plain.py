"""The plainest of events, recognised without looking into them: the next token of a stream in the envelope of the last one.

Nearly all events of a stream differ in nothing but the text between two quotation marks. Once one has been read in full, its
envelope is known, and a block that is made of that envelope and text without quotation marks alone can hold nothing else: no
usage, no error, no end. What does not match to the byte is read in full, as ever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_KEYS: Final = (b'"content":"', b'"content": "', b'"reasoning_content":"', b'"reasoning":"', b'"text":"')
_END: Final = b"\n\n"
_LONGEST_TEXT: Final = 512
"""Beyond this an event is no token, and learning from it is not worth its memory."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What surrounds the text of one kind of event, and how many quotation marks that has."""

    prefix: bytes
    suffix: bytes
    seam: bytes
    """Where one event ends and the next begins."""
    is_reasoning: bool

    def count(self, block: bytes) -> int:
        """How many events `block` is made of; 0 where it holds anything but whole events of this kind, each with a text."""
        prefix, suffix = self.prefix, self.suffix
        if not block.startswith(prefix) or not block.endswith(suffix):
            return 0
        begin, end = len(prefix), len(block) - len(suffix)
        if block.find(b'"', begin) == end:
            return 1 if end > begin and block.find(b"/think", begin, end) < 0 else 0
        texts = block[begin:end].split(self.seam)
        text = b"".join(texts)
        return len(texts) if b'"' not in text and b"/think" not in text and b"" not in texts else 0


def learn(event: bytes, *, is_reasoning: bool) -> Envelope | None:
    """The envelope of an event that is known to carry one text and nothing else; None where it cannot be told from the text."""
    if not event.endswith(_END) or event.count(_END) != 1:
        return None
    for key in _KEYS:
        at = event.find(key)
        if at < 0 or (b"reasoning" in key) != is_reasoning:
            continue
        begin = at + len(key)
        end = event.find(b'"', begin)
        if not begin < end <= begin + _LONGEST_TEXT or event[end - 1 : end] == b"\\" or key in event[end:]:
            return None
        prefix, suffix = event[:begin], event[end:]
        return Envelope(prefix, suffix, suffix + prefix, is_reasoning)
    return None
