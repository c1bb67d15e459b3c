"""The account of one attempt: the work it has done, bin by bin, and the joules it has been charged."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..exchange import Coefficients, Energy
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
    late: float = 0.0
    """Prompt tokens that were read in bins which have settled; negative where too many were paid for there."""

    def add(self, other: Quantities, share: float = 1.0) -> None:
        """Add a share of other work."""
        self.steps += other.steps * share
        self.tokens += other.tokens * share
        self.context += other.context * share
        self.prompt += other.prompt * share
        self.late += other.late * share

    def absorb(self, other: Quantities) -> None:
        """Add all of other work."""
        self.steps += other.steps
        self.tokens += other.tokens
        self.context += other.context
        self.prompt += other.prompt
        self.late += other.late

    def fixed_joules(self, coefficients: Coefficients) -> Joules:
        """Predicted joules of the fixed part."""
        return self.steps * coefficients.fixed_joules_per_step

    def prompt_joules(self, coefficients: Coefficients) -> Joules:
        """Predicted joules of the prompt part."""
        return (self.prompt + self.late) * coefficients.joules_per_prompt_token

    def context_joules(self, coefficients: Coefficients) -> Joules:
        """Predicted joules of the context part."""
        return self.context * coefficients.joules_per_context_token

    def joules(self, coefficients: Coefficients) -> Joules:
        """Predicted joules: `F x steps + c_d x tokens + c_kv x context + c_p x prompt`."""
        return (
            self.steps * coefficients.fixed_joules_per_step
            + (self.prompt + self.late) * coefficients.joules_per_prompt_token
            + self.tokens * coefficients.joules_per_token
            + self.context * coefficients.joules_per_context_token
        )


def total_of(works: Iterable[Quantities]) -> Quantities:
    """The sum of all works. Of every account in every bin, and hence written out in local names."""
    steps = tokens = context = prompt = late = 0.0
    for work in works:
        steps += work.steps
        tokens += work.tokens
        context += work.context
        prompt += work.prompt
        late += work.late
    return Quantities(steps, tokens, context, prompt, late)


@dataclass(slots=True)
class Charge:
    """Joules charged so far, and how they hang on what is not sure: by so much they change per relative change of it."""

    joules: Joules = 0.0
    by_fixed: Joules = 0.0
    """Of F."""
    by_context: Joules = 0.0
    """Of c_kv."""
    by_prompt: Joules = 0.0
    """Of c_p."""
    beside_unseen: Joules = 0.0
    """Of `joules`, as much as hangs on tokens that were expected in the same bins and not seen."""
    scatter: float = 0.0
    """The variance that single bins' prices leave in `joules`."""
    beside_rivals: Joules = 0.0
    """By how much `joules` may be off since this engine's work and that of others on the device compare otherwise."""
    beside_bypass: Joules = 0.0
    """Of `joules`, as much as hangs on what others were found to have done in the same bins."""


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
    final_energy: Energy | None = None
    """What was first said of it when it was final: what is learned later changes no bounds."""
    is_known: bool = True
    """False once a bin with its work settled without any reading of a device: then the total is unknown."""
    when_final: list[Callable[[], None]] = field(default_factory=list)
    prompt_doubt: float = 0.0
    """How far, relative, its prompt's expected work may be off; 0 once the server has counted it."""
    is_seen: bool = True
    """Whether its tokens are seen as they arrive, and not only expected."""
    output: int | None = None
    """The tokens of its answers, as the server counted them."""
    most_output: float = math.inf
    """The tokens of each of them, at most, where the request says it."""

    def deposit(self, begin: Seconds, end: Seconds, work: Quantities, oldest_open: int) -> None:
        """Spread work evenly over the time from `begin` to `end`; it is given away, and may become the work of a bin."""
        index = int(end // self.width)
        if int(begin // self.width) >= index >= oldest_open:
            quantities = self.bins.setdefault(index, work)
            if quantities is not work:
                quantities.absorb(work)
            return
        for index, share in spread(begin, end, self.width):
            quantities = self.bin(max(index, oldest_open))
            quantities.add(work, share)
            if index < oldest_open and work.prompt:
                quantities.prompt -= work.prompt * share
                quantities.late += work.prompt * share

    def decode(self, index: int, steps: float, tokens: float, context: float) -> None:
        """Put decoded tokens into one bin that is open."""
        quantities = self.bins.get(index)
        if quantities is None:
            self.bins[index] = Quantities(steps, tokens, context)
        else:
            quantities.steps += steps
            quantities.tokens += tokens
            quantities.context += context

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
            self.settled.absorb(quantities)
        return quantities

    def open_work(self) -> Quantities:
        """All the work that is not charged yet."""
        return total_of(self.bins.values())

    def seconds_in_flight(self, begin: Seconds, end: Seconds) -> Seconds:
        """How long it was in flight between two times."""
        until = end if self.ended is None else min(self.ended, end)
        return max(0.0, until - max(self.started, begin))
