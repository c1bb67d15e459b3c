"""The engines in virtual time: closed loops of clients, steps whose energy is known to the joule, sensors that are read.

Independent of the attribution: it shares with it the vocabulary and nothing else. Engines that have a device in common take
turns, step by step; others run side by side.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import NormalDist
from typing import Final

from ...calibration.solving import Fitted
from ...exchange import Coefficients, Doubts
from ...metering.coefficients import prior
from ...metering.meter import Device
from ...observed import ServedTokens
from ...simulation.gpu import IDLE_WATTS, LIMIT_WATTS
from ...simulation.physics import LLAMA_3_1_8B, Physics
from ...simulation.prefix_cache import whole_blocks
from ...simulation.scheduler import Scheduler, Speculation, Step, Work
from ...units import Seconds
from .calibrated import calibrate_virtually
from .sensor import PowerTrace, Sensor, SensorPlan
from .trace import EngineFacts, Event, Job, Kind, Served, Trace

START: Final[Seconds] = 1000.0
LEAD_SECONDS: Final[Seconds] = 5.0
"""The readings begin so long before the first request, and go on after the last."""
TAIL_SECONDS: Final[Seconds] = 12.0
RAMP_SECONDS: Final[Seconds] = 2.0
SCRAPE_SECONDS: Final[Seconds] = 1.0
DELIVERY_SECONDS: Final[Seconds] = 0.002
"""A step's tokens reach the proxy at most so much later."""

MODEL: Final = "meta-llama/Llama-3.1-8B-Instruct"
GPU: Final = "NVIDIA H100 80GB HBM3"
UNLIKE: Final = 0.33
"""The ratio of a fixed to a token's energy, foretold for each chat row of the ML.ENERGY table by the laws through the rows of
all other models, has a logarithm off by 0.45 (standard deviation): 0.33 for each of the two terms."""
STRATA: Final = 10
"""Of ten seeds that follow on each other, the last of which ends in 0, each has another tenth of what a term may be."""

Jobs = Callable[[random.Random], Iterator[Job]]


@dataclass(frozen=True, slots=True)
class EnginePlan:
    """One model server."""

    devices: tuple[int, ...] = (0,)
    physics: Physics = LLAMA_3_1_8B
    speculation: Speculation | None = None
    tokens_per_chunk: int = 1
    """Tokens of a sequence that the server puts into one event."""
    unlike: Doubts = (UNLIKE, UNLIKE, UNLIKE, UNLIKE)
    """How unlike the physics its terms are: the standard deviation of the logarithm of each."""
    is_calibrated: bool = False
    """Whether `jevons calibrate` was run on it before, with its board to itself."""


@dataclass(frozen=True, slots=True)
class Clients:
    """A closed loop: each sends its next request a pause after its last answer."""

    jobs: Jobs
    concurrency: int
    think_seconds: Seconds = 0.0
    engine: int = 0
    is_bypass: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A world: what runs on what, who asks, how it is measured."""

    clients: tuple[Clients, ...]
    engines: tuple[EnginePlan, ...] = (EnginePlan(),)
    gpus: int = 1
    seconds: Seconds = 180.0
    """Until when new requests come."""
    step_noise: float = 0.02
    """The standard deviation of a step's energy about the law, relative."""
    drift: float = 0.0
    """By how much power rises as the card warms up, relative."""
    drift_seconds: Seconds = 60.0
    sensor: SensorPlan = field(default_factory=SensorPlan)


@dataclass(slots=True)
class _Loop:
    """One closed loop of clients as it goes."""

    plan: Clients
    jobs: Iterator[Job]


