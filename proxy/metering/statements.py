"""Work goes up, prices come down: what several processes tell each other of one bin.

The owner of the devices calls for bins that its counters cover; each worker states what its accounts have done in them; the
owner divides the energy, and what a bin has cost goes down to all workers, each of which charges its own accounts. Predicted
joules are stated as each worker weighs them, so that what it charges is price x what it stated, to the last bit.
"""

from __future__ import annotations

import msgspec

from ..units import Joules, Seconds
from .account import Quantities
from .bypass import Done, Seen
from .settlement import Bill, Weights


class Due(msgspec.Struct, frozen=True, array_like=True):
    """Engines that settle together, and the last bin up to which their devices' counters tell."""

    engines: tuple[str, ...]
    until: int


class Stated(msgspec.Struct, frozen=True, array_like=True):
    """What one worker's accounts at one engine have done in one bin."""

    engine: str
    index: int
    base: Joules
    fixed: Joules
    context: Joules
    prompt: Joules
    work: tuple[float, float, float, float, float]
    """The fields of `Quantities`."""
    unseen: Joules
    late: float
    variance: float
    steepest: Joules
    held: Seconds
    """How long they were in flight, times their sequences, where they have shown no work."""


class Sight(msgspec.Struct, frozen=True, array_like=True):
    """What one worker knows of one engine now: its tokens, and how fast it has seen the engine work."""

    engine: str
    is_open: bool
    """Whether anything is in flight or not settled."""
    done: tuple[float, float, float, float, float]
    """Tokens of attempts that are over, as in `Done`."""
    seen: tuple[float, float, float, float, float, float, float]
    """Tokens of those in flight, as in `Seen`."""
    tokens_per_second: float
    tokens_per_chunk: float
    steps_per_chunk: int
    fresh_share: float
    length_doubt_share: float
    is_learned: bool
    """Whether these rates come of anything that was seen."""


class Statement(msgspec.Struct, frozen=True, array_like=True):
    """The answer to a call. `reached`: by engine, the first bin that has not been stated."""

    reached: dict[str, int]
    stated: tuple[Stated, ...]
    sights: tuple[Sight, ...]
    at: Seconds


class Model(msgspec.Struct, frozen=True, array_like=True):
    """An engine's energy model as the owner has learned it: coefficients, and the covariance of their relative errors."""

    coefficients: tuple[float, float, float, float]
    covariance: tuple[tuple[float, ...], ...]
    is_estimated: bool
    late_share: float = 0.0
    """As of `BypassWork`."""


class Settled(msgspec.Struct, frozen=True, array_like=True):
    """What the work of one engine in one bin has cost, whoever asked for it: the fields of `Bill` that charging takes."""

    engine: str
    index: int
    is_held: bool
    """Nobody has shown work: who was in flight pays by time."""
    price: float
    correction: float
    spread: float
    rivalry: float
    base: Joules
    fixed: Joules
    context: Joules
    prompt: Joules
    unseen: Joules
    late: float
    bypass: Joules
    steps_share: float
    """Of our steps, the part that is ours: others were decoded in them too."""
    flags: tuple[str, ...]
    is_known: bool
    known_since: Seconds
    busy_seconds: Seconds
    model: Model


def state(bill: Bill, index: int, held: Seconds) -> Stated:
    """A worker's bill, as it is told."""
    total, work = bill.total, bill.work
    return Stated(
        bill.engine.name,
        index,
        total.base,
        total.fixed,
        total.context,
        total.prompt,
        (work.steps, work.tokens, work.context, work.prompt, work.late),
        bill.unseen,
        bill.late,
        bill.unsure.variance,
        bill.unsure.steepest,
        held,
    )


def take_stated(bill: Bill, stated: Stated, *, is_lost: bool) -> None:
    """Add what a worker has stated to the whole. Of one that is gone nothing can be corrected any more."""
    bill.total.add(Weights(stated.base, stated.fixed, stated.context, stated.prompt))
    bill.work.absorb(Quantities(*stated.work))
    bill.late += stated.late
    if is_lost:
        return
    bill.unseen += stated.unseen
    bill.unsure.variance += stated.variance
    bill.unsure.steepest = max(bill.unsure.steepest, stated.steepest)


def settled(bill: Bill, index: int, steps_share: float, *, is_held: bool, model: Model) -> Settled:
    """What a bill that has its price tells everybody."""
    return Settled(
        bill.engine.name,
        index,
        is_held,
        bill.price,
        bill.correction,
        bill.spread,
        bill.rivalry,
        bill.total.base,
        bill.total.fixed,
        bill.total.context,
        bill.total.prompt,
        bill.unseen,
        bill.late,
        bill.bypass.base,
        steps_share,
        tuple(sorted(bill.flags)),
        bill.is_known,
        bill.known_since,
        bill.busy_seconds,
        model,
    )


def take_settled(bill: Bill, told: Settled) -> None:
    """Let a worker's own bill cost what the whole has cost: shares are of the whole, entries are its own."""
    bill.total = Weights(told.base, told.fixed, told.context, told.prompt)
    bill.unseen, bill.late, bill.bypass.base = told.unseen, told.late, told.bypass
    bill.price, bill.correction, bill.spread, bill.rivalry = told.price, told.correction, told.spread, told.rivalry
    bill.flags, bill.is_known = set(told.flags), told.is_known
    bill.known_since, bill.busy_seconds = told.known_since, told.busy_seconds
    if told.steps_share != 1.0:
        others = 1.0 - told.steps_share
        bill.entries = [
            (account, base - fixed * others, fixed * told.steps_share, context, prompt)
            for account, base, fixed, context, prompt in bill.entries
        ]


def add_done(one: Done, other: tuple[float, float, float, float, float]) -> None:
    """Count what another process has done, too."""
    one.prompt += other[0]
    one.fresh += other[1]
    one.output += other[2]
    one.prompt_unseen += other[3]
    one.output_unseen += other[4]


def sum_seen(seen: list[Seen]) -> tuple[float, float, float, float, float, float, float]:
    """Tokens in flight, all together; doubts are independent."""
    return (
        sum(one.prompt for one in seen),
        sum(one.fresh for one in seen),
        sum(one.output for one in seen),
        sum(one.prompt_doubt**2 for one in seen) ** 0.5,
        sum(one.output_doubt**2 for one in seen) ** 0.5,
        sum(one.prompt_unseen for one in seen),
        sum(one.output_unseen for one in seen),
    )
