"""Whether an answer is right, where that can be said without a judge. Pure; the thinking before the answer does not count."""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

import msgspec

_NUMBER: Final = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_MARKUP: Final = re.compile(r"[*_`$\\]|boxed|\{|\}")
_THINKING: Final = re.compile(r"<think>.*?(?:</think>|\Z)", re.DOTALL)
_TOLERANCE: Final = 1e-6


class NumberCheck(msgspec.Struct, frozen=True, tag="number", tag_field="kind", forbid_unknown_fields=True):
    """The last number of the answer is this one."""

    answer: str


class ExactCheck(msgspec.Struct, frozen=True, tag="exact", tag_field="kind", forbid_unknown_fields=True):
    """The last line that is not empty is this, whatever its case, markup and full stop."""

    answer: str


class WordsCheck(msgspec.Struct, frozen=True, tag="words", tag_field="kind", forbid_unknown_fields=True):
    """All of these stand in the answer as whole words, whatever their case."""

    answer: tuple[str, ...]


class RegexCheck(msgspec.Struct, frozen=True, tag="regex", tag_field="kind", forbid_unknown_fields=True):
    """This is found in the answer, whatever its case."""

    answer: str


Check: TypeAlias = NumberCheck | ExactCheck | WordsCheck | RegexCheck
CheckKind: TypeAlias = Literal["number", "exact", "words", "regex"]


def without_thinking(text: str) -> str:
    """The visible answer: what stands between `<think>` and `</think>` taken out, and all after a `<think>` that never ends."""
    head, closed, tail = text.partition("</think>")
    if closed and "<think>" not in head:
        text = tail  # the template had opened it already
    return _THINKING.sub("", text).strip()


def is_right(check: Check, answer: str) -> bool:
    """Whether the visible answer passes."""
    plain = _MARKUP.sub("", without_thinking(answer)).strip()
    match check:
        case NumberCheck(answer=wanted):
            found = _NUMBER.findall(plain)
            return bool(found) and abs(_number(found[-1]) - _number(wanted)) <= _TOLERANCE * max(1.0, abs(_number(wanted)))
        case ExactCheck(answer=wanted):
            lines = [line.strip(" .!\t") for line in plain.splitlines() if line.strip(" .!\t")]
            return bool(lines) and lines[-1].casefold() == wanted.casefold()
        case WordsCheck(answer=wanted):
            return all(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", plain, re.IGNORECASE) for word in wanted)
        case RegexCheck(answer=pattern):
            # The pattern may be about markup or code, so it also sees the answer as it is.
            return any(re.search(pattern, text, re.IGNORECASE) for text in (plain, without_thinking(answer)))


def _number(text: str) -> float:
    return float(text.replace(",", "").rstrip("."))