class World:
    """One run of a plan."""

    def __init__(self, plan: Plan, seed: int) -> None:
        self._plan = plan
        self._dice = random.Random(seed)  # noqa: S311 - a simulation's dice, here and below
        self.powers = [PowerTrace(IDLE_WATTS) for _ in range(plan.gpus)]
        ids = [f"GPU-{index}" for index in range(plan.gpus)]
        lag = plan.sensor.lag_seconds if plan.sensor.knows_lag else 0.0
        devices = tuple(Device(id_, "virtual (simulated)", power_limit_watts=LIMIT_WATTS, counter_lag_seconds=lag) for id_ in ids)
        begin = START - LEAD_SECONDS
        self._sensors = [
            Sensor(id_, power, plan.sensor, start=begin, dice=random.Random(self._dice.random()))  # noqa: S311
            for id_, power in zip(ids, self.powers, strict=True)
        ]
        physics = [_drawn(engine, number, seed) for number, engine in enumerate(plan.engines)]
        engines = tuple(
            EngineFacts(
                f"engine-{number}",
                tuple(ids[device] for device in engine.devices),
                own.energy,
                engine.unlike,
                _calibrated(own, plan, f"{seed} {number}") if engine.is_calibrated else None,
            )
            for number, (engine, own) in enumerate(zip(plan.engines, physics, strict=True))
        )
        self.trace = Trace(devices, engines, begin=begin)
        self._schedulers = [
            Scheduler(
                own,
                IDLE_WATTS * len(engine.devices),
                LIMIT_WATTS * len(engine.devices),
                speculation=engine.speculation,
            )
            for engine, own in zip(plan.engines, physics, strict=True)
        ]
        self._groups = _groups(plan.engines)
        self._loop_of: dict[str, _Loop] = {}
        self._loops = [_Loop(clients, clients.jobs(random.Random(self._dice.random()))) for clients in plan.clients]  # noqa: S311
        self._queue: list[tuple[Seconds, int, Callable[[Seconds], None]]] = []
        self._ties = itertools.count()
        self._owners: dict[tuple[int, int], Served] = {}
        self._left: dict[str, set[int]] = {}
        self._held: dict[tuple[int, int], int] = {}
        """Tokens of a sequence that wait for their event."""
        self._is_busy = [False] * len(plan.engines)
        """By group, under the number of its first engine."""
        self._turn = [0] * len(plan.engines)
        self._next_scrape = START

    def run(self) -> Trace:
        """Let it all happen."""
        for loop in self._loops:
            for number in range(loop.plan.concurrency):
                self._at(START + RAMP_SECONDS * number / loop.plan.concurrency, partial(self._submit, loop))
        now = START
        while self._queue:
            now, _, happen = heapq.heappop(self._queue)
            happen(now)
        self._read_until(now + TAIL_SECONDS)
        self.trace.end = now + TAIL_SECONDS
        for sensor, power in zip(self._sensors, self.powers, strict=True):
            self.trace.true_joules[sensor.device_id] = power.at(self.trace.end) - power.at(self.trace.begin)
        self.trace.events.sort(key=lambda event: event.at)
        return self.trace

    def _at(self, when: Seconds, happen: Callable[[Seconds], None]) -> None:
        heapq.heappush(self._queue, (when, next(self._ties), happen))

    def _submit(self, loop: _Loop, now: Seconds) -> None:
        if now > START + self._plan.seconds:
            return
        job, number = next(loop.jobs), loop.plan.engine
        name = f"r{len(self.trace.requests)}"
        served = Served(name, job, self.trace.engines[number].name, now, loop.plan.is_bypass)
        self.trace.requests[name] = served
        self._loop_of[name] = loop
        if not served.is_bypass:
            self.trace.events.append(Event(now, Kind.BEGIN, name))
        work = Work(job.prompt_tokens, job.output_tokens, job.cached_tokens)
        follower = replace(work, cached_tokens=max(work.cached_tokens, whole_blocks(work.prompt_tokens)))
        ids = {self._schedulers[number].submit(name, follower if index else work) for index in range(job.sequences)}
        self._left[name] = ids
        for sequence in ids:
            self._owners[number, sequence] = served
        self._wake(number, now)

    def _wake(self, engine: int, now: Seconds) -> None:
        group = self._groups[engine]
        if not self._is_busy[group[0]]:
            self._step(group, now)

    def _step(self, group: tuple[int, ...], now: Seconds) -> None:
        """Let the next engine of a group do a step, if any has work."""
        self._read_until(now)
        first, turn = group[0], self._turn[group[0]]
        order = [group[(turn + offset) % len(group)] for offset in range(1, len(group) + 1)]
        for number in order:
            step = self._schedulers[number].step()
            if step is not None:
                break
        else:
            self._is_busy[first] = False
            return
        self._is_busy[first], self._turn[first] = True, group.index(number)
        scale = self._scale(now)
        end = now + step.seconds
        devices = self._plan.engines[number].devices
        for device in devices:
            self.powers[device].draw(now, end, step.joules * scale / step.seconds / len(devices))
        for sequence, share in step.shares.items():
            self._owners[number, sequence].truth += share * scale
        self._at(end, partial(self._deliver, group, number, step))

    def _scale(self, now: Seconds) -> float:
        """A step's energy over the law's."""
        plan = self._plan
        warmth = plan.drift * -math.expm1(-(now - START) / plan.drift_seconds)
        return max(0.5, self._dice.gauss(1.0 + warmth, plan.step_noise))

    def _deliver(self, group: tuple[int, ...], number: int, step: Step, now: Seconds) -> None:
        arrival = now + self._dice.random() * DELIVERY_SECONDS
        per_chunk = self._plan.engines[number].tokens_per_chunk
        chunks: dict[str, int] = {}
        for sequence in dict.fromkeys(step.emitted):
            served = self._owners[number, sequence]
            served.tokens += step.emitted.count(sequence)
            served.first = arrival if served.first is None else served.first
            held = self._held.get((number, sequence), 0) + 1  # what one step gives comes in one event
            if held >= per_chunk or sequence in step.finished:
                chunks[served.name] = chunks.get(served.name, 0) + 1
                held = 0
            self._held[number, sequence] = held
        for name, count in chunks.items():
            served = self.trace.requests[name]
            if served.job.is_streamed and not served.is_bypass:
                self.trace.events.append(Event(arrival, Kind.CHUNKS, name, chunks=count))
        self._finish(number, step, arrival)
        self._step(group, now)

    def _finish(self, number: int, step: Step, arrival: Seconds) -> None:
        """Take out what is done, and those whose clients have gone."""
        for sequence in dict.fromkeys((*step.emitted, *step.finished)):
            served = self._owners.get((number, sequence))
            if served is None:
                continue
            leaves = served.job.leaves_after
            if leaves is not None and served.tokens >= leaves and sequence not in step.finished:
                for left in self._left[served.name]:
                    self._schedulers[number].cancel(left)
                    del self._owners[number, left]
                self._left[served.name].clear()
            elif sequence in step.finished:
                self._left[served.name].discard(sequence)
                del self._owners[number, sequence]
            if not self._left[served.name]:
                self._close(served, arrival)

    def _close(self, served: Served, arrival: Seconds) -> None:
        served.end = arrival
        if not served.is_bypass:
            self.trace.events.append(Event(arrival, Kind.END, served.name))
        loop = self._loop_of.pop(served.name)
        pause = self._dice.expovariate(1 / loop.plan.think_seconds) if loop.plan.think_seconds else 0.0
        self._at(arrival + pause, lambda now: self._submit(loop, now))

    def _read_until(self, now: Seconds) -> None:
        for sensor in self._sensors:
            while sensor.next_poll <= now:
                at = sensor.next_poll
                sample = sensor.poll()
                if sample is not None:
                    self.trace.events.append(Event(at, Kind.SAMPLE, sample=sample))
        while self._next_scrape <= now:
            for facts, scheduler in zip(self.trace.engines, self._schedulers, strict=True):
                served = ServedTokens(scheduler.prompt_tokens, scheduler.output_tokens, is_prompt_fresh=True)
                self.trace.events.append(Event(self._next_scrape, Kind.SCRAPE, facts.name, served=served))
            self._next_scrape += SCRAPE_SECONDS


