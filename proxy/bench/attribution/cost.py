"""What metering itself costs: processor time per token event and per settlement, and memory over a day."""

from __future__ import annotations

import gc
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ...exchange import Usage
from ...metering.attribution import BIN_SECONDS, Attribution
from ...metering.coefficients import prior
from ...metering.meter import Device, Sample
from ...metering.work import Work
from ...units import Seconds
from .world import GPU, MODEL

STREAMS: Final = 64
POLL_SECONDS: Final[Seconds] = 0.05
POLLS_PER_SETTLE: Final = 2
TOKEN_SECONDS: Final[Seconds] = 0.0125
"""Between the tokens of a stream."""
WATTS: Final = 400.0
COUNTER_SECONDS: Final[Seconds] = 0.1
BATCH: Final = 8
"""Tokens that arrive together where a day is played: memory does not depend on it."""
DAY_SECONDS: Final[Seconds] = 86400.0
LONE_EVENTS: Final = 20
"""Of a lone stream that are timed together."""
ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Cost:
    """Microseconds of processor time; the best round of several, since others may use the machine."""

    token: float
    """Per token event of one of many streams."""
    lone: float
    """Of a stream whose tokens come so seldom that each opens a bin."""
    settle: float
    """Per reading of one device with whatever settles by it, with `STREAMS` streams."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Blocks that the interpreter holds beyond what it held before: after the first part of the time, and after all of it."""

    seconds: Seconds
    requests: int
    early_blocks: int
    late_blocks: int


class Bench:
    """One engine on one device of constant power, and streams that never rest."""

    def __init__(self, streams: int) -> None:
        self.attribution = Attribution()
        self.attribution.add_device(Device("GPU", "virtual", power_limit_watts=700.0, counter_lag_seconds=0.03))
        self.attribution.add_engine("model", prior(MODEL, GPU), ["GPU"])
        self.now: Seconds = 1000.0
        self.requests = 0
        self._polls = 0
        self.read()
        self.works: deque[Work] = deque(self._begin() for _ in range(streams))

    def _begin(self) -> Work:
        self.requests += 1
        work = self.attribution.begin("model", self.now, prompt_tokens=200.0, sequences=1, is_streamed=True, decodes=True)
        work.chunks(self.now, 1)
        return work

    def replace(self) -> None:
        """The oldest request is over, and another begins."""
        work = self.works.popleft()
        work.finish(self.now, Usage(prompt=210, cached=0, completion=100))
        self.attribution.end("model", work, self.now)
        self.works.append(self._begin())

    def emit(self, count: int = 1) -> None:
        """Every stream has so many more tokens."""
        for work in self.works:
            work.chunks(self.now, count)

    def emit_slowly(self) -> None:
        """One stream has some tokens, each in a bin of its own."""
        work = self.works[0]
        for _ in range(LONE_EVENTS):
            self.now += BIN_SECONDS
            work.chunks(self.now, 1)

    def read(self) -> None:
        """The device is read; now and then bins settle."""
        joules = WATTS * (self.now - self.now % COUNTER_SECONDS)
        self.attribution.sample(Sample("GPU", self.now, joules=joules, watts=WATTS))
        self._polls += 1
        if self._polls % POLLS_PER_SETTLE == 0:
            self.attribution.settle(self.now)


def measure_cost(seconds: Seconds = 10.0) -> Cost:
    """Play so many virtual seconds a few times; the best of each figure."""
    rounds = [_play(seconds) for _ in range(ROUNDS)]
    lone = [_play_lone() for _ in range(ROUNDS)]
    return Cost(min(token for token, _ in rounds), min(lone), min(settle for _, settle in rounds))


def _play(seconds: Seconds) -> tuple[float, float]:
    bench = Bench(STREAMS)
    per_poll = round(POLL_SECONDS / TOKEN_SECONDS)
    polls = round(seconds / POLL_SECONDS)
    tokens = settles = 0.0
    for number in range(polls):
        for _ in range(per_poll):
            bench.now += TOKEN_SECONDS
            tokens += _timed(bench.emit)
        settles += _timed(bench.read)
        if number % round(BIN_SECONDS / POLL_SECONDS) == 0:
            bench.replace()
    return 1e6 * tokens / (polls * per_poll * STREAMS), 1e6 * settles / polls


def _play_lone(events: int = 2000) -> float:
    bench = Bench(1)
    spent = 0.0
    for _ in range(events // LONE_EVENTS):
        spent += _timed(bench.emit_slowly)
        bench.read()
        bench.read()
    return 1e6 * spent / events


def _timed(call: Callable[[], None]) -> Seconds:
    began = time.thread_time()
    call()
    return time.thread_time() - began


def measure_memory(seconds: Seconds = DAY_SECONDS, *, early_seconds: Seconds = 3600.0, streams: int = 4) -> Memory:
    """Play requests for so long, of ten seconds each, and count what is kept."""
    gc.collect()
    before = sys.getallocatedblocks()
    bench = Bench(streams)
    early = 0
    step = TOKEN_SECONDS * BATCH
    replace_every = round(10.0 / step / streams)
    for number in range(round(seconds / step)):
        bench.now += step
        bench.emit(BATCH)
        bench.read()
        if number % replace_every == 0:
            bench.replace()
        if number == round(early_seconds / step):
            gc.collect()
            early = sys.getallocatedblocks() - before
    gc.collect()
    return Memory(seconds, bench.requests, early, sys.getallocatedblocks() - before)


def describe(cost: Cost, memory: Memory) -> str:
    """For people."""
    return (
        f"token event, one of {STREAMS} streams  {cost.token:8.2f} µs   (aim: at most 0.5)\n"
        f"token event, a lone stream     {cost.lone:8.2f} µs   (aim: at most 3)\n"
        f"reading and settling, {STREAMS} streams {cost.settle:7.1f} µs   (aim: at most 50)\n"
        f"memory over {memory.seconds / 3600:g} simulated hours, {memory.requests:,} requests:"
        f" {memory.early_blocks:,} blocks early on, {memory.late_blocks:,} at the end\n"
    )
