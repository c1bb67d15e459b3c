"""The baselines that the score has to beat."""

from __future__ import annotations

import pytest
from routing_rows import many_rows, write_rows

from jevons.policies.score.trees import shipped
from jevons.proxy.routing.metrics import Ranking, cases
from jevons.proxy.routing.routers import constant, embedded, keyword_score, ngrams, oracle, similarity_weighted
from jevons.proxy.routing.rows import pair_rows, read_rows


@pytest.fixture
def pairs(tmp_path):
    rows = read_rows([write_rows(tmp_path / "rows.jsonl", many_rows(80))])
    return pair_rows(rows, {}, ("small", "thinker:on"))[0]


def auroc(pairs, router) -> float:
    return Ranking(cases(pairs, router(pairs))).figures()["auroc"]


def test_the_oracle_knows_and_chance_does_not(pairs):
    """The two ends between which every router lies."""
    assert (auroc(pairs, oracle), auroc(pairs, constant)) == (1, 0.5)


@pytest.mark.parametrize("train", [ngrams, similarity_weighted])
def test_trained_baselines_learn(pairs, train):
    """A baseline that has seen rows ranks their like better than chance."""
    assert auroc(pairs[40:], train(pairs[:40])) > 0.6


def test_the_score_is_a_router(pairs):
    """The embedded score ranks proofs above greetings without having seen these rows."""
    assert auroc(pairs, embedded(shipped())) > 0.6


def test_keywords_weigh_what_they_find():
    """Code and reasoning words raise the keyword score, a simple question lowers it."""
    easy, plain, hard = (
        "What is the capital of Peru?",
        "Tell me of the town and all of its people, the old and the new ones",
        "Debug this function step by step",
    )
    assert keyword_score(easy) < keyword_score(plain) < keyword_score(hard)
