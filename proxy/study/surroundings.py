"""What stands around a study's own figures: public ones, what went wrong, the method and its limits, and how to do it again."""

from __future__ import annotations

import json
from typing import Final

from .bootstrap import FEWEST, RESAMPLES
from .dataset import ArmFigures, Dataset
from .document import Block, Bullets, Heading, Paragraph, Table
from .raw import OK
from .reference import citation, load_article, nearest
from .wording import UNKNOWN, change, figure

COMPARABLE: Final = (
    (
        "Below the table's smallest batch, 8 to 64, nothing is comparable but ratios: at one in flight a row at batch 8 is no "
        "neighbour."
    ),
    "Comparable: joules per output token at a similar batch, for the same size of model on the same cards; and every ratio.",
    (
        "Not comparable: joules per response where the prompts, the models' lengths or the sampling differ; one card against "
        "several (their "
        "idle and communication power is in the step); the table's steady full batch against a level that is held by this "
        "study's "
        "own load; "
        "other versions of the engine, other precisions. The table folds the prompt's energy into the output tokens, as J/token "
        "here does too."
    ),
)


REFERENCE_HEAD: Final = (
    "arm",
    "model",
    "nearest row of the table",
    "in flight",
    "J/token",
    "tokens",
    "J/response",
    "its batch",
    "its J/token",
    "its tokens",
    "its J/response",
)


def reference_section(data: Dataset, resamples: int) -> list[Block]:
    """The arms beside the nearest public rows, and beside the article."""
    found = [data.figures(arm, level, resamples=resamples) for level in data.levels for arm in data.arms]
    rows = [_reference_row(data, one) for one in found if one is not None]
    article = load_article()
    figures = [
        (one.what, figure(one.words), figure(one.joules), UNKNOWN if one.energy_ratio is None else change(one.energy_ratio))
        for one in article.figures
    ]
    return [
        Heading("Beside public figures"),
        Table(REFERENCE_HEAD, rows, text_columns=3),
        Paragraph(f"The table: {citation()}"),
        Bullets(COMPARABLE),
        Heading("The article", 3),
        Table(("what", "words", "joules", "energy"), figures),
        Paragraph(f"{article.source}. {article.note}"),
    ]


def _reference_row(data: Dataset, one: ArmFigures) -> tuple[str, ...]:
    model = data.replies(one.arm, one.level)[0].model or UNKNOWN
    here = (str(one.level), figure(one.per_token.value), figure(one.tokens.value), figure(one.joules.value))
    row = nearest(model, data.raw.header.devices, one.level)
    if row is None:
        return (one.arm, model, "no size in the model's name", *here, *[UNKNOWN] * 4)
    numbers = (row.batch, row.joules_per_token, row.output_tokens, row.joules_per_request)
    return (one.arm, model, f"{row.model}, {row.hardware}", *here, *map(figure, numbers))


def trouble_section(data: Dataset) -> list[Block]:
    """What a reader must know before believing a figure."""
    raw = data.raw
    missing = [reply for reply in raw.replies.values() if not reply.is_usable]
    found = []
    if raw.failures:
        found.append(f"{raw.failures} tries failed; they were asked again, and what succeeded then is counted.")
    if missing:
        reasons = sorted({reply.outcome if reply.outcome != OK else "energy or length unknown" for reply in missing})
        found.append(f"{len(missing)} requests are missing from every figure: {'; '.join(reasons[:3])}.")
    for flag, count in sorted(_flags(data).items()):
        found.append(f"{count} of {len(raw.replies)} replies carry the flag `{flag}` (see the page on metering).")
    by_when = {idle.when: idle.watts for idle in raw.idle}
    before, after = by_when.get("before"), by_when.get("after")
    if before is not None and after is not None:
        drift = after / before - 1 if before else 0.0
        found.append(f"Idle power was {figure(before)} W before and {figure(after)} W after: {drift:+.1%}.")
    else:
        found.append("Idle power before and after is not known.")
    return [Heading("What went wrong, and how quiet it was"), Bullets(found)]


def _flags(data: Dataset) -> dict[str, int]:
    flags: dict[str, int] = {}
    for reply in data.raw.replies.values():
        for flag in reply.quality:
            flags[flag] = flags.get(flag, 0) + 1
    return flags


def limits_section(data: Dataset) -> list[Block]:
    """How it was done, and how far that reaches."""
    lines = [
        (
            "Each request went through jevons, whose final value of `GET /v1/energy/{id}` is the figure: the device's counter, "
            "divided "
            "among the requests in flight by the work that each caused, so that the parts sum to the counter. Idle time is in no "
            "request."
        ),
        (
            "The order was randomised: at one in flight all arms' requests are interleaved; at more, arms take turns by block, "
            "since two arms in "
            "one batch would pay for each other's company. A block's batch is kept full by requests that are not counted."
        ),
        (
            f"Intervals are studentised bootstraps over prompts with {RESAMPLES:,} draws, repetitions averaged first. "
            f"They say how far other prompts of the same kind might differ, not how wrong the meter is; below {FEWEST} prompts "
            f"there are none."
        ),
        "GPU energy only unless processors are among the devices: no fans, no cooling, no network, no training.",
        "Forty prompts are somebody's choice, not a sample of what people ask.",
    ]
    if "simulated" in data.methods:
        lines.insert(
            0, "**Simulated**: no card drew these joules. The figures show what the method does, not what a model costs."
        )
    if "estimated" in data.methods:
        lines.insert(
            0,
            "**Estimated** arms were not measured by anybody: their tokens times a range of joules per token, see the study "
            "below.",
        )
    if any(reply.imposed_tokens is not None for reply in data.raw.replies.values()):
        lines.insert(
            0, "**Imposed lengths**: how long these answers are was laid down by the study, and says nothing about a model."
        )
    return [Heading("Method and limits"), Bullets(lines)]


def reproducibility_section(data: Dataset) -> list[Block]:
    """Everything that a repetition needs, and what would tell that it is none."""
    header = data.raw.header
    rows = [
        ("started", header.started_at),
        ("devices", ", ".join(header.devices) or "none that can be read"),
        *header.versions.items(),
        *((f"upstream {name}", model) for name, model in header.upstreams.items()),
        ("prompts", f"{header.study.get('prompts', 'article')}, hash {header.prompts_hash}"),
        ("fingerprint", header.fingerprint),
        ("runs", str(len(data.raw.headers))),
    ]
    seed = header.study.get("seed", 1)
    return [
        Heading("To do it again"),
        Table(("", ""), [(name, str(value)) for name, value in rows], text_columns=2),
        Paragraph(f"Seed {seed}. The study as it was written, without addresses and keys:"),
        Paragraph(f"`{json.dumps(header.study, ensure_ascii=False)}`"),
    ]