def _calibrated(physics: Physics, plan: Plan, name: str) -> Fitted:
    dice = random.Random(name)  # noqa: S311
    return calibrate_virtually(physics, prior(MODEL, GPU), dice=dice, step_noise=plan.step_noise, sensor=plan.sensor)


def _drawn(engine: EnginePlan, number: int, seed: int) -> Physics:
    """An engine each of whose terms takes more or less energy than the physics say, and as much more or less time."""
    physics = engine.physics
    fixed, token, context, prompt = (
        math.exp(unlike * _deviate(seed, f"{number} {term}")) for term, unlike in enumerate(engine.unlike)
    )
    terms = physics.energy
    return Physics(
        energy=Coefficients(
            fixed_joules_per_step=terms.fixed_joules_per_step * fixed,
            joules_per_token=terms.joules_per_token * token,
            joules_per_context_token=terms.joules_per_context_token * context,
            joules_per_prompt_token=terms.joules_per_prompt_token * prompt,
        ),
        seconds_per_step=physics.seconds_per_step * fixed,
        seconds_per_sequence=physics.seconds_per_sequence * token,
        seconds_per_context_token=physics.seconds_per_context_token * context,
        seconds_per_prompt_token=physics.seconds_per_prompt_token * prompt,
    )


def _deviate(seed: int, term: str) -> float:
    """A normal deviate, by Latin hypercube: over ten seeds that belong together each tenth of the distribution comes once."""
    block, place = divmod(seed - 1, STRATA)
    order = random.Random(f"{block} {term}").sample(range(STRATA), STRATA)  # noqa: S311
    within = random.Random(f"{seed} {term}").uniform(0.001, 0.999)  # noqa: S311
    return NormalDist().inv_cdf((order[place] + within) / STRATA)


def _groups(engines: tuple[EnginePlan, ...]) -> list[tuple[int, ...]]:
    """For each engine the numbers of those that take turns with it, itself included."""
    found: list[tuple[int, ...]] = []
    for engine in engines:
        group = tuple(number for number, other in enumerate(engines) if set(other.devices) & set(engine.devices))
        found.append(group)
    return found
