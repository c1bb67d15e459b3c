"""A calibration's load in virtual time on the simulated scheduler: what its clients see, and the true joules by bin."""

from __future__ import annotations

import random
from collections import defaultdict

from jevons.proxy.calibration.stages import PAUSE_SECONDS, Played, Stage
from jevons.proxy.calibration.streams import Stream
from jevons.proxy.metering.attribution import BIN_SECONDS
from jevons.proxy.metering.bins import spread
from jevons.proxy.simulation.physics import Physics
from jevons.proxy.simulation.scheduler import Scheduler, Work

IDLE_WATTS = 75.0
TEMPLATE_TOKENS = 5


class VirtualServer:
    """One engine, on its own clock."""

    def __init__(self, physics: Physics, *, seed: int = 0, noise: float = 0.0) -> None:
        self.scheduler = Scheduler(physics, IDLE_WATTS, 700.0)
        self.now = 1000.0
        self.joules: dict[int, float] = defaultdict(float)
        self._dice = random.Random(seed)
        self._noise = noise

    def play(self, stage: Stage) -> Played:
        """Run one stage, a stream for each of its clients and another when that ends."""
        played = Played(stage, self.now, self.now + stage.seconds)
        streams = dict(self._begin(played) for _ in range(stage.streams))
        while self.now < played.ended:
            step = self.scheduler.step()
            assert step is not None
            self._draw(step.seconds, step.joules)
            for sequence in step.emitted:
                streams[sequence].chunks.append(self.now + self._dice.uniform(1e-4, 8e-4))
            for sequence in step.finished:
                stream = streams.pop(sequence)
                stream.prompt_tokens = stream.words + TEMPLATE_TOKENS
                stream.completion_tokens = len(stream.chunks)
                streams.update([self._begin(played)])
        for sequence in streams:
            self.scheduler.cancel(sequence)
        self._draw(PAUSE_SECONDS, IDLE_WATTS * PAUSE_SECONDS)
        return played

    def _begin(self, played: Played) -> tuple[int, Stream]:
        stage = played.stage
        stream = Stream(stage.words, self.now)
        played.streams.append(stream)
        return self.scheduler.submit("-", Work(stage.words + TEMPLATE_TOKENS, stage.output_tokens)), stream

    def _draw(self, seconds: float, joules: float) -> None:
        joules *= 1.0 + self._dice.gauss(0.0, self._noise)
        for index, share in spread(self.now, self.now + seconds, BIN_SECONDS):
            self.joules[index] += share * joules
        self.now += seconds
