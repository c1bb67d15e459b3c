"""About eighty cheap facts of one text, for the difficulty score: pure functions, no state, no dependency.

Only the head and the tail of a long text are looked at, since what to do with a paste stands before or after it; so the time
is bounded whatever is sent. A language model never sees these: they are counts, and no word of the text leaves here.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from math import log1p
from typing import Final

from .words import KINDS, STEM_LETTERS, phrase_table, stem_table

SEEN_CHARACTERS: Final = 5_400
"""A text of at most so many is looked at whole; none that was trained on is longer."""
WINDOW_CHARACTERS: Final = 1_500
"""How much of a longer one is looked at, at its beginning and at its end."""
_WORDS_SEEN: Final = 400
_FEWEST_OPTIONS: Final = 2
"""One line that begins with a letter is no choice."""
_NO_OPTIONS: Final = (0.0, 0.0, 0.0, 0.0)

_WORD: Final = re.compile(r"[^\W\d_]+(?:[-'’][^\W\d_]+)*")
_ASCII_WORD: Final = re.compile(r"[a-z]+(?:[-'][a-z]+)*")
"""The same in lower-case ASCII, in half the time; so are the two others."""
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")
_ASCII_NUMBER: Final = re.compile(r"[0-9]+(?:[.,][0-9]+)*")
_OPTION: Final = re.compile(r"\n[ \t]*\(?[A-J][.):][ \t]+(.*)")
"""Of a text with a line break before it, which the search jumps to; so is the grid."""
_UNSPACED: Final = re.compile("[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_SHORT_VARIABLE: Final = re.compile(r"[a-zA-Z](?![^\W_])(?<![^\W_][a-zA-Z])")
_OPERATOR: Final = re.compile(r"[-+*/=^<>×÷≤≥≡] ?[\w(\[]")
_OPERAND: Final = re.compile(r"[\w)\]]")
_SENTENCE: Final = re.compile(r"[.!?。！？؟।]+(?:\s|$)")
_ASCII_SENTENCE: Final = re.compile(r"[.!?]+(?:\s|$)")
_GRID: Final = re.compile(r"(?m)\n[ \t]*(?:\S{1,2}[ \t]+){3,}\S{1,2}[ \t]*$")

_CAPITALS: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CLASSES: Final = b"".join(b"a" if bytes([code]).isalpha() else b"0" if bytes([code]).isdigit() else b" " for code in range(256))
"""A letter, a digit or a gap for each ASCII character; the upper half is never asked for."""

_STEMS: Final = stem_table()
_PHRASES: Final = phrase_table()
_KIND_NAMES: Final = tuple(KINDS)
_MARKS: Final = (
    ("question_marks", "?"), ("exclamations", "!"), ("commas", ","), ("colons", ":"), ("semicolons", ";"), ("quotes", '"'),
    ("equals", "="), ("plus", "+"), ("minus", "-"), ("star", "*"), ("slash", "/"), ("caret", "^"), ("less", "<"),
    ("greater", ">"),
    ("backslashes", "\\"), ("dollars", "$"), ("percents", "%"), ("open_round", "("), ("open_square", "["), ("open_curly", "{"),
    ("fences", "```"), ("underscores", "_"), ("blank_lines", "\n\n"), ("pipes", "|"), ("hashes", "#"), ("arrows", "->"),
    ("tags", "</"), ("indents", "\n  "), ("bullets", "\n- "),
)  # fmt: skip
"""Counted by the string's own method, which is the cheapest there is."""

_SHAPE: Final = (
    "characters", "words", "letters_per_word", "longest_word", "distinct_share", "lines", "line_length", "sentences",
    "words_per_sentence", "numbers", "distinct_numbers", "digits_per_number", "number_share", "options", "option_length",
    "option_digit_share", "option_spread", "variables", "operations", "grid_lines", "capital_share", "foreign_share", "unspaced",
    "is_ascii", "last_is_question", "first_kind", "second_kind", "ends_open", "repeated",
)  # fmt: skip

FEATURES: Final = (*_SHAPE, *(name for name, _ in _MARKS), *(f"kind_{kind}" for kind in _KIND_NAMES))
"""The names of what `describe` gives, in its order."""


def shorten(text: str) -> str:
    """The text, or the head and the tail of a long one."""
    if len(text) <= SEEN_CHARACTERS:
        return text
    return f"{text[:WINDOW_CHARACTERS]}\n{text[-WINDOW_CHARACTERS:]}"


