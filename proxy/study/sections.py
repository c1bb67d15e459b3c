"""What a study's own data say: the finding, the arms, their differences, categories, concurrency, quality. Pure."""

from __future__ import annotations

import math
import statistics

from .bootstrap import FEWEST, Interval, log_ratio_of_totals, mean, studentised
from .dataset import ArmFigures, Dataset
from .decomposition import Decomposition, PromptPair, by_geometric_means, by_totals, waterfall
from .document import Block, Bullets, Heading, Paragraph, Plot, Table
from .plots import Curve, batch_curve, distributions, paired_scatter, waterfall_plot
from .wording import UNKNOWN, change, figure, percent, span


def finding(data: Dataset, resamples: int) -> list[Block]:
    """The answer to the question, in a sentence per arm, first."""
    base = data.baseline
    lines = []
    for level in data.levels:
        for arm in _others(data):
            pairs = data.pairs(base, arm, level)
            if pairs:
                found = by_totals(pairs, resamples=resamples)
                lines.append(f"At {_in_flight(level)}, {_sentence(arm, base, len(pairs), found)}")
    if not lines:
        return [Paragraph("There is one arm, so nothing is compared.")]
    return [Bullets(lines)]


def _sentence(arm: str, base: str, prompts: int, found: Decomposition) -> str:
    return (
        f"**{arm} took {figure(found.energy.value)} times the energy of {base}** ({change(found.energy.value)}"
        f"{_within(found.energy)}) over {prompts} prompts: answers {figure(found.length.value)} times as "
        f"long{_within(found.length)}, at "
        f"{figure(found.per_token.value)} times the joules per token{_within(found.per_token)}."
    )


def _within(interval: Interval) -> str:
    if interval.low is None or interval.high is None:
        return ""
    return f", 95 %: {figure(interval.low)} … {figure(interval.high)}"


def _in_flight(level: int) -> str:
    return "one request at a time" if level == 1 else f"{level} requests in flight"


def _others(data: Dataset) -> list[str]:
    return [arm for arm in data.arms if arm != data.baseline]


def arms_section(data: Dataset, resamples: int) -> list[Block]:
    """Each arm by itself."""
    head = (
        "arm",
        "in flight",
        "responses",
        "J/response",
        "J/token",
        "tokens",
        "words",
        "thinking",
        "seconds",
        "W",
        "bounds",
    )
    rows = []
    for level in data.levels:
        for arm in data.arms:
            one = data.figures(arm, level, resamples=resamples)
            if one is not None:
                rows.append(_arm_row(one))
    values = {arm: [(cell.prompt, cell.joules) for cell in data.cells(arm, data.levels[0]).values()] for arm in data.arms}
    shown = {arm: rows_of for arm, rows_of in values.items() if rows_of}
    caption = (
        f"Joules per response of each prompt, at {_in_flight(data.levels[0])}. The bar is the median, the line the middle half."
    )
    return [
        Heading("The arms"),
        Table(head, rows),
        Paragraph(
            "In brackets 95 % intervals over prompts. Tokens include thinking; words are the visible answer's. W is the power "
            "attributed to an arm while it answers. Bounds are the meter's own: the sums of each reply's `low` and `high` "
            "over its joules."
        ),
        *([Plot("distributions", distributions(shown), caption)] if shown else []),
    ]


def _arm_row(one: ArmFigures) -> tuple[str, ...]:
    return (
        one.arm,
        str(one.level),
        str(one.replies),
        span(one.joules),
        span(one.per_token),
        span(one.tokens),
        figure(one.words),
        percent(one.reasoning_share),
        figure(one.seconds),
        figure(one.watts),
        UNKNOWN if one.bounds is None else f"{percent(one.bounds[0])} … {percent(one.bounds[1])}",
    )


def difference_sections(data: Dataset, resamples: int) -> list[Block]:
    """Pairs of arms, prompt by prompt, and why they differ."""
    blocks: list[Block] = []
    base = data.baseline
    for arm in _others(data):
        rows, plots = [], list[Plot]()
        for level in data.levels:
            pairs = data.pairs(base, arm, level)
            if pairs:
                rows += _difference_rows(pairs, level, resamples)
                plots += _difference_plots(data, pairs, arm, level) if not plots else []
        if rows:
            head = ("in flight", "over", "energy", "= length", "x J/token", "J/response more")
            blocks += [Heading(f"{arm} against {base}"), Table(head, rows, text_columns=2), *plots]
    if blocks:
        blocks.append(
            Paragraph(
                "**Totals** are ratios of sums over all prompts: what a bill shows, and what the article's figure is. "
                "**Typical prompt** "
                "is the geometric mean of each prompt's own ratio, in which a long answer weighs no more than a short one. In "
                "either, "
                "energy = length x J/token exactly. Intervals are for one comparison at a time."
            )
        )
    return blocks


def _difference_rows(pairs: list[PromptPair], level: int, resamples: int) -> list[tuple[str, ...]]:
    totals, typical = by_totals(pairs, resamples=resamples), by_geometric_means(pairs, resamples=resamples)
    more = studentised([pair.joules[1] - pair.joules[0] for pair in pairs], mean, resamples=resamples)
    return [
        (str(level), "totals", span(totals.energy), span(totals.length), span(totals.per_token), span(more)),
        ("", "typical prompt", span(typical.energy), span(typical.length), span(typical.per_token), ""),
    ]


