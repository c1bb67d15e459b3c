"""The account of one attempt: the work it has done, bin by bin, and the joules it has been charged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..exchange import Coefficients
from ..units import Joules, Seconds
from .bins import spread


@dataclass(slots=True)
class Quantities:
    """Work in the four units of the energy model. `steps` counts this account's share of engine steps: 1/N for each of N."""

    steps: float = 0.0
    tokens: float = 0.0
    context: float = 0.0
    """Sum over its tokens of the context each was decoded at."""
    prompt: float = 0.0
    held_seconds: float = 0.0
    """Time in flight with nothing else to show: pays only where nobody has anything to show."""

    def add(self, other: Quantities, share: float = 1.0) -> None:
        """Add a share of other work."""
        self.steps += other.steps * share
        self.tokens += other.tokens * share
        self.context += other.context * share
        self.prompt += other.prompt * share

    def fixed_joules(self, coefficients: Coefficients) -> Joules:
        """Predicted joules of the fixed part."""
        return self.steps * coefficients.fixed_joules_per_step

    def prompt_joules(self, coefficients: Coefficients) -> Joules:
        """Predicted joules of the prompt part."""
        return self.prompt * coefficients.joules_per_prompt_token

    def joules(self, coefficients: Coefficients) -> Joules:
        """Predicted joules: `F x steps + c_d x tokens + c_kv x context + c_p x prompt`."""
        return (
            self.fixed_joules(coefficients)
            + self.prompt_joules(coefficients)
            + self.tokens * coefficients.joules_per_token
            + self.context * coefficients.joules_per_context_token
        )


@dataclass(slots=True)
class Charge:
    """Joules charged so far, and what they would have been under a larger F or c_p: the spread gives the bounds."""

    joules: Joules = 0.0
    with_more_fixed: Joules = 0.0
    with_more_prompt: Joules = 0.0


@dataclass(slots=True, eq=False)
class Account:
    """One attempt at one engine. Work of bins that have settled already goes into the oldest open one."""

    width: Seconds
    started: Seconds
    sequences: int
    charge: Charge = field(default_factory=Charge)
    settled: Quantities = field(default_factory=Quantities)
    """Work already charged."""
    bins: dict[int, Quantities] = field(default_factory=dict)
    flags: set[str] = field(default_factory=set)
    ended: Seconds | None = None
    is_final: bool = False
    is_known: bool = True
    """False once a bin with its work settled without any reading of a device: then the total is unknown."""
    when_final: list[Callable[[], None]] = field(default_factory=list)

    def deposit(self, begin: Seconds, end: Seconds, work: Quantities, oldest_open: int) -> None:
        """Spread work evenly over the time from `begin` to `end`."""
        for index, share in spread(begin, end, self.width):
            self.bin(max(index, oldest_open)).add(work, share)

    def bin(self, index: int) -> Quantities:
        """The work in one bin, made when there is none."""
        quantities = self.bins.get(index)
        if quantities is None:
            quantities = self.bins[index] = Quantities()
        return quantities

    def take(self, index: int) -> Quantities | None:
        """One bin's work, to be charged; it counts as settled from then on."""
        quantities = self.bins.pop(index, None)
        if quantities is not None:
            self.settled.add(quantities)
        return quantities

    def open_work(self) -> Quantities:
        """All the work that is not charged yet."""
        total = Quantities()
        for quantities in self.bins.values():
            total.add(quantities)
        return total

    def held_seconds(self, index: int, until: Seconds) -> Seconds:
        """How long it was in flight within one bin."""
        begin = max(self.started, index * self.width)
        end = min(self.ended if self.ended is not None else until, (index + 1) * self.width)
        return max(0.0, end - begin)