def split_words(text: str) -> list[str]:
    """The words of a text in lower case, at most some hundred: the first and the last of them."""
    words = (_ASCII_WORD if text.isascii() else _WORD).findall(text.lower())
    if len(words) > _WORDS_SEEN:
        half = _WORDS_SEEN // 2
        words = words[:half] + words[-half:]
    return words


def describe(text: str) -> list[float]:
    """The features of one text, in the order of `FEATURES`."""
    text = shorten(text)
    words = split_words(text)
    is_ascii = text.isascii()
    unspaced = 0 if is_ascii else sum(map(len, _UNSPACED.findall(text)))
    kinds, order = _kinds(text, words, has_phrases=unspaced > 0)
    count = text.count
    breaks = count("\n")
    repeated = Counter(words)
    shape = [
        *_lengths(text, words, distinct=len(repeated), lines=breaks + 1),
        *_numbers(text, len(words)),
        *(_options(text) if breaks else _NO_OPTIONS),
        float(_count_variables(text)),
        float(_count_operations(text)),
        float(len(_GRID.findall(f"\n{text}"))) if breaks > 1 else 0.0,
        _count_capitals(text[:1000]) / (len(text[:1000]) or 1),
        0.0 if is_ascii else 1 - len(text.encode("ascii", "ignore")) / len(text),
        unspaced / (len(text) or 1),
        float(is_ascii),
        float(text.rstrip()[-1:] in {"?", "？", "؟", ";"}),
        float(order[0]),
        float(order[1]),
        float(text[-1:].isalnum()),
        float(max(repeated.values(), default=0)),
    ]
    return [*shape, *(float(count(mark)) for _, mark in _MARKS), *kinds]


def _lengths(text: str, words: Sequence[str], *, distinct: int, lines: int) -> list[float]:
    sentences = len((_ASCII_SENTENCE if text.isascii() else _SENTENCE).findall(text)) or 1
    total = len(words) or 1
    letters = list(map(len, words))
    return [
        log1p(len(text)),
        log1p(len(words)),
        sum(letters) / total,
        float(max(letters, default=0)),
        distinct / total,
        float(lines),
        len(text) / lines,
        float(sentences),
        len(words) / sentences,
    ]


def _numbers(text: str, words: int) -> list[float]:
    numbers = (_ASCII_NUMBER if text.isascii() else _NUMBER).findall(text)
    total = len(numbers) or 1
    digits = sum(map(len, numbers))
    return [float(len(numbers)), float(len(set(numbers))), digits / total, len(numbers) / (len(numbers) + words or 1)]


def _options(text: str) -> Sequence[float]:
    """Of a multiple choice: how many, how long, how much of them is numbers, how they differ in length."""
    options = _OPTION.findall(f"\n{text}")
    if len(options) < _FEWEST_OPTIONS:
        return _NO_OPTIONS
    lengths = [len(option) for option in options]
    with_digits = sum(any(map(str.isdigit, option)) for option in options)
    return [float(len(options)), sum(lengths) / len(options), with_digits / len(options), float(max(lengths) - min(lengths))]


def _count_variables(text: str) -> int:
    """Letters that stand alone."""
    if text.isascii():
        return text.encode().translate(_CLASSES).split().count(b"a")
    return len(_SHORT_VARIABLE.findall(text))


def _count_operations(text: str) -> int:
    """Operators between two operands, each operand counted with one of them; found by the operator, which is rarer."""
    found = end = 0
    for match in _OPERATOR.finditer(text):
        start = match.start() - 1
        if start > 0 and text[start] == " ":
            start -= 1
        if start >= end and _OPERAND.match(text, start):
            found += 1
            end = match.end()
    return found


def _count_capitals(text: str) -> int:
    if text.isascii():
        return len(text) - len(text.encode().translate(None, _CAPITALS))
    return sum(map(str.isupper, text))


def _kinds(text: str, words: Sequence[str], *, has_phrases: bool) -> tuple[list[float], list[int]]:
    """How many words of each kind of request there are, and the kinds of the first two words that have one."""
    found = [kind for word in words if (kind := _STEMS.get(word[:STEM_LETTERS])) is not None]
    if has_phrases:
        found += [kind for phrase, kind in _PHRASES if phrase in text]
    counts = Counter(found)
    return [float(counts.get(kind, 0)) for kind in range(len(_KIND_NAMES))], [*found[:2], -1, -1][:2]