def _difference_plots(data: Dataset, pairs: list[PromptPair], arm: str, level: int) -> list[Plot]:
    base, where = data.baseline, _in_flight(level)
    colours = data.arms.index(base), data.arms.index(arm)
    start, steps, end = waterfall(pairs)
    shares = ", ".join(f"{step.name} {figure(step.joules)} J" for step in steps)
    return [
        Plot(
            f"pairs-{arm}",
            paired_scatter(pairs, base, arm, colours[1]),
            f"Each dot is a prompt, at {where}. Above the dashed line {arm} took more.",
        ),
        Plot(
            f"waterfall-{arm}",
            waterfall_plot(start, steps, end, (base, arm), colours),
            f"From {base} to {arm}, at {where}: {shares}. The shares are those of the logarithmic mean, which sum exactly.",
        ),
    ]


def category_section(data: Dataset, resamples: int) -> list[Block]:
    """The same by kind of prompt, at the lowest level."""
    base, level, rows = data.baseline, data.levels[0], []
    for arm in _others(data):
        for category in data.categories():
            pairs = data.pairs(base, arm, level, category=category)
            if pairs:
                rows.append(_category_row(arm, category, pairs, resamples))
    if len({row[1] for row in rows}) < 2:  # noqa: PLR2004 - one category is the whole
        return []
    head = ("arm", "category", "prompts", f"{base} J", "arm J", "energy", "length", "J/token", "each prompt's energy ratio")
    return [
        Heading("By category"),
        Table(head, rows, text_columns=2),
        Paragraph(
            f"Joules are means per response at {_in_flight(level)}; ratios are of totals against {base}. Below {FEWEST} "
            f"prompts there is no "
            "interval, and the last column gives the lowest, the middle and the highest of the prompts' own ratios."
        ),
    ]


def _category_row(arm: str, category: str, pairs: list[PromptPair], resamples: int) -> tuple[str, ...]:
    found = by_totals(pairs, resamples=resamples)
    ratios = sorted(pair.joules[1] / pair.joules[0] for pair in pairs)
    return (
        arm,
        category,
        str(len(pairs)),
        figure(statistics.fmean(pair.joules[0] for pair in pairs)),
        figure(statistics.fmean(pair.joules[1] for pair in pairs)),
        span(found.energy),
        figure(found.length.value),
        figure(found.per_token.value),
        f"{figure(ratios[0])} … {figure(statistics.median(ratios))} … {figure(ratios[-1])}",
    )


def concurrency_section(data: Dataset, resamples: int) -> list[Block]:
    """What company costs less: the same prompts, more of them at a time."""
    if len(data.levels) < 2:  # noqa: PLR2004 - one level has nothing beside it
        return []
    lowest, rows, curves = data.levels[0], [], list[Curve]()
    for number, arm in enumerate(data.arms):
        points = []
        for level in data.levels:
            one = data.figures(arm, level, resamples=resamples)
            if one is not None:
                points.append((float(level), one.joules))
                rows.append(
                    (arm, str(level), span(one.joules), span(one.per_token), _ratio_to(data, arm, lowest, level, resamples))
                )
        if points:
            curves.append(Curve(arm, points, number))
    return [
        Heading("The effect of concurrency"),
        Table(("arm", "in flight", "J/response", "J/token", f"J of the same prompts, against {lowest} in flight"), rows),
        Plot(
            "concurrency",
            batch_curve(curves),
            "A step of the engine costs much the same for one sequence as for many, so that each pays less in company.",
        ),
    ]


def _ratio_to(data: Dataset, arm: str, lowest: int, level: int, resamples: int) -> str:
    first, second = data.cells(arm, lowest), data.cells(arm, level)
    both = [(first[prompt].joules, second[prompt].joules) for prompt in first if prompt in second]
    if not both or level == lowest:
        return UNKNOWN
    return span(studentised(both, log_ratio_of_totals, resamples=resamples).mapped(math.exp))


def quality_section(data: Dataset, resamples: int) -> list[Block]:
    """Joules per right answer, where right is known."""
    found = [data.figures(arm, level, resamples=resamples) for level in data.levels for arm in data.arms]
    rows = [
        (one.arm, str(one.level), str(_scored(data, one)), percent(one.score), figure(one.joules_per_right))
        for one in found
        if one is not None and one.score is not None
    ]
    if not rows:
        return []
    judged = " Prompts without a check were scored from 0 to 1 by a model, whose score counts as that share of a right answer."
    return [
        Heading("Joules per right answer"),
        Table(("arm", "in flight", "scored", "right", "J per right answer"), rows),
        Paragraph(
            "Of the prompts whose answer can be checked, all joules over all right answers: a wrong answer's joules are paid too."
            + (judged if data.raw.judgements else "")
        ),
    ]


def _scored(data: Dataset, one: ArmFigures) -> int:
    return sum(data.score_of(reply) is not None for reply in data.replies(one.arm, one.level))
