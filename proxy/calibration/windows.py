"""The work of a stage, bit by bit, from what its clients saw: steps, tokens, context, prompt tokens.

Counted as metering counts it (docs/metering.md): with N sequences decoding, each chunk that arrives is 1/N of a step; a first
token comes from the step that ended its prompt, and costs no decoding. Here it is known afterwards who was decoding when, and
how many tokens a chunk and a word stood for. Bins are those in which the device's joules are kept.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ..errors import JevonsError
from ..metering.account import Quantities
from ..metering.attribution import BIN_SECONDS
from ..metering.bins import spread
from ..units import Joules, Seconds
from .stages import Played
from .streams import Stream

BINS_PER_WINDOW: Final = 2
WINDOW_SECONDS: Final = BINS_PER_WINDOW * BIN_SECONDS
_SAME_STEP_SECONDS: Final = 0.002
"""Chunks of one step arrive within this."""
_LEAST_READ_TOKENS: Final = 200
"""A shorter prompt says nothing of how fast prompts are read."""


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch in which streams were being served all the time: the work of it, and what the devices consumed."""

    steps: float
    tokens: float
    context: float
    prompt: float
    joules: Joules
    stage: int = 0
    """Which of the stages it is of."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What chunks, words and prompts stand for, from the streams that ran to their end."""

    tokens_per_chunk: float
    tokens_per_word: float
    read_seconds_per_token: Seconds
    """The least time to a first token, per token of its prompt."""

    @classmethod
    def of(cls, streams: Iterable[Stream]) -> Rates:
        """Raises JevonsError where no stream ended with its token counts."""
        ended = [one for one in streams if one.completion_tokens and one.prompt_tokens and one.chunks]
        if not ended:
            raise JevonsError("the server says nothing of its token counts (usage) at the end of a stream")
        read = [
            (one.chunks[0] - one.began) / fresh
            for one in ended
            if (fresh := (one.prompt_tokens or 0) - one.cached_tokens) >= _LEAST_READ_TOKENS
        ]
        return cls(
            sum(one.completion_tokens or 0 for one in ended) / sum(len(one.chunks) for one in ended),
            sum(one.prompt_tokens or 0 for one in ended) / sum(one.words for one in ended),
            min(read, default=0.0),
        )


def count_work(
    streams: Sequence[Stream], rates: Rates, width: Seconds = BIN_SECONDS, *, among: Sequence[Stream] | None = None
) -> dict[int, Quantities]:
    """The work of the streams by bin; `among` are all that were in the batch with them, where these are not all."""
    bins: dict[int, Quantities] = {}
    everybody = [stream for stream in (streams if among is None else among) if stream.chunks]
    firsts = sorted(stream.chunks[0] for stream in everybody)
    lasts = sorted(stream.chunks[-1] for stream in everybody)
    for stream in [stream for stream in streams if stream.chunks]:
        prompt = rates.tokens_per_word * stream.words if stream.prompt_tokens is None else stream.prompt_tokens
        fresh = max(0.0, prompt - stream.cached_tokens)
        first = stream.chunks[0]
        begin = max(stream.began, first - fresh * rates.read_seconds_per_token)
        _put(bins, begin, first, Quantities(prompt=fresh), width)
        each, before = _tokens_per_chunk(stream, rates), begin
        for number, at in enumerate(stream.chunks):
            decoding = bisect_right(firsts, at + _SAME_STEP_SECONDS) - bisect_left(lasts, at - _SAME_STEP_SECONDS)
            tokens = each if number else each - 1.0
            work = Quantities(steps=1.0 / max(1, decoding), tokens=tokens, context=tokens * (prompt + each * number))
            middle = (before + at) / 2 if number else at
            _put(bins, middle, middle, work, width)
            before = at
    return bins


def _tokens_per_chunk(stream: Stream, rates: Rates) -> float:
    return rates.tokens_per_chunk if stream.completion_tokens is None else stream.completion_tokens / len(stream.chunks)


def _put(bins: dict[int, Quantities], begin: Seconds, end: Seconds, work: Quantities, width: Seconds) -> None:
    for index, share in spread(begin, end, width):
        bins.setdefault(index, Quantities()).add(work, share)


def steady(played: Played, width: Seconds = BIN_SECONDS) -> range:
    """The bins of a stage from when every one of its clients had a first token until the stage ended."""
    firsts = sorted(stream.chunks[0] for stream in played.streams if stream.chunks)
    if len(firsts) < played.stage.streams:
        return range(0)
    return range(int(firsts[played.stage.streams - 1] // width) + 1, int(played.ended // width))


def cut_windows(
    stages: Sequence[Played], joules: dict[int, Joules], rates: Rates, *, width: Seconds = BIN_SECONDS
) -> list[Window]:
    """Whole windows of steady work whose every bin was measured; `joules` holds the bins that were."""
    windows = []
    for number, played in enumerate(stages):
        work = count_work(played.streams, rates, width)
        bins = steady(played, width)
        for first in range(bins.start, bins.stop - BINS_PER_WINDOW + 1, BINS_PER_WINDOW):
            indices = range(first, first + BINS_PER_WINDOW)
            total = Quantities()
            for index in indices:
                total.add(work.get(index, Quantities()))
            measured = sum(joules.get(index, 0.0) for index in indices)
            if all(index in joules for index in indices) and total.steps > 0.0 and measured > 0.0:
                windows.append(Window(total.steps, total.tokens, total.context, total.prompt, measured, number))
    return windows
