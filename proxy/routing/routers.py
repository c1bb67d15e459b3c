"""What ranks prompts: the score, and the baselines it has to beat. Each is a function from prompts to scores."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any, Final, TypeAlias

from jevons.policies.score.trees import Trees

from ..errors import JevonsError
from .rows import Pair
from .training import MISSING

Router: TypeAlias = Callable[[Sequence[Pair]], list[float]]

_CODE: Final = (
    "function",
    "class",
    "def ",
    "import ",
    "return",
    "algorithm",
    "debug",
    "```",
    "sql",
    "api",
    "python",
    "javascript",
)
_REASONING: Final = (
    "step by step",
    "think through",
    "let's think",
    "reason",
    "analyze",
    "prove",
    "derive",
    "explain why",
    "pros and cons",
)
_TECHNICAL: Final = (
    "architecture", "distributed", "protocol", "encryption", "database", "optimization", "theorem", "integral", "equation",
    "matrix", "probability", "kernel", "concurrency", "latency", "regression", "molecule", "thermodynamic", "statute",
)  # fmt: skip
_SIMPLE: Final = ("what is", "who is", "define", "hello", "hi ", "thanks", "translate", "when did", "capital of", "how are you")
_STEPS: Final = re.compile(r"first.{1,200}then|step \d|^\s*\d+\.\s", re.IGNORECASE | re.DOTALL | re.MULTILINE)
_SHORT_TOKENS: Final = 15
_LONG_TOKENS: Final = 400
_HASHED: Final = 2**18


def embedded(model: Trees) -> Router:
    """The score of `policies/score`."""
    return lambda pairs: [model.score(pair.prompt).probability for pair in pairs]


def constant(pairs: Sequence[Pair]) -> list[float]:
    """Knows nothing: what chance does, in expectation."""
    return [0.0] * len(pairs)


def oracle(pairs: Sequence[Pair]) -> list[float]:
    """Knows the results."""
    return [pair.gain for pair in pairs]


def keywords(pairs: Sequence[Pair]) -> list[float]:
    """A weighted keyword scorer after the one LiteLLM's complexity router began with: seven dimensions, fixed weights."""
    return [keyword_score(pair.prompt) for pair in pairs]


def keyword_score(prompt: str) -> float:
    """Length, code, reasoning markers, technical terms, simple indicators, several steps, several questions."""
    text = prompt.lower()
    tokens = len(text) / 4
    length = -1.0 if tokens < _SHORT_TOKENS else min(1.0, tokens / _LONG_TOKENS)
    return (
        0.10 * length
        + 0.30 * _share(text, _CODE, 2)
        + 0.25 * _share(text, _REASONING, 2)
        + 0.25 * _share(text, _TECHNICAL, 3)
        - 0.05 * _share(text, _SIMPLE, 1)
        + 0.03 * float(_STEPS.search(text) is not None)
        + 0.02 * float(text.count("?") > 1)
    )


def ngrams(training: Sequence[Pair], strength: float = 4.0) -> Router:
    """Logistic regression on hashed words and pairs of words. Raises JevonsError where scikit-learn is missing."""
    text, linear = _module("sklearn.feature_extraction.text"), _module("sklearn.linear_model")
    vectors = text.HashingVectorizer(n_features=_HASHED, ngram_range=(1, 2), alternate_sign=False)
    model = linear.LogisticRegression(C=strength, max_iter=300)
    model.fit(vectors.transform([pair.prompt for pair in training]), [pair.is_needed for pair in training])

    def score(pairs: Sequence[Pair]) -> list[float]:
        values: list[float] = model.decision_function(vectors.transform([pair.prompt for pair in pairs])).tolist()
        return values

    return score


def similarity_weighted(training: Sequence[Pair]) -> Router:
    """As RouteLLM's similarity-weighted ranking, on TF-IDF vectors in place of a hosted model's embeddings.

    The share of training prompts that needed reasoning, each weighted by 10^(10 x cosine / highest cosine).
    Raises JevonsError where scikit-learn is missing.
    """
    numpy, text = _module("numpy"), _module("sklearn.feature_extraction.text")
    vectors = text.TfidfVectorizer(sublinear_tf=True, min_df=2)
    known = vectors.fit_transform([pair.prompt for pair in training])
    needed = numpy.array([float(pair.is_needed) for pair in training])

    def score(pairs: Sequence[Pair]) -> list[float]:
        scores: list[float] = []
        asked = vectors.transform([pair.prompt for pair in pairs])
        for start in range(0, len(pairs), 200):
            near: Any = (asked[start : start + 200] @ known.T).toarray()
            highest = numpy.maximum(near.max(axis=1, keepdims=True), 1e-9)
            weights = 10 ** (10 * near / highest)
            scores += (weights @ needed / weights.sum(axis=1)).tolist()
        return scores

    return score


def _share(text: str, words: Sequence[str], enough: int) -> float:
    """How many of the words begin somewhere, of so many that are enough."""
    return min(1.0, sum(re.search(rf"(?<!\w){re.escape(word)}", text) is not None for word in words) / enough)


def _module(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise JevonsError(MISSING) from None
