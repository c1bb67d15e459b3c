"""The workload: real questions, varied enough for a demo to mean something."""

from collections import Counter

from jevons.proxy.simulation.workload import load_questions


def test_the_questions_are_varied_and_distinct():
    """About forty, all different, in several languages, and thinking helps about half of them."""
    questions = load_questions()
    assert 38 <= len(questions) <= 45
    assert len({question.id for question in questions}) == len(questions)
    assert len({question.text for question in questions}) == len(questions)
    assert len({question.language for question in questions}) >= 5
    assert 0.3 < sum(question.thinking_helps for question in questions) / len(questions) < 0.7


def test_every_category_has_enough_to_say():
    """Each of the six categories has at least five questions."""
    counts = Counter(question.category for question in load_questions())
    assert counts.keys() == {"everyday", "writing", "ethics", "mathematics", "logic", "code"}
    assert min(counts.values()) >= 5
