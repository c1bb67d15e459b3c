"""The difficulty policy: an embedded score of the last user turn, and of what it follows where it says too little by itself.

Three outcomes: direct, reasoning, or unsure. Unsure is a score near the threshold, a text unlike anything that was trained on,
and a word or two ("go on", "why?") after a conversation that is itself hard; then the next policy decides, or `default`.
"""

from __future__ import annotations

from typing import Final

from jevons.proxy.exchange import Plan, Prompt, Reason, Request, Tier

from .policy import Facts, Verdict
from .score.features import split_words
from .score.trees import Score, Trees, shipped

UNSURE: Final = "unsure"
MARGIN: Final = 0.02
"""How far from the threshold a score must lie to decide, by default."""
STRANGE_FEATURES: Final = 4
"""So many features outside what was trained on make a text a stranger."""
FEW_WORDS: Final = 5
"""A turn of at most so many words may mean anything."""


class DifficultyPolicy:
    """Decides by the score, which `model` holds; the shipped one by default. Raises nothing on any text."""

    name = "difficulty"

    def __init__(self, model: Trees | None = None, threshold: float | None = None, unsure: float = MARGIN) -> None:
        self._model = shipped() if model is None else model
        self._threshold = self._model.threshold if threshold is None else threshold
        self._margin = unsure

    def decide(self, request: Request, plan: Plan, facts: Facts) -> Verdict:
        """The tier that the score speaks for; where it is unsure the plan stays open and says so."""
        if not request.prompt.text.strip():
            return self._unsure(plan, "no text")
        score = self._model.score(request.prompt.text)
        if is_strange(score):
            return self._unsure(plan, f"{score.probability:.2f} strange {score.strange[0]}")
        if abs(score.probability - self._threshold) < self._margin:
            return self._unsure(plan, f"{score.probability:.2f} near {self._threshold:.2f}")
        if score.probability < self._threshold and self._follows_hard(request.prompt):
            return self._unsure(plan, f"{score.probability:.2f} after a hard turn")
        tier = Tier.REASONING if score.probability > self._threshold else Tier.DIRECT
        target = facts.tier_target(tier)
        if target is None:
            return plan.because(Reason(self.name, f"{score.probability:.2f}, but nobody serves {tier}", ""))
        return plan.sent_to((target,), Reason(self.name, f"{score.probability:.2f}", tier), tier)

    def probability(self, request: Request) -> float | None:
        """That reasoning gets right what a direct answer gets wrong; None where the text is strange. For other policies."""
        if not request.prompt.text.strip():
            return None
        score = self._model.score(request.prompt.text)
        return None if is_strange(score) else score.probability

    def _unsure(self, plan: Plan, word: str) -> Plan:
        return Plan(plan.candidates, (*plan.reasons, Reason(self.name, f"{UNSURE} {word}", "")), UNSURE)

    def _follows_hard(self, prompt: Prompt) -> bool:
        """Whether so few words came last that only the turns before could tell, and those are hard."""
        before = prompt.conversation[len(prompt.system) : -len(prompt.text)].strip()
        if not before or len(prompt.text) > FEW_WORDS * 20 or len(split_words(prompt.text)) > FEW_WORDS:
            return False
        return self._model.score(before).probability > self._threshold + self._margin


def is_strange(score: Score) -> bool:
    """Whether a text lies outside what was trained on: its probability then means nothing."""
    return len(score.strange) >= STRANGE_FEATURES
