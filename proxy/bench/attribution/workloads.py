"""What is asked of the engines, and what their sensors get wrong: the rows of the table."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from ...metering.coefficients import LISTED_DOUBT
from ...simulation.scheduler import Speculation
from .sensor import SensorPlan
from .trace import Job
from .world import UNLIKE, Clients, EnginePlan, Jobs, Plan

ESTIMATE_DOUBT: Final = 0.2
"""A proxy knows a prompt's tokens before its usage to within so much, relative: lengths in characters tell no more."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One row."""

    name: str
    title: str
    plan: Plan
    draws: int = 20
    """Runs, each with engines of its own: more where a whole run stands and falls with how they were drawn."""


def mixed(dice: random.Random) -> Iterator[Job]:
    """Chat of mixed lengths: prompts up to 1,500 tokens, answers around 150 with a long tail up to 1,200."""
    while True:
        yield Job(dice.randint(20, 1500), int(min(1200, max(8, dice.lognormvariate(5.0, 1.0)))), estimate=_estimate(dice))


def short(dice: random.Random) -> Iterator[Job]:
    """Short questions with short answers: 20 to 800 tokens in, 5 to 40 out."""
    while True:
        yield Job(dice.randint(20, 800), dice.randint(5, 40), estimate=_estimate(dice))


def long_context(dice: random.Random) -> Iterator[Job]:
    """Documents of 2,000 to 12,000 tokens with answers of 100 to 600, half of them with four fifths of the prompt cached."""
    while True:
        prompt = dice.randint(2000, 12000)
        cached = prompt * 4 // 5 if _happens(dice, 1 / 2) else 0
        yield Job(prompt, dice.randint(100, 600), cached_tokens=cached, estimate=_estimate(dice))


def parallel(dice: random.Random) -> Iterator[Job]:
    """Mixed chat, every fourth request with `n: 4`."""
    for job in mixed(dice):
        yield replace(job, sequences=4 if _happens(dice, 1 / 4) else 1)


def leaving(dice: random.Random) -> Iterator[Job]:
    """Mixed chat, of whose clients every fifth leaves in the middle of the answer."""
    for job in mixed(dice):
        yield replace(job, leaves_after=dice.randint(1, job.output_tokens - 1) if _happens(dice, 1 / 5) else None)


def buffered(share: float) -> Jobs:
    """Mixed chat, a share of which is not streamed."""
    return partial(_buffered, share)


def _buffered(share: float, dice: random.Random) -> Iterator[Job]:
    for job in mixed(dice):
        yield replace(job, is_streamed=not _happens(dice, share))


def _happens(dice: random.Random, chance: float) -> bool:
    return dice.random() < chance


def _estimate(dice: random.Random) -> float:
    return dice.uniform(1 - ESTIMATE_DOUBT, 1 + ESTIMATE_DOUBT)


def _clients(jobs: Jobs, concurrency: int, *, engine: int = 0, think_seconds: float = 0.0) -> tuple[Clients, ...]:
    return (Clients(jobs, concurrency, think_seconds, engine),)


_MIXED: Final = Plan(_clients(mixed, 16))


def _varied(name: str, title: str, change: Callable[[Plan], Plan]) -> Workload:
    return Workload(name, title, change(_MIXED))


WORKLOADS: Final = (
    Workload("mixed", "16 concurrent streams, mixed lengths", _MIXED),
    _varied(
        "listed",
        "the same, by a model that is in the table",
        lambda plan: replace(plan, engines=(EnginePlan(unlike=(LISTED_DOUBT, LISTED_DOUBT, UNLIKE, UNLIKE)),)),
    ),
    _varied(
        "calibrated",
        "the first again, calibrated before (jevons calibrate)",
        lambda plan: replace(plan, engines=(EnginePlan(is_calibrated=True),)),
    ),
    Workload("short", "10 concurrent streams, short answers", Plan(_clients(short, 10))),
    Workload("single", "one client, pausing 1 s between requests", Plan(_clients(mixed, 1, think_seconds=1.0), seconds=600.0)),
    Workload("crowd", "64 concurrent streams, mixed lengths", Plan(_clients(mixed, 64), seconds=90.0)),
    Workload("sparse", "4 clients that pause 5 s, mixed lengths", Plan(_clients(mixed, 4, think_seconds=5.0), seconds=400.0)),
    Workload("long", "8 concurrent, prompts of 2,000 to 12,000 tokens", Plan(_clients(long_context, 8))),
    Workload("parallel", "8 concurrent, every fourth asks for four answers", Plan(_clients(parallel, 8))),
    Workload("leaving", "16 concurrent, every fifth client leaves early", Plan(_clients(leaving, 16))),
    Workload("buffered", "16 concurrent, half of them not streamed", Plan(_clients(buffered(0.5), 16))),
    Workload("unstreamed", "16 concurrent, none streamed", Plan(_clients(buffered(1.0), 16))),
    _varied(
        "merged", "the server puts 5 tokens into an event", lambda plan: replace(plan, engines=(EnginePlan(tokens_per_chunk=5),))
    ),
    _varied(
        "speculative",
        "speculative decoding, 3 guesses a step, 70 % right",
        lambda plan: replace(plan, engines=(EnginePlan(speculation=Speculation(3, 0.7)),)),
    ),
    _varied("tensor-parallel", "one engine over 4 GPUs", lambda plan: replace(plan, engines=(EnginePlan((0, 1, 2, 3)),), gpus=4)),
    Workload(
        "shared",
        "two engines on one GPU, 8 concurrent each",
        Plan((*_clients(mixed, 8), *_clients(mixed, 8, engine=1)), engines=(EnginePlan(), EnginePlan())),
        draws=40,
    ),
    Workload(
        "shared-calibrated",
        "the same two, each calibrated before (jevons calibrate)",
        Plan(
            (*_clients(mixed, 8), *_clients(mixed, 8, engine=1)),
            engines=(EnginePlan(is_calibrated=True), EnginePlan(is_calibrated=True)),
        ),
        draws=40,
    ),
    Workload(
        "shared-pausing",
        "two engines on one GPU, 4 clients each that pause 5 s",
        Plan(
            (*_clients(mixed, 4, think_seconds=5.0), *_clients(mixed, 4, engine=1, think_seconds=5.0)),
            engines=(EnginePlan(), EnginePlan()),
            seconds=300.0,
        ),
    ),
    Workload(
        "bypass",
        "16 concurrent, and 7 clients past the proxy",
        Plan((*_clients(mixed, 16), Clients(mixed, 7, is_bypass=True))),
    ),
    _varied("drift", "power drifts up by 10 % over minutes", lambda plan: replace(plan, drift=0.1)),
    _varied(
        "duty",
        "a sensor that looks 25 ms in every 100 ms",
        lambda plan: replace(plan, sensor=SensorPlan(duty=0.25, lag_seconds=0.0)),
    ),
    _varied(
        "quick-counter", "a counter that moves every 20 ms", lambda plan: replace(plan, sensor=SensorPlan(period_seconds=0.02))
    ),
    _varied(
        "unknown-lag",
        "a counter that trails 50 ms and does not say so",
        lambda plan: replace(plan, sensor=SensorPlan(lag_seconds=0.05, knows_lag=False)),
    ),
    _varied(
        "faults",
        "30 % of the readings missing, the counter reset twice",
        lambda plan: replace(plan, sensor=SensorPlan(drops=0.3, resets=(60.0, 120.0))),
    ),
)
"""Those of the table; the first is the one that most others vary."""
