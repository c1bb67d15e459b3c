"""The difficulty policy: direct, reasoning or unsure."""

from __future__ import annotations

import json

import pytest
from policy_cases import CHAT, THINKER, facts, request

from jevons.policies.difficulty import DifficultyPolicy
from jevons.policies.score.features import FEATURES
from jevons.policies.score.trees import FORMAT, Trees, read_trees
from jevons.proxy.exchange import Plan, Prompt

PROOFS = FEATURES.index("kind_proof")


def model(*, most_question_marks: float = float("inf")) -> Trees:
    """A score that knows one thing: proofs are hard. Many question marks are strange to it in several ways."""
    ranges = [[float("-inf"), float("inf")]] * len(FEATURES)
    for name in ("question_marks", "exclamations", "hashes", "pipes"):
        ranges[FEATURES.index(name)] = [0.0, most_question_marks]
    data = {"format": FORMAT, "features": list(FEATURES), "threshold": 0.5, "base": 0.0, "ranges": ranges}
    return read_trees(json.dumps({**data, "calibration": [[0.0, 1.0], [0.1, 0.9]], "trees": [[PROOFS, 0.5, 0.0, 1.0]]}))


def decide(text: str, *, policy: DifficultyPolicy | None = None, before: str = "", system: str = "", upstreams=(CHAT, THINKER)):
    conversation = "\n".join(part for part in (system, before, text) if part)
    asked = request(prompt=Prompt(text=text, conversation=conversation, system=system))
    return (policy or DifficultyPolicy(model())).decide(asked, Plan(), facts(*upstreams))


def test_the_score_decides():
    """A prompt that scores above the threshold reasons, one below it does not, and the score is the reason."""
    hard, easy = (
        decide("Prove it for every even number of at least four."),
        decide("Good morning to you all, dear friends of mine!"),
    )
    assert [str(plan.decisive) for plan in (hard, easy)] == ["difficulty:0.90;to=reasoning", "difficulty:0.10;to=direct"]
    assert [plan.candidates[0].upstream.name for plan in (hard, easy)] == [THINKER.name, CHAT.name]


def test_near_the_threshold_it_is_unsure():
    """A score within the margin leaves the choice to what comes next, and says so."""
    plan = decide("Prove it", policy=DifficultyPolicy(model(), threshold=0.85, unsure=0.1))
    assert (plan.candidates, plan.decision) == ((), "unsure")
    assert plan.reasons[-1].word == "unsure 0.90 near 0.85"


def test_a_stranger_is_unsure():
    """A text unlike what was trained on is not judged."""
    plan = decide("Prove ???? !!!! #### ||||", policy=DifficultyPolicy(model(most_question_marks=2)))
    assert (plan.candidates, plan.decision) == ((), "unsure")
    assert "strange" in plan.reasons[-1].word


@pytest.mark.parametrize("text", ["", "  \n"])
def test_nothing_to_read_is_unsure(text):
    """A request without text, such as an image alone, is not judged."""
    assert decide(text).decision == "unsure"


def test_few_words_after_a_hard_turn_are_unsure():
    """`go on` says nothing by itself: after a hard turn it is not called easy."""
    assert decide("go on please", before="Prove that there is no largest prime.").decision == "unsure"
    assert decide("go on please", before="Tell me about Lisbon.").decision == "direct"
    assert decide("and now tell me what a good present for my old teacher could be", before="Prove it.").decision == "direct"


def test_a_system_prompt_is_not_the_question():
    """An assistant that is told to prove things is still greeted by a greeting."""
    assert decide("hello there", system="You prove theorems and derive formulas.").decision == "direct"


def test_without_the_tier_nothing_is_decided():
    """Where nobody serves the tier, the score is said and the plan stays open."""
    plan = decide("Prove it for every even number of at least four.", upstreams=(CHAT,))
    assert plan.candidates == ()
    assert plan.reasons[-1].word == "0.90, but nobody serves reasoning"


def test_others_may_ask_for_the_probability():
    """The gain policy gets the probability, or None where the text is strange or empty."""
    policy = DifficultyPolicy(model(most_question_marks=2))
    texts = ("Prove it", "???? !!!! #### ||||", "")
    assert [policy.probability(request(prompt=Prompt(text=text))) for text in texts] == [pytest.approx(0.9), None, None]
