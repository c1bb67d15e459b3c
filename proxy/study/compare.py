"""Two studies beside each other, arm by arm and prompt by prompt: before and after a change, one card against another."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import JevonsError
from .bootstrap import RESAMPLES, Interval
from .dataset import Dataset, pair_cells
from .decomposition import Decomposition, by_totals
from .raw import Raw


@dataclass(frozen=True, slots=True)
class Comparison:
    """One arm of the first study against one of the second, at one level; ratios are second over first."""

    arms: tuple[str, str]
    level: int
    prompts: int
    totals: Decomposition


def compare_studies(first: Raw, second: Raw, arms: tuple[str, str] | None, *, resamples: int = RESAMPLES) -> list[Comparison]:
    """Arms of the same name, or the two named ones. Raises JevonsError where nothing can be paired, or what is paired differs."""
    a, b = Dataset(first), Dataset(second)
    if first.header.prompts_hash != second.header.prompts_hash:
        raise JevonsError("the two studies asked different prompts: nothing can be paired")
    if a.methods != b.methods:
        raise JevonsError(f"one study is {_said(a)}, the other {_said(b)}: their joules are not of one kind")
    both = [arms] if arms else [(arm, arm) for arm in a.arms if arm in b.arms]
    if not both:
        raise JevonsError(f"no arm is in both: {', '.join(a.arms)} and {', '.join(b.arms)}; name one of each with --arms A B")
    found = []
    for one, other in both:
        for level in sorted(set(a.levels) & set(b.levels)):
            pairs = pair_cells(a.cells(one, level), b.cells(other, level))
            if pairs:
                found.append(Comparison((one, other), level, len(pairs), by_totals(pairs, resamples=resamples)))
    if not found:
        raise JevonsError("no prompt was answered in both studies by these arms at the same number of requests in flight")
    return found


def comparison_json(one: Comparison) -> dict[str, object]:
    """For programs."""
    totals = one.totals
    ratios = {"energy": totals.energy, "length": totals.length, "joules_per_token": totals.per_token}
    return {
        "arms": list(one.arms),
        "in_flight": one.level,
        "prompts": one.prompts,
        "ratios": {name: interval_json(interval) for name, interval in ratios.items()},
    }


def interval_json(interval: Interval) -> dict[str, float | None]:
    """For programs."""
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def _said(data: Dataset) -> str:
    return " and ".join(sorted(data.methods)) or "without energy"
