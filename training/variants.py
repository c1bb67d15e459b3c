"""The same request said otherwise: with typos, in other letters, with other manners around it. Seeded, so the same each time."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Final

SHARE_OF_WORDS: Final = 0.15
"""How many of the words get a typo; at least one."""
_LEAST_LETTERS: Final = 4


def with_typos(text: str, dice: random.Random) -> str:
    """Letters swapped, dropped or doubled in some words."""
    words = text.split(" ")
    candidates = [index for index, word in enumerate(words) if len(word) >= _LEAST_LETTERS and word.isalpha()]
    for index in dice.sample(candidates, min(len(candidates), max(1, round(SHARE_OF_WORDS * len(words))))):
        words[index] = _mistyped(words[index], dice)
    return " ".join(words)


def _mistyped(word: str, dice: random.Random) -> str:
    at = dice.randrange(1, len(word) - 1)
    return dice.choice(
        [
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
            word[:at] + word[at + 1 :],
            word[:at] + word[at] + word[at:],
        ]
    )


def _hasty(text: str, dice: random.Random) -> str:  # noqa: ARG001 - a variant takes dice
    return text.lower().rstrip(".?! ")


def _polite(text: str, dice: random.Random) -> str:
    before, after = dice.choice(
        [("Please help me with this: ", ""), ("Hi! ", " Thanks!"), ("I have a question. ", ""), ("", " Thank you.")]
    )
    return f"{before}{text}{after}"


def _wordy(text: str, dice: random.Random) -> str:
    before = dice.choice(
        ["I was wondering about the following. ", "A friend asked me this and I would like to answer: ", "Quick one: "]
    )
    return f"{before}{text}"


VARIANTS: Final[Mapping[str, Callable[[str, random.Random], str]]] = {
    "typos": with_typos,
    "hasty": _hasty,
    "polite": _polite,
    "wordy": _wordy,
}
"""How each is called in the figures."""
