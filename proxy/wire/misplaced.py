"""An answer that stands where thinking belongs, put where answers belong.

vLLM with a reasoning parser that was not told of the switch puts all of it in `reasoning` and leaves `content` null. Whole chat
replies only: in a stream nobody can tell before its end.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Raw

from .replies import UNREADABLE, decode_object, read_string

_NO_CONTENT: Final = re.compile(rb'"content":\s*null')
_NAMES: Final = ("reasoning", "reasoning_content")
_CHOICES: Final = msgspec.json.Decoder(list[dict[str, Raw]])
_NULL: Final = Raw(b"null")


def put_in_place(body: bytes) -> bytes | None:
    """The reply with such answers in `content`; None where there is none."""
    if _NO_CONTENT.search(body) is None:
        return None
    try:
        fields = decode_object(body)
        choices = [_choice(choice) for choice in _CHOICES.decode(fields["choices"])]
    except (KeyError, *UNREADABLE):
        return None
    if all(moved is None for _, moved in choices):
        return None
    placed = [{**choice, "message": moved} if moved is not None else choice for choice, moved in choices]
    return msgspec.json.encode({**fields, "choices": placed})


def _choice(choice: dict[str, Raw]) -> tuple[dict[str, Raw], dict[str, object] | None]:
    """The choice, and its message put right; None where there is nothing to put right."""
    message = decode_object(choice.get("message", Raw(b"{}")))
    has_content = bytes(message.get("content", _NULL)) != b"null" or bytes(message.get("tool_calls", _NULL)) not in {
        b"null",
        b"[]",
    }
    name = next((name for name in _NAMES if (read_string(message, name) or "").strip()), None)
    if has_content or name is None:
        return choice, None
    emptied: dict[str, object] = {other: _NULL for other in _NAMES if other in message}
    return choice, {**message, **emptied, "content": message[name]}
