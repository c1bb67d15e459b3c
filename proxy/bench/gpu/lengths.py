"""Thinking against short answers: what the same question costs by the length of its answer, alone and in company."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Sequence
from typing import Final

from ...calibration.stages import ENDLESS_TOKENS, SHORT_WORDS
from ...calibration.streams import Stream
from .outcome import STEADY_STREAMS, Outcome, Scale
from .world import World, run_in_turn, steady_load

LIMIT: Final = 0.03


async def lengths(world: World, scale: Scale) -> Outcome:
    """The same question with short and long answers: alone, what they are charged is what the counter shows of them."""
    rows = [await _alone(world, scale, tokens) for tokens in scale.lengths]
    counts = [min(scale.most_beside, max(1, scale.tokens_alone // tokens)) for tokens in scale.lengths]
    async with steady_load(world.proxied, STEADY_STREAMS, words=SHORT_WORDS, output_tokens=ENDLESS_TOKENS):
        await asyncio.sleep(scale.stage_seconds / 2)
        asked = [await run_in_turn(world.proxied, tokens, count) for tokens, count in zip(scale.lengths, counts, strict=True)]
    for row, (streams, _) in zip(rows, asked, strict=True):
        beside = await world.energies(streams)
        row["beside"] = statistics.fmean(beside)
        row["beside_per_token"] = sum(beside) / _tokens(world, streams)
    await asyncio.sleep(scale.rest_seconds)
    short, long = rows[0], rows[-1]
    return Outcome(
        "lengths",
        "Short and long answers, alone, are charged what the counter shows of them",
        max(abs(row["charged"] / row["counted"] - 1.0) for row in rows),
        LIMIT,
        f"{short['charged']:.4g} J for {short['tokens']:.0f} tokens, {long['charged']:.4g} J for {long['tokens']:.0f};"
        f" beside {STEADY_STREAMS} streams {short['beside']:.4g} and {long['beside']:.4g} J",
        figures={key: [row[key] for row in rows] for key in rows[0]},
    )


async def _alone(world: World, scale: Scale, tokens: int) -> dict[str, float]:
    """So many answers, each with the board to itself; joules are the mean of one."""
    count = max(1, scale.tokens_alone // tokens)
    await asyncio.sleep(scale.rest_seconds)
    streams, spans = await run_in_turn(world.proxied, tokens, count)
    await asyncio.sleep(scale.rest_seconds)
    charged = await world.energies(streams)
    made = _tokens(world, streams)
    return {
        "answers": count,
        "tokens": made / count,
        "charged": sum(charged) / count,
        "counted": await world.counted(spans, scale.rest_seconds) / count,
        "per_token": sum(charged) / made,
    }


def _tokens(world: World, streams: Sequence[Stream]) -> float:
    """Of all answers together: as the server counts them, or else by its chunks."""
    each = world.calibration.rates.tokens_per_chunk
    return sum(stream.completion_tokens or each * len(stream.chunks) for stream in streams)
