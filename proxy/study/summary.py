"""A study in a few lines, and as JSON for programs."""

from __future__ import annotations

from typing import Any

from .bootstrap import RESAMPLES
from .compare import interval_json
from .dataset import ArmFigures, Dataset
from .decomposition import by_totals
from .raw import Raw
from .wording import figure, methods_text, span


def summary_lines(raw: Raw) -> list[str]:
    """The method, a line per arm and level, a line per comparison."""
    data = Dataset(raw)
    lines = [f"method: {methods_text(data.methods)}"]
    lines += [
        f"{one.arm}, {one.level} in flight: {span(one.joules)} J/response, {span(one.per_token)} J/token, "
        f"{figure(one.tokens.value)} tokens"
        for one in _figures(data, RESAMPLES)
    ]
    for level in data.levels:
        for arm in data.arms:
            pairs = data.pairs(data.baseline, arm, level) if arm != data.baseline else []
            if pairs:
                found = by_totals(pairs)
                lines.append(
                    f"{arm} over {data.baseline}, {level} in flight: energy {span(found.energy)} = length {span(found.length)} "
                    f"x J/token {span(found.per_token)}"
                )
    return lines


def summary_json(raw: Raw, *, resamples: int = RESAMPLES) -> dict[str, Any]:
    """The same with every figure."""
    data = Dataset(raw)
    comparisons = []
    for level in data.levels:
        for arm in data.arms:
            pairs = data.pairs(data.baseline, arm, level) if arm != data.baseline else []
            if pairs:
                found = by_totals(pairs, resamples=resamples)
                ratios = {"energy": found.energy, "length": found.length, "joules_per_token": found.per_token}
                comparisons.append(
                    {
                        "arm": arm,
                        "baseline": data.baseline,
                        "in_flight": level,
                        "prompts": len(pairs),
                        "ratios": {name: interval_json(interval) for name, interval in ratios.items()},
                    }
                )
    return {
        "name": raw.header.name,
        "method": methods_text(data.methods) if data.methods else None,
        "arms": [_arm_json(one) for one in _figures(data, resamples)],
        "comparisons": comparisons,
        "failures": raw.failures,
        "missing": sum(not reply.is_usable for reply in raw.replies.values()),
    }


def _figures(data: Dataset, resamples: int) -> list[ArmFigures]:
    found = (data.figures(arm, level, resamples=resamples) for level in data.levels for arm in data.arms)
    return [one for one in found if one is not None]


def _arm_json(one: ArmFigures) -> dict[str, Any]:
    return {
        "arm": one.arm,
        "in_flight": one.level,
        "prompts": one.prompts,
        "responses": one.replies,
        "joules_per_response": interval_json(one.joules),
        "joules_per_token": interval_json(one.per_token),
        "tokens": interval_json(one.tokens),
        "words": one.words,
        "reasoning_share": one.reasoning_share,
        "watts": one.watts,
        "seconds": one.seconds,
        "right": one.score,
        "joules_per_right_answer": one.joules_per_right,
        "method": methods_text(one.methods) if one.methods else None,
    }
