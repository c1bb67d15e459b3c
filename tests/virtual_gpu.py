"""A workload played in virtual time: the scheduler's per-step truth on one side, the attribution on the other.

The device's counter moves in steps and trails, as a real one does; the attribution sees only what a proxy would see.
"""

from __future__ import annotations

import heapq
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from jevons.proxy.exchange import Coefficients, Energy, Usage
from jevons.proxy.metering.attribution import Attribution
from jevons.proxy.metering.meter import Device, Sample
from jevons.proxy.metering.work import Work as MeteredWork
from jevons.proxy.simulation.physics import LLAMA_3_1_8B
from jevons.proxy.simulation.prefix_cache import whole_blocks
from jevons.proxy.simulation.scheduler import Scheduler, Step, Work

IDLE_WATTS = 90.0
LIMIT_WATTS = 700.0
START = 1000.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Job:
    """One request: so many sequences of the same work, at one of the engines."""

    work: Work
    sequences: int = 1
    engine: int = 0


@dataclass
class Trace:
    """Power over time, and the counter that integrates it."""

    times: list[float] = field(default_factory=lambda: [0.0])
    joules: list[float] = field(default_factory=lambda: [0.0])
    watts: list[float] = field(default_factory=lambda: [IDLE_WATTS])

    def at(self, now: float) -> float:
        """The energy up to a time."""
        i = bisect_right(self.times, now) - 1
        return self.joules[i] + self.watts[i] * (now - self.times[i])

    def set(self, now: float, watts: float) -> None:
        """Draw so much from now on."""
        self.joules.append(self.at(now))
        self.times.append(now)
        self.watts.append(watts)

    def counter(self, now: float, step: float, lag: float) -> float:
        """What a counter shows that moves every `step` and then gives the energy of `lag` before."""
        return self.at(now - now % step - lag)


@dataclass
class Metered:
    """One request under way, or done: what the attribution knows of it, and its time in flight."""

    job: Job
    work: MeteredWork
    begin: float
    is_streamed: bool
    left: set[int]
    end: float = 0.0
    held_tokens: int = 0
    provisional: Energy = field(default_factory=Energy)
    """What the reply says at its end."""


