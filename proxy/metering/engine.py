"""What is known of one model server: its energy model, who is decoding on it, and the rates it has shown.

Everything here is learned from traffic that passed by; nothing is asked of the server.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..exchange import Coefficients
from ..units import Joules, Seconds
from .account import Account
from .bins import BinnedIntegral

if TYPE_CHECKING:
    from .work import Work

_LEARNING_RATE: Final = 0.1
_FEWEST_CHUNKS: Final = 8
"""A handful of chunks says more about a stream's ends than about its middle."""
_STARTING_TOKENS_PER_SECOND: Final = 30.0
"""Of one sequence, until the first is seen. It only shapes a buffered reply in time; the total is corrected at its end."""


@dataclass(slots=True)
class Learned:
    """A running average that forgets; the first thing seen replaces the starting value."""

    value: float
    seen: int = 0

    def see(self, value: float) -> None:
        """Take one more observation."""
        self.seen += 1
        self.value += max(_LEARNING_RATE, 1 / self.seen) * (value - self.value)


class Engine:
    """One upstream as the attribution sees it."""

    def __init__(self, name: str, coefficients: Coefficients, devices: tuple[str, ...], bin_seconds: Seconds) -> None:
        self.name = name
        self.coefficients = coefficients
        self.devices = devices
        self.works: dict[Work, None] = {}
        """In flight, or with unsettled bins; in order of their beginning."""
        self.waiting: OrderedDict[Account, Seconds] = OrderedDict()
        """Streamed and without a first token: they hold their bins open, the oldest first."""
        self.oldest_open = 0
        """The first bin that has not settled."""
        self.decoding = 0
        """Sequences in the decode batch."""
        self.step_share = 1.0
        """1/N: what one sequence bears of a step's fixed part."""
        self.step_shares = BinnedIntegral(bin_seconds, 1.0)
        self.price: float | None = None
        """Measured over predicted joules of the last bin with work."""
        self.busy_watts = Learned(0.0)
        self.tokens_per_chunk = Learned(1.0)
        self.tokens_per_estimate = Learned(1.0)
        """Prompt tokens as counted by the server, over our estimate from the text."""
        self.tokens_per_second = Learned(_STARTING_TOKENS_PER_SECOND)
        """Of one sequence."""

    def enter(self, sequences: int, now: Seconds) -> None:
        """Sequences join the decode batch."""
        self._resize(self.decoding + sequences, now)

    def leave(self, sequences: int, now: Seconds) -> None:
        """Sequences leave the decode batch."""
        self._resize(self.decoding - sequences, now)

    def _resize(self, decoding: int, now: Seconds) -> None:
        self.decoding = decoding
        self.step_share = 1.0 / max(1, decoding)
        self.step_shares.change(now, self.step_share)

    def seconds_of(self, joules: Joules) -> Seconds | None:
        """How long the engine takes over predicted joules of work, from the power it was last seen to draw."""
        if self.price is None or self.busy_watts.value <= 0:
            return None
        return joules * self.price / self.busy_watts.value

    def saw_chunks(self, tokens: float, chunks: float) -> None:
        """Learn how many tokens a chunk carries, from a finished stream."""
        if chunks >= _FEWEST_CHUNKS:
            self.tokens_per_chunk.see(tokens / chunks)

    def saw_prompt(self, tokens: float, estimate: float) -> None:
        """Learn how our estimate of prompt tokens relates to the server's count."""
        if tokens > 0 and estimate > 0:
            self.tokens_per_estimate.see(tokens / estimate)
