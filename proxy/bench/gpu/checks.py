"""The checks on one board; each gives a figure, its limit, and what it was computed from."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import Sequence
from typing import Final

from ...calibration.solving import r_squared
from ...calibration.stages import BRIEF_TOKENS, ENDLESS_TOKENS, LONG_WORDS, SHORT_WORDS, Stage, play
from ...calibration.streams import Stream
from ...calibration.windows import count_work, cut_windows
from ...errors import JevonsError
from ...metering.account import Quantities
from ...metering.attribution import BIN_SECONDS
from ...units import Joules, Seconds
from .lengths import lengths
from .outcome import STEADY_STREAMS, Check, Outcome, Scale
from .world import World, run_all, run_in_turn, steady_load

ALONE_TOKENS: Final = 300
HEAD_START_SECONDS: Final = 0.01
MARGINAL_TOKENS: Final = 60
PROXIED, BYPASSING = 7, 3
"""Of ten streams three go past the proxy."""
BYPASS_TOKENS: Final = 100


async def step_law(world: World, scale: Scale) -> Outcome:
    """The energy of a step is a fixed part and one per sequence, over batches that double."""
    sizes = scale.batches
    played = [await play(world.direct, Stage(size, SHORT_WORDS, ENDLESS_TOKENS, scale.stage_seconds)) for size in sizes]
    bins = await world.joules(played[0].began, played[-1].ended)
    windows = cut_windows(played, bins, world.calibration.rates)
    batches, steps = [], []
    for number in range(len(sizes)):
        mine = [window for window in windows if window.stage == number]
        count = sum(window.steps for window in mine)
        if count:
            batches.append(sum(window.tokens for window in mine) / count)
            steps.append(sum(window.joules for window in mine) / count)
    if len(steps) < 3:  # noqa: PLR2004 - through two points there is always a line
        raise JevonsError("fewer than three batch sizes gave clean windows: no line can be judged by them")
    slope, fixed = statistics.linear_regression(batches, steps)
    guesses = [fixed + slope * batch for batch in batches]
    return Outcome(
        "step_law",
        "Energy per step is a fixed part and one per sequence (R²)",
        r_squared(steps, guesses),
        0.98,
        f"{fixed:.3g} J + {slope:.3g} J per sequence, batches of {batches[0]:.0f} to {batches[-1]:.0f}",
        is_floor=True,
        figures={"batch": batches, "joules_per_step": steps, "fixed": fixed, "slope": slope},
    )


async def identical(world: World, scale: Scale) -> Outcome:
    """Requests that are alike and run together are charged alike."""
    streams = [Stream(SHORT_WORDS, 0.0) for _ in range(scale.identical)]
    # While the server reads two long prompts all of them arrive, and are taken in by one step.
    long = [Stream(LONG_WORDS, 0.0), Stream(LONG_WORDS, 0.0)]
    held_up = asyncio.create_task(run_all(world.proxied, long, 1))
    await asyncio.sleep(HEAD_START_SECONDS)
    await run_all(world.proxied, streams, scale.identical_tokens)
    await held_up
    energies = await world.energies(streams)
    mean = statistics.fmean(energies)
    return Outcome(
        "identical",
        f"{len(energies)} identical requests at once are each charged total/{len(energies)}",
        max(abs(energy / mean - 1.0) for energy in energies),
        0.02,
        f"{mean:.4g} J each, from {min(energies):.4g} to {max(energies):.4g} J",
        figures={"joules": energies},
    )


async def alone(world: World, scale: Scale) -> Outcome:
    """A request alone is charged what the counter shows beyond the idle power before and after it."""
    charged: list[Joules] = []
    counted: list[Joules] = []
    for _ in range(scale.alone):
        await asyncio.sleep(scale.rest_seconds)
        streams, spans = await run_in_turn(world.proxied, ALONE_TOKENS, 1)
        await asyncio.sleep(scale.rest_seconds)
        counted.append(await world.counted(spans, scale.rest_seconds))
        charged += await world.energies(streams)
    errors = [abs(mine / theirs - 1.0) for mine, theirs in zip(charged, counted, strict=True)]
    return Outcome(
        "alone",
        "A request alone is charged what the counter shows of it",
        max(errors),
        0.03,
        f"the worst of {len(errors)}; {statistics.fmean(charged):.4g} J charged, {statistics.fmean(counted):.4g} J counted",
        figures={"charged": charged, "counted": counted},
    )


async def marginal(world: World, scale: Scale) -> Outcome:
    """A/B/A: what one request more costs beside steady streams is what its own terms of the model say."""
    extra: list[tuple[Seconds, Stream]] = []
    async with steady_load(world.proxied, STEADY_STREAMS, words=SHORT_WORDS, output_tokens=ENDLESS_TOKENS) as others:
        await asyncio.sleep(scale.stage_seconds / 2)
        began = time.monotonic()
        for _ in range(scale.marginal):
            await asyncio.sleep(1.0)
            stream = Stream(LONG_WORDS, time.monotonic())
            await world.proxied.ask(stream, MARGINAL_TOKENS)
            extra.append((time.monotonic(), stream))
        await asyncio.sleep(1.0)
        ended = time.monotonic()
        load = list(others)
    bins = await world.joules(began, ended)
    measured = _marginals(world, load, extra, bins, int(began // BIN_SECONDS) + 1, int(ended // BIN_SECONDS))
    predicted = statistics.fmean(_own_terms(world, stream) for _, stream in extra)
    mean = statistics.fmean(measured)
    error = statistics.stdev(measured) / math.sqrt(len(measured)) if len(measured) > 1 else math.nan
    return Outcome(
        "marginal",
        f"One request more beside {STEADY_STREAMS} streams costs what its own terms say",
        abs(mean / predicted - 1.0),
        0.10,
        f"{mean:.4g} ± {error:.2g} J measured over {len(measured)} repetitions, {predicted:.4g} J by the model",
        figures={"measured": measured, "predicted": predicted, "standard_error": error},
    )


def _marginals(
    world: World, load: Sequence[Stream], extra: Sequence[tuple[Seconds, Stream]], bins: dict[int, Joules], first: int, last: int
) -> list[Joules]:
    """Per repetition, the energy beyond what the steady streams' tokens cost just before and just after it."""
    tokens = {index: work.tokens for index, work in count_work(load, world.calibration.rates).items()}
    spans = [(int((stream.began - 0.1) // BIN_SECONDS), int((end + 0.1) // BIN_SECONDS) + 1) for end, stream in extra]
    found = []
    for number, (begin, end) in enumerate(spans):
        before = range(first if number == 0 else spans[number - 1][1], begin)
        after = range(end, last if number + 1 == len(spans) else spans[number + 1][0])
        price = [_price(side, bins, tokens) for side in (before, after)]
        if all(value is not None for value in price) and all(index in bins for index in range(begin, end)):
            mean = sum(value for value in price if value is not None) / 2
            energy = sum(bins[index] for index in range(begin, end))
            found.append(energy - mean * sum(tokens.get(index, 0.0) for index in range(begin, end)))
    if not found:
        raise JevonsError("no repetition was measured without a gap")
    return found


def _price(side: range, bins: dict[int, Joules], tokens: dict[int, float]) -> float | None:
    """Joules per token of the steady streams in a stretch without the one more."""
    total = sum(tokens.get(index, 0.0) for index in side)
    return sum(bins[index] for index in side) / total if total and all(index in bins for index in side) else None


def _own_terms(world: World, stream: Stream) -> Joules:
    """Its tokens, contexts and prompt by the calibrated model; no share of the fixed part, which is there without it."""
    total = Quantities()
    for work in count_work([stream], world.calibration.rates).values():
        total.add(work)
    coefficients = world.calibration.fitted.coefficients
    return total.joules(coefficients) - total.fixed_joules(coefficients)


async def bypass(world: World, scale: Scale) -> Outcome:
    """Three streams in ten go past the proxy: the others are charged as before, by a split that knows of all ten."""
    without = await _charged_over_due(world, scale, past=0)
    with_them = await _charged_over_due(world, scale, past=BYPASSING)
    return Outcome(
        "bypass",
        "Traffic past the proxy does not shift what requests are charged",
        abs(with_them / without - 1.0),
        0.05,
        f"charged {with_them:.1%} of the due with {BYPASSING} of {PROXIED + BYPASSING} streams past it, {without:.1%} without",
        figures={"with": with_them, "without": without},
    )


async def _charged_over_due(world: World, scale: Scale, *, past: int) -> float:
    """What proxied requests are charged, over their share of the counter by a split that sees everybody's work."""
    ours: list[Stream] = []
    async with steady_load(world.direct, past, words=SHORT_WORDS, output_tokens=BYPASS_TOKENS) as others:
        began = time.monotonic()
        await asyncio.sleep(0.5)
        for _ in range(scale.bypass_rounds):
            batch = [Stream(SHORT_WORDS, 0.0) for _ in range(PROXIED)]
            ours += batch
            await run_all(world.proxied, batch, BYPASS_TOKENS)
        ended = time.monotonic()
    bins = await world.joules(began, ended)
    everybody = [*ours, *others]
    rates, coefficients = world.calibration.rates, world.calibration.fitted.coefficients
    total = count_work(everybody, rates)
    due = 0.0
    for index, work in count_work(ours, rates, among=everybody).items():
        if index not in bins:
            raise JevonsError("the counter had a gap during the bypass check")
        due += bins[index] * work.joules(coefficients) / total[index].joules(coefficients)
    await asyncio.sleep(scale.rest_seconds)
    return sum(await world.energies(ours)) / due


async def conservation(world: World, scale: Scale) -> Outcome:
    """In every scrape of the whole run the accounts sum to the device's total; at its end a mix with some past the proxy."""
    async with (
        steady_load(world.proxied, PROXIED, words=SHORT_WORDS, output_tokens=BYPASS_TOKENS),
        steady_load(world.proxied, 1, words=LONG_WORDS, output_tokens=BRIEF_TOKENS),
        steady_load(world.direct, BYPASSING, words=SHORT_WORDS, output_tokens=BYPASS_TOKENS),
    ):
        await asyncio.sleep(scale.stage_seconds)
    await asyncio.sleep(2 * scale.rest_seconds)
    errors = world.balance.errors
    return Outcome(
        "conservation",
        "The accounts sum to the device's total",
        max(errors, default=math.nan),
        1e-9,
        f"relative, the worst of {len(errors)} scrapes during the checks",
        figures={"scrapes": len(errors)},
    )


CHECKS: Final[tuple[Check, ...]] = (step_law, identical, alone, lengths, marginal, bypass, conservation)
"""In the order in which they run; the last one judges the whole of it."""
