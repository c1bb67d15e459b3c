"""Every method on every workload, and how far each is from the truth."""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import repeat
from multiprocessing import get_context
from typing import Final

from ...exchange import Energy
from ...metering.bounds import SENSOR_GAIN_LIMIT
from ...units import Joules, Seconds
from .methods import METHODS
from .replay import Outcome
from .trace import Served, Trace
from .workloads import Workload
from .world import START, World

WARM_SECONDS: Final[Seconds] = 60.0
"""Requests that begin earlier are not judged: nothing is known of the engine then."""
SEEDS: Final = tuple(range(11, 51))
"""Nothing was ever tuned on these; a workload takes as many as it has draws."""
QUICK_SEEDS: Final = (11,)
QUICK_SHARE: Final = 0.5
"""Of a workload's time."""


@dataclass(slots=True)
class Score:
    """One method on one workload, over all seeds. Errors are relative, and one per request."""

    errors: list[float] = field(default_factory=list)
    half_widths: list[float] = field(default_factory=list)
    held: float = 0.0
    """How many of the truths lay within the bounds, on the mean over all gains that a sensor may have."""
    charged: Joules = 0.0
    true: Joules = 0.0
    residual: float | None = None
    """Of conservation, the worst run; None for methods that have no accounts."""

    @property
    def median(self) -> float:
        """Of the errors."""
        return quantile(self.errors, 0.5)

    @property
    def p95(self) -> float:
        """Of the errors."""
        return quantile(self.errors, 0.95)

    @property
    def coverage(self) -> float | None:
        """The share of requests whose truth is within `low` to `high`; None for methods without bounds."""
        return self.held / len(self.half_widths) if self.half_widths else None

    @property
    def half_width(self) -> float | None:
        """The median of half the distance between the bounds, relative to the figure."""
        return quantile(self.half_widths, 0.5) if self.half_widths else None

    @property
    def shift(self) -> float:
        """By how much all charges together are off."""
        return self.charged / self.true - 1.0

    def judge(self, trace: Trace, since: Seconds, charges: dict[str, Joules], outcome: Outcome | None) -> None:
        """Hold one run against its truth."""
        for served in trace.judged(since):
            self.errors.append(abs(charges[served.name] / served.truth - 1.0))
            self.charged += charges[served.name]
            self.true += served.truth
            if outcome is not None:
                self._judge_bounds(outcome.energies[served.name], served)
        if outcome is not None:
            self.residual = max(self.residual or 0.0, outcome.residual)

    def add(self, other: Score) -> None:
        """Join what other runs gave."""
        self.errors += other.errors
        self.half_widths += other.half_widths
        self.held += other.held
        self.charged += other.charged
        self.true += other.true
        if other.residual is not None:
            self.residual = max(self.residual or 0.0, other.residual)

    def _judge_bounds(self, energy: Energy, served: Served) -> None:
        if energy.joules and energy.low is not None and energy.high is not None:
            self.half_widths.append((energy.high - energy.joules) / energy.joules)
            self.held += gain_share(energy.low, energy.high, served.truth)


def gain_share(low: Joules, high: Joules, truth: Joules) -> float:
    """Over all gains that a card's sensor may have, how often the bounds hold the truth.

    Whatever a sensor's gain is, every charge and every bound is proportional to it: no run per gain is needed.
    """
    least, most = 1.0 - SENSOR_GAIN_LIMIT, 1.0 + SENSOR_GAIN_LIMIT
    begin = max(least, truth / high)
    end = most if low <= 0.0 else min(most, truth / low)
    return max(0.0, end - begin) / (most - least)


@dataclass(slots=True)
class Row:
    """One workload."""

    workload: Workload
    requests: int = 0
    scores: dict[str, Score] = field(default_factory=dict)
    learned: list[tuple[Seconds, float]] = field(default_factory=list)
    """Of the first seed: seconds since the start, and how far off the ratio of prompt to step still is, as a factor."""
    seeds: Sequence[int] = ()

    def add(self, other: Row) -> None:
        """Join another run of the same workload."""
        self.requests += other.requests
        self.seeds = (*self.seeds, *other.seeds)
        self.learned = self.learned or other.learned
        for name, score in other.scores.items():
            self.scores.setdefault(name, Score()).add(score)


@dataclass(slots=True)
class Study:
    """The whole table."""

    rows: list[Row]
    took_seconds: Seconds


def run_study(workloads: Sequence[Workload], *, is_quick: bool, say: Callable[[str], None]) -> Study:
    """Run them all, as many runs at once as there are cores; each depends on its seed alone."""
    began = time.perf_counter()
    runs = [(workload, seed) for workload in workloads for seed in (QUICK_SEEDS if is_quick else SEEDS[: workload.draws])]
    rows = [Row(workload) for workload in workloads]
    left = Counter(workload.name for workload, _ in runs)
    share = QUICK_SHARE if is_quick else 1.0
    with ProcessPoolExecutor(min(len(runs), len(os.sched_getaffinity(0))), mp_context=get_context("spawn")) as pool:
        for found in pool.map(_run, *zip(*runs, strict=True), repeat(share)):
            row = next(row for row in rows if row.workload.name == found.workload.name)
            row.add(found)
            left[row.workload.name] -= 1
            if not left[row.workload.name]:
                fitted = row.scores["fitted"]
                say(f"{row.workload.name}: {row.requests} requests, fitted {fitted.median:.1%} / {fitted.p95:.1%}")
    return Study(rows, time.perf_counter() - began)


def _run(workload: Workload, seed: int, share: float) -> Row:
    """One run of a workload, by every method."""
    plan = replace(workload.plan, seconds=share * workload.plan.seconds)
    since = START + min(WARM_SECONDS, plan.seconds / 2)
    trace = World(plan, seed).run()
    row = Row(workload, len(trace.judged(since)), seeds=(seed,))
    for method in METHODS:
        charges, outcome = method.run(trace)
        row.scores[method.name] = score = Score()
        score.judge(trace, since, charges, outcome)
        if method.name == "fitted" and outcome is not None:
            row.learned = list(_learning(trace, outcome))
    return row


def _learning(trace: Trace, outcome: Outcome) -> Iterator[tuple[Seconds, float]]:
    truth = trace.engines[0].coefficients
    true_ratio = truth.joules_per_prompt_token / truth.fixed_joules_per_step
    for at, found in outcome.learned:
        yield at - START, found.joules_per_prompt_token / found.fixed_joules_per_step / true_ratio


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which a share of the values lies; NaN where there are none."""
    return sorted(values)[int(share * (len(values) - 1))] if values else math.nan
