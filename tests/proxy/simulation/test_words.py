"""Words and tokens of the simulation: countable by hand, the same on every machine, never the same for two prompts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.simulation.words import answer_length, count_tokens, digest, split_tokens, thinking_length, write_tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [("", []), ("   ", []), ("hello", ["hell", "o"]), ("a  bc\n d", ["a", "  bc", "\n d"]), ("naïveté ", ["naïv", "eté"])],
)
def test_tokens_by_hand(text, tokens):
    """Up to four characters that are not white space, with the white space before them."""
    assert split_tokens(text) == tokens
    assert count_tokens(text) == len(tokens)


@given(st.text())
def test_tokens_give_the_text_back(text):
    """Joined, the tokens are the text but for white space at its end."""
    assert "".join(split_tokens(text)) == text.rstrip()


@given(st.binary(), st.integers(0, 400))
def test_as_many_tokens_as_asked(seed, count):
    """The writer gives exactly so many tokens, and its text splits into the very same ones."""
    tokens = write_tokens(seed, count)
    assert len(tokens) == count
    assert split_tokens("".join(tokens)) == tokens


def test_answers_differ_and_repeat():
    """A prompt gets the same answer each time, another prompt another one, of words beyond ASCII too."""
    seeds = [digest("prompt", number) for number in range(50)]
    answers = ["".join(write_tokens(seed, 200)) for seed in seeds]
    assert answers == ["".join(write_tokens(seed, 200)) for seed in seeds]
    assert len(set(answers)) == 50
    assert any(not answer.isascii() for answer in answers)


def test_thinking_makes_an_answer_six_to_ten_times_as_long():
    """Plain answers have 60 to 250 tokens; with the thinking before them, 6 to 10 times as many."""
    seeds = [digest(number) for number in range(300)]
    lengths = [answer_length(seed) for seed in seeds]
    assert 60 <= min(lengths) < 70
    assert 235 < max(lengths) <= 250
    ratios = [(thinking_length(seed) + answer_length(seed)) / answer_length(seed) for seed in seeds]
    assert 5.9 < min(ratios) < 6.5
    assert 9.5 < max(ratios) <= 10
