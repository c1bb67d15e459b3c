"""The holdout: a sample of what was routed is asked of the other tier too, so that what routing saves is measured, not modelled.

The client has its answer already, and nothing waits for the other one: it runs behind it, a few at once, as a request of its
own whose tenant is `jevons:holdout`. Its joules are booked there and in the devices' accounts, and in no client's figure.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from jevons.policies.beyond import permitted
from jevons.policies.caller import CallerPolicy
from jevons.policies.limits import LimitsPolicy
from jevons.policies.policy import PINNED, Facts

from .exchange import EnergyStatus, Outcome, Plan, Record, Request, Target, Tier
from .units import Joules, Seconds

TENANT: Final = "jevons:holdout"
SETTLED_SECONDS: Final[Seconds] = 30.0
"""How long the energy of an arm may take to become final before the pair is given up."""
KEPT_PAIRS: Final = 2_000
LEAST_PAIRS: Final = 20
"""Before an interval is given: below it the normal approximation says nothing."""
_Z: Final = 1.959964
"""Of a 95 % interval."""
_STEP_SECONDS: Final[Seconds] = 0.1


class Nobody:
    """Whom the other arm's answer is for. Keeps the `Downstream` protocol of the request path."""

    is_full = False

    def __init__(self) -> None:
        self.has_started = False

    def put(self, data: bytes) -> None:
        """Drop it."""

    async def start(self, status: int, headers: dict[str, str]) -> None:
        """Nobody reads it."""
        del status, headers
        self.has_started = True

    async def write(self, data: bytes) -> None:
        """Drop it."""

    async def finish(self) -> None:
        """It has ended."""

    def abort(self) -> None:
        """It has broken off."""

    async def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Drop it."""
        del status, headers, body
        self.has_started = True


@dataclass(frozen=True, slots=True)
class Pair:
    """One request, as it was routed and as the other tier took it."""

    routed: Tier
    own: Joules
    other: Joules

    @property
    def reasoning(self) -> Joules:
        """What reasoning took."""
        return self.own if self.routed is Tier.REASONING else self.other


@dataclass(frozen=True, slots=True)
class PairSums:
    """Of all pairs so far, those that are no longer kept among them."""

    pairs: int = 0
    routed: Joules = 0.0
    reasoning: Joules = 0.0

    def plus(self, other: PairSums) -> PairSums:
        """Both together."""
        return PairSums(self.pairs + other.pairs, self.routed + other.routed, self.reasoning + other.reasoning)


@dataclass(frozen=True, slots=True)
class Saving:
    """The share of joules saved against always reasoning, with its 95 % interval; None where too little is known."""

    pairs: int
    value: float | None = None
    low: float | None = None
    high: float | None = None

    def as_json(self) -> dict[str, float | None]:
        """As `/healthz` gives it."""
        return {"pairs": self.pairs, "value": self.value, "low": self.low, "high": self.high}


def measure_saving(pairs: Sequence[Pair]) -> Saving:
    """One minus the ratio of sums, own over reasoning; the interval by the ratio estimator's linearised variance.

    Cochran, Sampling Techniques, 3rd ed., section 6.3: var(R) = sum of (own - R x reasoning)^2 / (n (n - 1) mean(reasoning)^2).
    """
    count = len(pairs)
    reasoning = sum(pair.reasoning for pair in pairs)
    if count == 0 or reasoning <= 0.0:
        return Saving(count)
    ratio = sum(pair.own for pair in pairs) / reasoning
    if count < LEAST_PAIRS:
        return Saving(count, 1.0 - ratio)
    squares = math.fsum((pair.own - ratio * pair.reasoning) ** 2 for pair in pairs)
    error = math.sqrt(squares / (count * (count - 1))) / (reasoning / count)
    return Saving(count, 1.0 - ratio, 1.0 - ratio - _Z * error, 1.0 - ratio + _Z * error)


class Holdout:
    """Draws the sample, runs the other arm, keeps the pairs. `async with` the loop's end: `close` stops what runs."""

    def __init__(
        self,
        *,
        facts: Callable[[], Facts],
        ask: Callable[[Request, Target, str], Awaitable[Record]],
        find: Callable[[str, str], Record | None],
        draw: Callable[[], float] | None = None,
    ) -> None:
        self.share = 0.0
        """Of routed requests; 0 draws none."""
        self.at_once = 1
        self.joules: Joules = 0.0
        """What it has consumed so far, as far as it is known."""
        self.requests = 0
        self.sums = PairSums()
        self._facts = facts
        self._ask = ask
        self._find = find
        self._draw = draw or random.SystemRandom().random
        self._limits = LimitsPolicy()
        self._pairs: deque[Pair] = deque(maxlen=KEPT_PAIRS)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pairs(self) -> Sequence[Pair]:
        """Those that are kept."""
        return tuple(self._pairs)

    @property
    def saving(self) -> Saving:
        """What routing has saved, measured on the pairs that are kept."""
        return measure_saving(self._pairs)

    def offer(self, request: Request, plan: Plan) -> None:
        """A client has its answer. Where the request is drawn, its other arm begins; what its caller decided never is."""
        decisive = plan.decisive
        is_callers = plan.decision == PINNED or (decisive is not None and decisive.policy == CallerPolicy.name)
        if request.models is not None:
            return  # its key is not for every upstream
        if is_callers or len(self._tasks) >= self.at_once or self._draw() >= self.share:
            return
        if _is_escalated(self._find(request.id, request.tenant)):
            self._begin(self._pair_escalated(request))
            return
        routed = plan.candidates[0].tier
        target = permitted(request, self._facts()).tier_target(Tier.DIRECT if routed is Tier.REASONING else Tier.REASONING)
        if target is None or not request.endpoint.generates or not self._fits(request, target):
            return
        self.requests += 1
        self._begin(self._run(request, routed, target))

    async def close(self) -> None:
        """Stop what runs, and with it the work at the upstreams."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="holdout")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _fits(self, request: Request, target: Target) -> bool:
        asked = Plan((target,), decision=PINNED)
        return isinstance(self._limits.decide(request, asked, self._facts()), Plan)

    async def _run(self, request: Request, routed: Tier, target: Target) -> None:
        arm = replace(request, id=f"hold_{os.urandom(16).hex()}", tenant=TENANT, client_request_id=None, waits_for_energy=False)
        record = await self._ask(arm, target, request.id)
        other = _joules(record)
        self.joules += other or 0.0
        own = await self._own_record(request)
        if own is not None and record.outcome == "ok":
            self._keep(routed, _joules(own), other)

    async def _pair_escalated(self, request: Request) -> None:
        """A direct answer would not do and reasoning gave another: both arms have run, and always reasoning spares the first."""
        own = await self._own_record(request)
        if own is not None and own.attempts[-1].outcome is Outcome.OK:
            self._keep(Tier.DIRECT, _joules(own), own.attempts[-1].energy.joules)

    def _keep(self, routed: Tier, own: Joules | None, other: Joules | None) -> None:
        if own is not None and other is not None:
            pair = Pair(routed, own, other)
            self._pairs.append(pair)
            self.sums = self.sums.plus(PairSums(1, pair.own, pair.reasoning))

    async def _own_record(self, request: Request) -> Record | None:
        """That of the client's request, once its energy is final."""
        for _ in range(int(SETTLED_SECONDS / _STEP_SECONDS)):
            record = self._find(request.id, request.tenant)
            if record is None or (record.outcome is not None and record.energy.status is EnergyStatus.FINAL):
                return record
            await asyncio.sleep(_STEP_SECONDS)
        return None


def _is_escalated(record: Record | None) -> bool:
    """Whether an answer was refused, so that reasoning was asked: no try else ends so."""
    return record is not None and any(attempt.outcome is Outcome.REJECTED for attempt in record.attempts)


def _joules(record: Record) -> Joules | None:
    return record.energy.joules if record.energy.status is EnergyStatus.FINAL else None
