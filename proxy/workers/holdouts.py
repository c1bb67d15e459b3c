"""The holdouts of all workers, as one: each asks the other arm for a sample of its own requests."""

from __future__ import annotations

from functools import reduce
from itertools import chain

from jevons.policies.policy import Facts

from ..exchange import Record, Request, Target, Tier
from ..holdout import Holdout, Pair, PairSums, Saving, measure_saving
from .messages import Sampled


class Holdouts(Holdout):
    """Adds up what workers say; asks nobody itself."""

    def __init__(self, share: float) -> None:
        super().__init__(facts=Facts, ask=_nobody, find=lambda *_: None)
        self.share = share
        self._said: dict[int, Sampled] = {}
        self._gone_requests = 0
        self._gone_joules = 0.0
        self._gone_sums = PairSums()
        self._gone_pairs: list[Pair] = []

    def take(self, member: int, sampled: Sampled) -> None:
        """What one worker has found so far."""
        self._said[member] = sampled
        self._sum_up()

    def leave(self, member: int) -> None:
        """A worker is gone; what it found stays."""
        said = self._said.pop(member, None)
        if said is not None:
            self._gone_requests += said.requests
            self._gone_joules += said.joules
            self._gone_sums = self._gone_sums.plus(said.sums)
            self._gone_pairs += _pairs(said)

    def _sum_up(self) -> None:
        self.requests = self._gone_requests + sum(said.requests for said in self._said.values())
        self.joules = self._gone_joules + sum(said.joules for said in self._said.values())
        self.sums = reduce(PairSums.plus, (said.sums for said in self._said.values()), self._gone_sums)

    @property
    def saving(self) -> Saving:
        """What routing has saved, measured on all pairs that are kept."""
        return measure_saving([*self._gone_pairs, *chain.from_iterable(map(_pairs, self._said.values()))])


def _pairs(said: Sampled) -> list[Pair]:
    return [Pair(Tier(routed), own, other) for routed, own, other in said.pairs]


async def _nobody(request: Request, target: Target, of: str) -> Record:
    del target, of
    raise RuntimeError(f"the owner of the devices was to ask for {request.id}")