@dataclass
class Play:
    """A closed loop of clients; every finished request is replaced by the next of the workload until that is empty.

    Every engine runs on all GPUs, and their steps take turns: two engines on one GPU share it, one on two is tensor parallel.
    """

    coefficients: Coefficients
    works: list[Work | Job]
    concurrency: int
    streamed: float = 1.0
    counter_step: float = 0.1
    counter_lag: float = 0.03
    known_lag: bool = True
    seed: int = 0
    drop_samples: float = 0.0
    engines: int = 1
    gpus: int = 1
    tokens_per_chunk: int = 1
    estimate_error: float = 0.2
    """By how much, at most and relative, the proxy's own estimates of prompt tokens are off."""
    maker: Callable[[], Attribution] = Attribution
    """Who divides the energy."""
    think_seconds: float = 0.0
    """The mean pause of a client between an answer and its next request."""

    def run(self) -> Play:
        """Play it to its end, and twelve seconds more."""
        self.random = random.Random(self.seed)
        self.attribution = self.maker()
        lag = self.counter_lag if self.known_lag else 0.0
        ids = [f"GPU-{i}" for i in range(self.gpus)]
        for id_ in ids:
            device = Device(id_, "virtual (simulated)", power_limit_watts=LIMIT_WATTS, counter_lag_seconds=lag)
            self.attribution.add_device(device)
        for i in range(self.engines):
            self.attribution.add_engine(f"model-{i}", self.coefficients, ids)
        idle, limit = IDLE_WATTS * self.gpus, LIMIT_WATTS * self.gpus
        self.schedulers = [Scheduler(LLAMA_3_1_8B, idle, limit) for _ in range(self.engines)]
        self.trace = Trace()
        self.metered: dict[str, Metered] = {}
        self._live: dict[tuple[int, int], str] = {}
        self._queue: Iterator[Work | Job] = iter(self.works)
        self._next_poll = START - 5.0
        self._poll_until(START)
        self._play()
        self._poll_until(self.now + 12.0)
        return self

    def _play(self) -> None:
        self.now = START
        arrivals = [START] * self.concurrency
        turn = 0
        while True:
            while arrivals and arrivals[0] <= self.now:
                heapq.heappop(arrivals)
                self._submit()
            order = [(turn + i) % self.engines for i in range(1, self.engines + 1)]
            found = next(((i, step) for i in order if (step := self.schedulers[i].step()) is not None), None)
            if found is None:
                if not arrivals:
                    return
                self.now = arrivals[0]
                self._poll_until(self.now)
                continue
            turn, step = found
            self.trace.set(self.now, step.joules / step.seconds / self.gpus)
            self.now += step.seconds
            self.trace.set(self.now, IDLE_WATTS)
            self._poll_until(self.now)
            for _ in range(self._deliver(turn, step)):
                pause = self.random.expovariate(1 / self.think_seconds) if self.think_seconds else 0.0
                heapq.heappush(arrivals, self.now + pause)

    def _submit(self) -> None:
        job = next(self._queue, None)
        if job is None:
            return
        if isinstance(job, Work):
            job = Job(job)
        name = f"r{len(self.metered)}"
        scheduler = self.schedulers[job.engine]
        is_streamed = self.random.random() < self.streamed and job.work.output_tokens > 0
        follower = replace(job.work, cached_tokens=max(job.work.cached_tokens, whole_blocks(job.work.prompt_tokens)))
        left = {scheduler.submit(name, follower if i else job.work) for i in range(job.sequences)}
        work = self.attribution.begin(
            f"model-{job.engine}",
            self.now,
            prompt_tokens=job.work.prompt_tokens * self.random.uniform(1 - self.estimate_error, 1 + self.estimate_error),
            sequences=job.sequences,
            is_streamed=is_streamed,
            decodes=job.work.output_tokens > 0,
        )
        self.metered[name] = Metered(job, work, self.now, is_streamed, left)
        self._live.update({(job.engine, sequence): name for sequence in left})

    def _deliver(self, engine: int, step: Step) -> int:
        """Let the tokens of a step arrive; returns how many requests are done by it."""
        for sequence in step.emitted:
            metered = self.metered[self._live[engine, sequence]]
            metered.held_tokens += 1
            if metered.is_streamed and metered.held_tokens >= self.tokens_per_chunk:
                metered.held_tokens = 0
                metered.work.chunks(self.now, 1)
        done = 0
        for sequence in step.finished:
            metered = self.metered[self._live.pop((engine, sequence))]
            metered.left.discard(sequence)
            if not metered.left:
                done += 1
                self._finish(engine, metered)
        return done

    def _finish(self, engine: int, metered: Metered) -> None:
        if metered.is_streamed and metered.held_tokens:
            metered.work.chunks(self.now, 1)
        work = metered.job.work
        completion = work.output_tokens * metered.job.sequences
        metered.work.finish(self.now, Usage(prompt=work.prompt_tokens, cached=work.cached_tokens, completion=completion))
        metered.provisional = self.attribution.energy(f"model-{engine}", metered.work.account)
        self.attribution.end(f"model-{engine}", metered.work, self.now)
        metered.end = self.now

    def _poll_until(self, now: float) -> None:
        while self._next_poll <= now:
            at = self._next_poll
            joules = self.trace.counter(at, self.counter_step, self.counter_lag)
            for id_ in self.attribution.devices:
                if self.random.random() >= self.drop_samples:
                    self.attribution.sample(Sample(id_, at, joules=joules))
            self._next_poll += POLL_SECONDS * self.random.uniform(1.0, 1.04)
            self.attribution.settle(at)

    @property
    def truth(self) -> dict[str, float]:
        """What every request has really consumed."""
        return {name: joules for scheduler in self.schedulers for name, joules in scheduler.truth.items()}

    @property
    def charges(self) -> dict[str, float]:
        """What every request was charged."""
        return {name: metered.work.account.charge.joules for name, metered in self.metered.items()}

    @property
    def errors(self) -> list[float]:
        """Relative error of every request, ascending."""
        return errors(self.charges, self.truth)


def errors(charges: dict[str, float], truth: dict[str, float]) -> list[float]:
    """Relative error of every request, ascending."""
    return sorted(abs(charges[name] / truth[name] - 1) for name in charges)


def quantile(ascending: list[float], share: float) -> float:
    """The value below which a share of the values lies."""
    return ascending[int(share * (len(ascending) - 1))]


def mixed(count: int, seed: int = 1) -> list[Work]:
    """Chat requests of mixed lengths."""
    dice = random.Random(seed)
    return [Work(dice.randint(20, 1500), int(min(1200, max(8, dice.lognormvariate(5.0, 1.0))))) for _ in range(count)]


def short(count: int, seed: int = 2) -> list[Work]:
    """Short questions with short answers."""
    dice = random.Random(seed)
    return [Work(dice.randint(20, 800), dice.randint(5, 40)) for _ in range(count)]
