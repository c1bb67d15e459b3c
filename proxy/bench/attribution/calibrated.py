"""`jevons calibrate` in virtual time: its stages, windows and fit, on an engine and a board that are simulated step by step.

What is played here is the load, and what is read is a sensor like a proxy's; the rest is the calibration's own code.
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Final

from ...calibration.calibrate import REST_SECONDS, Options
from ...calibration.readings import COVER_SECONDS, take_bins
from ...calibration.solving import Fitted, fit
from ...calibration.stages import BRIEF_TOKENS, LONG_WORDS, PAUSE_SECONDS, SHORT_WORDS, Played, Stage, plan_stages
from ...calibration.streams import Stream
from ...calibration.windows import Rates, cut_windows
from ...exchange import Coefficients
from ...metering.attribution import BIN_SECONDS
from ...metering.counter import DeviceCounter
from ...metering.meter import Device
from ...simulation.gpu import IDLE_WATTS, LIMIT_WATTS
from ...simulation.physics import Physics
from ...simulation.scheduler import Scheduler, Work
from ...units import Seconds
from .sensor import PowerTrace, Sensor, SensorPlan

DELIVERY_SECONDS: Final[Seconds] = 0.002
"""A step's tokens arrive at most so much later."""
TOKENS_PER_WORD: Final = 1.25
TEMPLATE_TOKENS: Final = 12
"""What a chat template adds to a prompt."""


def calibrate_virtually(
    physics: Physics,
    start: Coefficients,
    *,
    dice: random.Random,
    step_noise: float,
    sensor: SensorPlan,
    options: Options | None = None,
) -> Fitted:
    """What `jevons calibrate` finds for an engine that has its board to itself; `start` is what it is held against."""
    wanted = options or Options()
    server = _Server(physics, dice, step_noise)
    probes = [server.ask(words, BRIEF_TOKENS) for words in (SHORT_WORDS, LONG_WORDS, LONG_WORDS)]
    server.now += REST_SECONDS + wanted.idle_seconds
    played = [server.play(stage) for stage in plan_stages(wanted.seconds, wanted.streams)]
    counter = _read(server.power, sensor, server.now + COVER_SECONDS, dice)
    bins = take_bins([counter], int(played[0].began // BIN_SECONDS), int(played[-1].ended // BIN_SECONDS) + 1)
    rates = Rates.of([*probes, *(stream for one in played for stream in one.streams)])
    return fit(cut_windows(played, bins, rates), start)


def _read(power: PowerTrace, plan: SensorPlan, until: Seconds, dice: random.Random) -> DeviceCounter:
    """All that the sensor shows, booked."""
    lag = plan.lag_seconds if plan.knows_lag else 0.0
    device = Device("GPU-0", "virtual (simulated)", power_limit_watts=LIMIT_WATTS, counter_lag_seconds=lag)
    counter = DeviceCounter(device, bin_seconds=BIN_SECONDS)
    sensor = Sensor(device.id, power, replace(plan, resets=()), start=0.0, dice=dice)
    while sensor.next_poll <= until:
        sample = sensor.poll()
        if sample is not None:
            counter.add(sample, oldest_open=0)
    return counter


class _Server:
    """One engine alone on a board, from the client's side."""

    def __init__(self, physics: Physics, dice: random.Random, step_noise: float) -> None:
        self.now: Seconds = 1.0
        self.power = PowerTrace(IDLE_WATTS)
        self._scheduler = Scheduler(physics, IDLE_WATTS, LIMIT_WATTS)
        self._dice = dice
        self._step_noise = step_noise
        self._streams: dict[int, Stream] = {}

    def ask(self, words: int, output_tokens: int) -> Stream:
        """One request from its beginning to its end."""
        stream = self._submit(words, output_tokens)
        while self._streams:
            self._step()
        return stream

    def play(self, stage: Stage) -> Played:
        """As `stages.play` does: streams that are replaced when they end, cut off at the end of the stage."""
        played = Played(stage, self.now, self.now + stage.seconds)
        while self.now < played.ended:
            while len(self._streams) < stage.streams:
                played.streams.append(self._submit(stage.words, stage.output_tokens))
            self._step()
        for number in list(self._streams):
            self._scheduler.cancel(number)
        self._streams.clear()
        self.now += PAUSE_SECONDS
        return played

    def _submit(self, words: int, output_tokens: int) -> Stream:
        stream = Stream(words, self.now)
        prompt = round(TOKENS_PER_WORD * words) + TEMPLATE_TOKENS
        self._streams[self._scheduler.submit("calibration", Work(prompt, output_tokens))] = stream
        return stream

    def _step(self) -> None:
        step = self._scheduler.step()
        if step is None:
            raise RuntimeError("an engine with requests does nothing")
        begin, self.now = self.now, self.now + step.seconds
        scale = max(0.5, self._dice.gauss(1.0, self._step_noise))
        self.power.draw(begin, self.now, step.joules * scale / step.seconds)
        arrival = self.now + self._dice.random() * DELIVERY_SECONDS
        for number in step.emitted:
            self._streams[number].chunks.append(arrival)
        for number in step.finished:
            stream = self._streams.pop(number)
            stream.prompt_tokens = round(TOKENS_PER_WORD * stream.words) + TEMPLATE_TOKENS
            stream.completion_tokens = len(stream.chunks)
