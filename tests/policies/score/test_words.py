"""The words that say what is asked."""

from __future__ import annotations

from jevons.policies.score.words import KINDS, PHRASES, STEM_LETTERS, phrase_table, stem_table


def test_inflections_share_a_stem():
    """A word is found by its first letters, so that a kind need not list each of its forms."""
    table = stem_table()
    proof = list(KINDS).index("proof")
    assert {table[word[:STEM_LETTERS]] for word in ("beweise", "beweisen", "démontre", "démontrer")} == {proof}


def test_phrases_name_kinds_that_there_are():
    """Every phrase of a script without spaces counts for a kind of `KINDS`, and none is empty."""
    assert set(PHRASES) <= set(KINDS)
    assert all(phrase and 0 <= kind < len(KINDS) for phrase, kind in phrase_table())
