"""A study without a clock: simulated engines step by step, as fast as they can be computed, with every request's true joules.

There is no proxy here and nothing is attributed: each request is charged its true share of every step (`simulation.scheduler`),
the yardstick that attribution is held against elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Final, TypeAlias

from ..errors import JevonsError
from ..simulation.scheduler import Scheduler, Work
from .hardware import PROMPT_TOKENS, Hardware
from .prompts import StudyPrompt
from .raw import OK, Reply

STEP_TOKENS: Final = 8192
"""A step's budget, prompts included: more than any batch here."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One arm: its name, and how many tokens its answer to each prompt has."""

    name: str
    tokens: Mapping[str, int]


def run_virtually(hardware: Hardware, asked: Asked, prompts: Sequence[StudyPrompt], level: int) -> list[Reply]:
    """Every prompt equally often, so many in flight throughout, in a loop that begins uncounted until the batch has mixed.

    At one in flight each is asked once. Above, `2 x level` answers are counted at least, after `level` that are not.
    """
    repetitions = 1 if level == 1 else -(-2 * level // len(prompts))
    loop = _Loop(hardware, asked, level, _places(prompts, level, repetitions))
    for _ in range(level):
        loop.submit()
    while len(loop.replies) < repetitions * len(prompts):
        loop.step()
    return loop.replies


_Place: TypeAlias = tuple[StudyPrompt, int | None]
"""A prompt and its repetition; None where it is not counted."""


def _places(prompts: Sequence[StudyPrompt], level: int, repetitions: int) -> Iterator[_Place]:
    """Whom to ask next, without end: some that are not counted, those that are, and then again some that are not."""
    uncounted = 0 if level == 1 else level
    yield from ((prompt, None) for prompt in islice(cycle(prompts), uncounted))
    yield from ((prompt, repetition) for repetition in range(repetitions) for prompt in prompts)
    yield from ((prompt, None) for prompt in cycle(prompts))


class _Loop:
    """An engine that is asked anew whenever an answer ends."""

    def __init__(self, hardware: Hardware, asked: Asked, level: int, places: Iterator[_Place]) -> None:
        self.replies: list[Reply] = []
        self._engine = Scheduler(hardware.physics, 0.0, hardware.limit_watts, max_batch=level, max_step_tokens=STEP_TOKENS)
        self._asked = asked
        self._level = level
        self._places = places
        self._clock = 0.0
        self._joules: dict[int, float] = {}
        self._running: dict[int, tuple[_Place, float]] = {}

    def submit(self) -> None:
        place = next(self._places)
        sequence = self._engine.submit("", Work(round(PROMPT_TOKENS), self._asked.tokens[place[0].id]))
        self._joules[sequence] = 0.0
        self._running[sequence] = place, self._clock

    def step(self) -> None:
        step = self._engine.step()
        if step is None:
            raise JevonsError("the simulated engine has nothing to do")
        self._clock += step.seconds
        for sequence, joules in step.shares.items():
            self._joules[sequence] += joules
        for sequence in step.finished:
            joules, ((prompt, repetition), began) = self._joules.pop(sequence), self._running.pop(sequence)
            if repetition is not None:
                self.replies.append(_reply(self._asked, prompt, repetition, self._level, joules, self._clock - began))
            self.submit()


def _reply(asked: Asked, prompt: StudyPrompt, repetition: int, level: int, joules: float, seconds: float) -> Reply:
    return Reply(
        arm=asked.name,
        prompt=prompt.id,
        category=prompt.category,
        repetition=repetition,
        level=level,
        outcome=OK,
        model=asked.name,
        prompt_tokens=round(PROMPT_TOKENS),
        completion_tokens=asked.tokens[prompt.id],
        joules=joules,
        low=joules,
        high=joules,
        method="simulated",
        seconds=seconds,
        imposed_tokens=asked.tokens[prompt.id],
    )
