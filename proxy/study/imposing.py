"""Lengths laid on a model that has none of its own: random weights say nothing about how long an answer is. Pure.

A prompt has one place in the distribution, whatever the arm, as a prompt that calls for much calls for much of every model.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True, slots=True)
class Lengths:
    """A log-normal distribution of answer lengths in tokens: its mean, and the standard deviation of the logarithm."""

    mean_tokens: float
    sigma: float = 0.0

    def tokens(self, prompt: str, seed: int) -> int:
        """How long the answer to this prompt is, at least one token."""
        median = self.mean_tokens * math.exp(-(self.sigma**2) / 2)
        return max(1, round(median * math.exp(self.sigma * quantile_of(prompt, seed))))


def quantile_of(prompt: str, seed: int) -> float:
    """A standard normal number that follows from prompt and seed."""
    digest = hashlib.blake2b(f"{seed}\x1f{prompt}".encode(), digest_size=8).digest()
    return NormalDist().inv_cdf((int.from_bytes(digest, "little") + 0.5) / 2**64)
