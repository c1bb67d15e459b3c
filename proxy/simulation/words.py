"""Text for simulated answers and the rule by which the simulation counts tokens.

A token is up to four characters that are not white space, with the white space before them: about what English gets from a
real tokenizer, and anyone can count it by hand. White space at the very end counts for nothing.
Everything follows from a digest, so the same prompt gets the same answer on every machine.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Final

_TOKEN: Final = re.compile(r"\s*\S{1,4}")

_WORDS: Final = """
a about above across after again against all almost alone along already also although always among an and another answer
any apart are around as ask at away back balance because become before began behind being below best better between
beyond book both bread bridge bring build but by call can careful carry case cause centre chance change choice clear
close cold colour come common compare condition consider corner could count country course cover cut day decide deep
depend describe detail different distance do door down draw during each early earth easy edge effect either else end
energy enough equal even evening ever every example expect explain façade face fact fair family far fast field figure
fill find fire first follow food for form found four free from full garden general give go good great ground group grow
half hand happen hard have head hear heat heavy help her here high hold home hour house how idea if important in inside
instead into island it its join just keep kind know land large last late later lead learn leave left less letter level
light like line list little live long look lost low machine main make many map mark matter may mean measure meet middle
might mind moment money moon more morning most move much must naïve name near need never new next night no north not
note nothing now number of off often old on once one only open or order other our out over own page paper part pass past
people perhaps piece place plain plan point possible power prepare problem prove public pull question quick quiet rather
reach read ready real reason record remember rest result return right river road room round rule run safe same say sea
season second see seem sense set several shape share short should show side sign simple since sister size slow small
smörgås so some soon sound south space speak special square stand start state stay step still stone stop story street
strong such summer sun sure table take talk tell ten than that the their then there these they thing think third this
those though three through time to today together too top toward town tree true try turn two under until up upon us use
usual value very view voice wait walk wall warm watch water way we weather week weight well were what wheel when where
whether which while whole why wide wind winter with within without wonder word work world would write year yes yet young
your
"""
_STOPS: Final = (", ", ", ", "; ", ": ", " - ", ".\n\n", ". ", ". ", ". ", ". ", "? ", "! ")


def split_tokens(text: str) -> list[str]:
    """The tokens of a text; joined they give it back, but for white space at its end."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    """How many tokens a text has."""
    return len(split_tokens(text))


def digest(*parts: object) -> bytes:
    """What an answer follows from: the same parts give the same 64 bytes anywhere."""
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode("utf-8", "replace")).digest()


def fraction(seed: bytes, salt: str) -> float:
    """A number in [0, 1) that follows from the seed."""
    return int.from_bytes(digest(salt, seed.hex())[:8], "little") / 2**64


def answer_length(seed: bytes) -> int:
    """How many tokens a plain answer has: 60 to 250, more often short."""
    return 60 + int(191 * fraction(seed, "answer") ** 1.5)


def thinking_length(seed: bytes) -> int:
    """How many tokens of thinking come before the answer: with it they are 6 to 10 times the plain answer."""
    return int(answer_length(seed) * (5 + 4 * fraction(seed, "thinking")))


def write_tokens(seed: bytes, count: int) -> list[str]:
    """So many tokens of varied words; not all end with a word's end."""
    tokens: list[str] = []
    for sentence in _sentences(seed):
        if len(tokens) >= count:
            break
        tokens += split_tokens(sentence if not tokens else f" {sentence}")
    return tokens[:count]


def _sentences(seed: bytes) -> Iterator[str]:
    """Endless sentences of 7 words or so."""
    count = 0
    words = _WORDS.split()
    while True:
        draw = digest(count, seed.hex())
        length = 4 + draw[0] % 7
        numbers = (int.from_bytes(draw[2 * i : 2 * i + 2], "little") for i in range(1, length + 1))
        yield " ".join(words[number % len(words)] for number in numbers).capitalize() + _STOPS[draw[1] % len(_STOPS)].rstrip(" ")
        count += 1
