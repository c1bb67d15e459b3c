"""A report: what the ledger holds of a time, summed by what one asks for. It reads, adds up, and formats nothing."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from jevons.exporters.ledger.statements import query
from jevons.exporters.ledger.store import Store

from ..units import Joules
from .period import Period, iso_minute
from .savings import Savings, make_savings
from .sums import Sums, Tariff, sums_of

DIMENSIONS: Final = ("upstream", "tenant", "route", "hour", "day", "model", "tier", "outcome")
HEAVIEST: Final = 10
UNKNOWN: Final = "(none)"
_SECONDS_PER_HOUR: Final = 3600
_HOURS_PER_DAY: Final = 24
_SCORE: Final = re.compile(r":-?\d+(\.\d+)?;")
"""A route that was decided by a score names it; routes are one for all scores."""

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where the grams of some requests come from: the source, and the least and the most that it said per kWh."""

    source: str
    requests: int
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Report:
    """All of it. Sums leave out the other arms of holdouts, which nobody asked for; the devices' accounts hold them."""

    period: Period
    by: tuple[str, ...]
    tariff: Tariff
    total: Sums
    groups: Mapping[Key, Sums]
    hours: Mapping[tuple[int, str], Sums]
    """By hour since 1970 and upstream."""
    methods: Mapping[str, int]
    """Requests by how their energy is known."""
    grid: Sequence[Provenance]
    savings: Savings
    accounts: Mapping[tuple[str, str], Joules]
    """By device and account."""
    heaviest: Sequence[Mapping[str, Any]]
    notes: Sequence[str]
    """What whoever reads the figures has to know."""

    @property
    def is_simulated(self) -> bool:
        """Whether any figure comes from a simulated device."""
        return "simulated" in self.methods


def make_report(store: Store, period: Period, by: Sequence[str], tariff: Tariff) -> Report:
    """Read it from an open store."""
    span = (period.since, period.until)
    rows = list(store.read(query("report_groups"), span))
    asked = [row for row in rows if not row["is_holdout"]]
    holdout = _sum([sums_of(row) for row in rows if row["is_holdout"]])
    pairs = [(_float(row["joules"]), _float(row["other_joules"])) for row in store.read(query("report_pairs"), span)]
    routed_direct = sum(int(str(row["requests"])) for row in asked if row["is_routed_direct"])
    total = _sum([sums_of(row) for row in asked])
    return Report(
        period=period,
        by=tuple(by),
        tariff=tariff,
        total=total,
        groups=_grouped(asked, by),
        hours={(hour, upstream): sums for (hour, upstream), sums in _fold(asked, _hour_and_upstream).items()},
        methods=_methods(asked),
        grid=_grid(asked),
        savings=make_savings(pairs, routed_direct, holdout.joules),
        accounts={
            (str(row["device"]), str(row["account"])): _float(row["joules"]) for row in store.read(query("report_accounts"), span)
        },
        heaviest=list(store.read(query("report_heaviest"), (*span, HEAVIEST))),
        notes=_notes(total, holdout, list(store.read(query("report_runs"), span))),
    )


def _float(value: object) -> float:
    return value if isinstance(value, float) else float(str(value))


def _sum(parts: Sequence[Sums]) -> Sums:
    return sum(parts, Sums())


def _fold(rows: Sequence[Mapping[str, Any]], key_of: Any) -> dict[Any, Sums]:
    folded: dict[Any, Sums] = defaultdict(Sums)
    for row in rows:
        folded[key_of(row)] += sums_of(row)
    return dict(folded)


def _grouped(rows: Sequence[Mapping[str, Any]], by: Sequence[str]) -> dict[Key, Sums]:
    """The heaviest first, but in the order of time where the first thing asked for is time."""
    groups: dict[Key, Sums] = _fold(rows, lambda row: tuple(_value(row, dimension) for dimension in by))
    if by and by[0] in {"hour", "day"}:
        return dict(sorted(groups.items()))
    return dict(sorted(groups.items(), key=lambda item: (-(item[1].joules or 0.0), item[0])))


def _hour_and_upstream(row: Mapping[str, Any]) -> tuple[int, str]:
    return row["hour"], _value(row, "upstream")


def _value(row: Mapping[str, Any], dimension: str) -> str:
    if dimension == "hour":
        return iso_minute(row["hour"] * _SECONDS_PER_HOUR)
    if dimension == "day":
        return iso_minute(row["hour"] // _HOURS_PER_DAY * _HOURS_PER_DAY * _SECONDS_PER_HOUR)[:10]
    value = row[dimension]
    if value is None:
        return UNKNOWN
    return _SCORE.sub(";", str(value)) if dimension == "route" else str(value)


def _methods(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    counted: dict[str, int] = defaultdict(int)
    for row in rows:
        counted[row["method"] or "unknown"] += row["requests"]
    return dict(sorted(counted.items()))


def _grid(rows: Sequence[Mapping[str, Any]]) -> list[Provenance]:
    found: dict[str, Provenance] = {}
    for row in rows:
        source = row["intensity_source"]
        if source is None:
            continue
        new = Provenance(source, row["gco2e_known"], row["least_intensity"], row["most_intensity"])
        old = found.get(source, Provenance(source, 0, new.least, new.most))
        found[source] = Provenance(source, old.requests + new.requests, min(old.least, new.least), max(old.most, new.most))
    return list(found.values())


def _notes(total: Sums, holdout: Sums, runs: Sequence[Mapping[str, Any]]) -> list[str]:
    notes = []
    if total.unknown_energy:
        notes.append(f"The energy of {total.unknown_energy} of {total.requests} requests is unknown and in no sum.")
    if total.gco2e is not None and total.unknown_gco2e:
        notes.append(f"The emissions of {total.unknown_gco2e} of {total.requests} requests are unknown and in no sum.")
    if dropped := sum(run["dropped"] for run in runs):
        notes.append(f"{dropped} rows could not be written and are missing: the accounts of the devices hold their energy.")
    notes += [
        f"The process that was last seen at {iso_minute(run['seen_at'])} UTC ended without a word: its last batch may be missing."
        for run in runs
        if run["state"] == "lost"
    ]
    if holdout.requests:
        notes.append(f"{holdout.requests} requests ran a second time on the other arm, as a holdout; they are in no sum here.")
    return notes
