"""What is counted in a text."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from jevons.policies.score.features import FEATURES, SEEN_CHARACTERS, WINDOW_CHARACTERS, describe, shorten, split_words


def feature(text: str, name: str) -> float:
    return describe(text)[FEATURES.index(name)]


@given(st.text(max_size=400))
def test_any_text_has_every_feature(text):
    """Whatever is sent, each feature has one finite number."""
    values = describe(text)
    assert len(values) == len(FEATURES)
    assert all(map(math.isfinite, values))


def test_names_are_distinct():
    """No two features have one name, since an artefact is checked by them."""
    assert len(set(FEATURES)) == len(FEATURES)


def test_options_are_counted():
    """The options of a multiple choice are told from lines of a text."""
    choice = "Which is it?\nA. 12 metres\nB. 13 metres\nC. none of these"
    assert feature(choice, "options") == 3
    assert feature(choice, "option_digit_share") == 2 / 3
    assert feature("A. Miller wrote this letter.", "options") == 0


def test_kinds_are_found_in_many_languages():
    """A word counts for what it asks for, in scripts with and without spaces."""
    for text in ("Prove it", "Beweise es", "Démontre cela", "Докажите это", "证明这一点", "증명하시오"):
        assert feature(text, "kind_proof") >= 1, text


def test_a_long_text_is_seen_at_both_ends():
    """Of a long paste the beginning and the end count, and the middle costs no time."""
    text = "Prove this. " + "lorem " * 50_000 + " What is the integral?"
    assert len(shorten(text)) <= SEEN_CHARACTERS + 1
    assert feature(text, "kind_proof") >= 1
    assert feature(text, "kind_maths") >= 1
    assert len(split_words("word " * 50_000)) <= 400


def test_up_to_a_length_all_of_a_text_is_seen():
    """What is trained on is seen whole; only beyond that the middle is left out."""
    assert shorten("x" * SEEN_CHARACTERS) == "x" * SEEN_CHARACTERS
    assert shorten("x" * (SEEN_CHARACTERS + 1)) == "x" * WINDOW_CHARACTERS + "\n" + "x" * WINDOW_CHARACTERS


@given(st.text(alphabet="aZ9 .,;:!?'-_+*/=^<>()[]\n\t", max_size=200))
def test_ascii_is_read_as_any_text_is(text):
    """The quicker way for ASCII counts what the way for every script counts; a character more that is neither shows it."""
    quick = dict(zip(FEATURES, describe(text), strict=True))
    slow = dict(zip(FEATURES, describe(f"{text} \u2028"), strict=True))
    for name in ("words", "longest_word", "numbers", "distinct_numbers", "variables", "operations", "options", "sentences"):
        assert quick[name] == slow[name], name


def test_operations_share_no_operand():
    """An operand is counted with one operator, and a minus sign before a number is none."""
    for text, count in {"a + b": 1, "a+b+c": 1, "a+b + c*d": 2, "-5": 0, "(x) = [y]": 1, "a - - b": 0}.items():
        assert feature(text, "operations") == count, text
