"""The load of a calibration: a few stages that differ in what they ask for, so that each term of the law shows in some."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Final

from ..errors import JevonsError
from ..units import Seconds
from .streams import ChatClient, Stream

SHORT_WORDS: Final = 24
LONG_WORDS: Final = 1400
"""Below the prompt tokens that servers read in one step by default (2048), with room for what a template adds."""
ENDLESS_TOKENS: Final = 2000
"""More than a stage has time for: its streams decode until it ends."""
BRIEF_TOKENS: Final = 12
MEAN_TOKENS: Final = 48
LEAST_STAGE_SECONDS: Final = 1.2
PAUSE_SECONDS: Final = 0.4
"""After a stage, for the server to notice that its clients have left."""


@dataclass(frozen=True, slots=True)
class Stage:
    """So many streams at once, each replaced by another when it ends."""

    streams: int
    words: int
    output_tokens: int
    seconds: Seconds

    def __str__(self) -> str:
        return f"{self.streams} at once, prompts of {self.words} words, answers of up to {self.output_tokens} tokens"


@dataclass(slots=True)
class Played:
    """A stage that was run: its streams, those that it cut off included."""

    stage: Stage
    began: Seconds
    ended: Seconds
    streams: list[Stream] = field(default_factory=list)


def plan_stages(seconds: Seconds, most_streams: int, context_tokens: int | None = None) -> list[Stage]:
    """Stages of equal length that fill the time; raises JevonsError where it is too short for any.

    Decoding by one, some and all streams behind short and behind long prompts tells the fixed part, the token's and the context's
    apart; reading by one and by some, with brief answers, the prompt's. One of mean answers looks like traffic.
    """
    words, endless = LONG_WORDS, ENDLESS_TOKENS
    if context_tokens is not None:
        words = min(words, context_tokens // 3)
        endless = min(endless, context_tokens // 2)
    some = max(1, most_streams // 4)
    shapes = [
        (1, SHORT_WORDS, endless),
        (most_streams, words, endless),
        (some, words, BRIEF_TOKENS),
        (some, SHORT_WORDS, endless),
        (most_streams, SHORT_WORDS, endless),
        (1, words, BRIEF_TOKENS),
        (some, words, endless),
        (most_streams, SHORT_WORDS, MEAN_TOKENS),
    ]
    each = seconds / len(shapes) - PAUSE_SECONDS
    if each < LEAST_STAGE_SECONDS:
        least = len(shapes) * (LEAST_STAGE_SECONDS + PAUSE_SECONDS)
        raise JevonsError(f"{seconds:g} s are too short for a calibration: it takes {least:g} s of load at least")
    return [Stage(streams, length, output, each) for streams, length, output in shapes]


async def play(client: ChatClient, stage: Stage) -> Played:
    """Run one stage; whatever is still under way at its end is cut off. Raises UpstreamError where the server fails."""
    played = Played(stage, time.monotonic(), 0.0)
    try:
        async with asyncio.timeout(stage.seconds), asyncio.TaskGroup() as tasks:
            for _ in range(stage.streams):
                tasks.create_task(_replace(client, stage, played))
    except TimeoutError:
        played.ended = time.monotonic()
    except ExceptionGroup as group:
        raise group.exceptions[0] from None  # the server failed one of them, and with it the stage
    await asyncio.sleep(PAUSE_SECONDS)
    return played


async def _replace(client: ChatClient, stage: Stage, played: Played) -> None:
    """One stream after the other, until cancelled."""
    while True:
        stream = Stream(stage.words, time.monotonic())
        played.streams.append(stream)
        await client.ask(stream, stage.output_tokens)
        if not stream.chunks:
            raise JevonsError("the server streams no text: there is nothing to count steps by")
