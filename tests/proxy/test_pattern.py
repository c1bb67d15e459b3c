"""Regular expressions of linear time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.pattern import MAX_CHARACTERS, Pattern


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        (r"prove|derive", "please derive it", True),
        (r"(?i)PROVE", "Prove it", True),
        (r"\bprove\b", "improvement", False),
        (r"^a$", "a\n", False),
        (r"É", "É", True),
    ],
)
def test_searches_anywhere(source, text, found):
    """A pattern is searched for, not matched from the start."""
    assert Pattern(source).search(text) is found


@pytest.mark.parametrize("source", [r"(a+)+$", r"(a|a)+$", r"a.*a.*a.*b", r"(\w+\s?)*$x"])
def test_no_pattern_is_catastrophic(source):
    """Patterns that would hold a backtracking engine for hours are searched through a long text at once."""
    assert Pattern(source).search("a" * 20_000 + "!") is False


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("(", "unclosed group"),
        ("[", "unclosed character class"),
        ("a(?=b)", "look-around"),
        (r"(a)\1", "backreferences"),
        (r"(\w{500}){500}", "size limit"),
        ("", "1 to 500"),
        ("a" * (MAX_CHARACTERS + 1), "1 to 500"),
    ],
)
def test_says_why_a_pattern_cannot_be_used(source, reason):
    """A pattern that does not compile, or could not be searched in linear time, is refused with the reason."""
    with pytest.raises(ValueError, match=reason):
        Pattern(source)


def test_lone_surrogates_hide_nothing():
    """Half a character in the text, which JSON allows, does not keep the rest from being found."""
    assert Pattern("prove").search("\ud800 prove \udfff")


def test_equal_by_source():
    """Two patterns are the same where their source is."""
    assert Pattern("a") == Pattern("a")
    assert hash(Pattern("a")) == hash(Pattern("a"))
    assert Pattern("a") != Pattern("b")
    assert Pattern("a") != "a"
    assert repr(Pattern("a")) == "Pattern('a')"


@given(st.text(max_size=50), st.text())
def test_any_text_is_a_pattern_or_a_value_error(source, text):
    """Whatever an operator writes either searches or is refused."""
    try:
        pattern = Pattern(source)
    except ValueError:
        return
    assert pattern.search(text) in {True, False}
