"""The methods that are compared: four ways in use elsewhere, and ours from three starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ...metering.coefficients import prior
from ...metering.fitting import TABLE_DOUBT, Fit
from ...units import Joules
from .baselines import all_token_share, output_token_share, start_end_delta, wall_time_share
from .replay import Outcome, Replay
from .trace import EngineFacts, Trace
from .world import GPU, MODEL


@dataclass(frozen=True, slots=True)
class Method:
    """One column of the table."""

    name: str
    title: str
    is_ours: bool
    run: Callable[[Trace], tuple[dict[str, Joules], Outcome | None]]
    """Gives the charge of every request, and for ours all that came of it."""


def _baseline(charge: Callable[[Trace], dict[str, Joules]]) -> Callable[[Trace], tuple[dict[str, Joules], Outcome | None]]:
    return lambda trace: (charge(trace), None)


def _ours(start: Callable[[EngineFacts], Fit], *, learns: bool) -> Callable[[Trace], tuple[dict[str, Joules], Outcome | None]]:
    def run(trace: Trace) -> tuple[dict[str, Joules], Outcome | None]:
        outcome = Replay(trace, {engine.name: start(engine) for engine in trace.engines}, learns=learns).run()
        return {name: outcome.joules(name) for name in outcome.energies}, outcome

    return run


def _table(engine: EngineFacts) -> Fit:
    return Fit(prior(MODEL, GPU), doubt=engine.unlike)


def _known(engine: EngineFacts) -> Fit:
    """What was calibrated, where that was done."""
    found = engine.calibrated
    return _table(engine) if found is None else Fit(found.coefficients, doubt=found.doubts)


def _truth(engine: EngineFacts) -> Fit:
    return Fit(engine.coefficients, doubt=TABLE_DOUBT)


METHODS: Final = (
    Method("start-end", "counter at end less at start", is_ours=False, run=_baseline(start_end_delta)),
    Method("wall-time", "equal shares of time", is_ours=False, run=_baseline(wall_time_share)),
    Method("output-tokens", "shares by output tokens", is_ours=False, run=_baseline(output_token_share)),
    Method("all-tokens", "shares by all tokens", is_ours=False, run=_baseline(all_token_share)),
    Method("priors", "jevons, from the table alone", is_ours=True, run=_ours(_table, learns=False)),
    Method("fitted", "jevons, as it learns", is_ours=True, run=_ours(_known, learns=True)),
    Method("true", "jevons, true coefficients", is_ours=True, run=_ours(_truth, learns=False)),
)
