"""Right and wrong answers, as models write them."""

import pytest

from jevons.proxy.study.checkers import ExactCheck, NumberCheck, RegexCheck, WordsCheck, is_right, without_thinking

RIGHT = [
    (NumberCheck("266"), "There are 999 numbers, and so\n\n**266**"),
    (NumberCheck("1170"), r"The sum is \boxed{1,170}."),
    (NumberCheck("3"), "3.0"),
    (NumberCheck("-2.5"), "<think>maybe 7?</think>x = -2.5"),
    (ExactCheck("no"), "It does not follow.\n\nNo."),
    (ExactCheck("Ben"), "*Ben*"),
    (WordsCheck(("Lima",)), "The capital is lima."),
    (WordsCheck(("Romeo", "Juliet")), "Juliet loves Romeo"),
    (RegexCheck(r"mid\s*\+\s*1"), "set `lo = mid + 1`"),
    (RegexCheck(r"A is a knave\W+(and )?B is a knave"), "A is a knave, B is a **knave**"),
]
WRONG = [
    (NumberCheck("266"), "266 or rather 267"),
    (NumberCheck("266"), "none"),
    (NumberCheck("36"), "<think>36"),
    (ExactCheck("no"), "no, or perhaps yes"),
    (ExactCheck("no"), ""),
    (WordsCheck(("Lima",)), "Limassol"),
    (RegexCheck("seven"), "<think>seven</think> eight"),
]


@pytest.mark.parametrize(("check", "answer"), RIGHT)
def test_right_answers_pass(check, answer):
    """Markup, case, separators and the thinking before an answer do not make it wrong."""
    assert is_right(check, answer)


@pytest.mark.parametrize(("check", "answer"), WRONG)
def test_wrong_answers_do_not(check, answer):
    """Another number, another last line, part of a word, or the right one only while thinking."""
    assert not is_right(check, answer)


def test_thinking_is_taken_out():
    """Closed, opened by the template, or never closed."""
    assert without_thinking("<think>a</think> b") == "b"
    assert without_thinking("a</think> b") == "b"
    assert without_thinking("b <think>a") == "b"
    assert without_thinking("b") == "b"
