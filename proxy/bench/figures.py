"""From visits to figures: one number per subject and round, then the median over the rounds and how far they lie apart."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from .load import Series
from .subjects import DIRECT
from .visits import Visit
from .workloads import WORKLOADS, Workload

REFERENCES: Final = ("nginx", "vllm-router")
"""What every figure is compared with."""
TOLERATED_FAILURES: Final = 0.001
"""The share of failed requests above which a figure is none."""
KEPT_PACE: Final = 0.9
"""Below this share of the events that were due, a proxy did not keep up."""
_MEGABYTE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the rounds in which there was one."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle round."""
        return statistics.median(self.values)

    @property
    def low(self) -> float:
        """The lowest round."""
        return min(self.values)

    @property
    def high(self) -> float:
        """The highest round."""
        return max(self.values)


@dataclass(frozen=True, slots=True)
class Figure:
    """One column: `value` takes a subject's visit and the visit without a proxy in the same round."""

    name: str
    title: str
    unit: str
    value: Callable[[Visit, Visit | None], float | None]


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of one subject, and its ratio to each reference, taken within each round."""

    spread: Spread
    ratios: dict[str, Spread]


Table = dict[str, dict[str, Cell]]
"""By subject, then by figure; what is not known has no cell."""


def tabulate(visits: Iterable[Visit], figures: Sequence[Figure]) -> Table:
    """Every figure of every subject that has it."""
    by_round: dict[int, dict[str, Visit]] = {}
    for visit in visits:
        by_round.setdefault(visit.round, {})[visit.subject] = visit
    rounds = [by_round[number] for number in sorted(by_round)]
    subjects = list(dict.fromkeys(name for visited in rounds for name in visited if name != DIRECT))
    table: Table = {}
    for subject in subjects:
        for figure in figures:
            values = [_value(figure, visited, subject) for visited in rounds]
            spread = _spread(values)
            if spread:
                ratios = {
                    reference: _ratio(values, [_value(figure, visited, reference) for visited in rounds])
                    for reference in REFERENCES
                    if reference != subject
                }
                known = {reference: ratio for reference, ratio in ratios.items() if ratio}
                table.setdefault(subject, {})[figure.name] = Cell(spread, known)
    return table


def _value(figure: Figure, visited: dict[str, Visit], subject: str) -> float | None:
    visit = visited.get(subject)
    return figure.value(visit, visited.get(DIRECT)) if visit else None


def _spread(values: Iterable[float | None]) -> Spread | None:
    known = tuple(value for value in values if value is not None)
    return Spread(known) if known else None


def _ratio(values: Iterable[float | None], references: Iterable[float | None]) -> Spread | None:
    """Round by round; none where the reference is 0 or less, as an added latency may be."""
    pairs = zip(values, references, strict=True)
    return _spread(value / other if value is not None and other is not None and other > 0 else None for value, other in pairs)


# ---- the figures


def cpu_us_per_unit(workload: Workload) -> Callable[[Visit, Visit | None], float | None]:
    """User and system time of the whole process tree per request, or per event of a stream, that the client received."""

    def value(visit: Visit, _: Visit | None) -> float | None:
        measured = visit.measurement(workload.name)
        if measured is None or measured.cpu is None or is_failing(measured.load.ok, measured.load.bad):
            return None
        units = measured.load.events if workload.events else measured.load.ok
        return measured.cpu.total * 1e6 / units if units else None

    return value


def is_failing(ok: int, bad: int) -> bool:
    """Whether too many requests failed for a figure to mean anything."""
    return bad > TOLERATED_FAILURES * (ok + bad)


def kept_pace(visit: Visit, workload: Workload) -> float | None:
    """The share of the events due at the workload's pace that came; None where it has no pace or was not run."""
    due, measured = workload.events_per_second, visit.measurement(workload.name)
    return measured.load.events / measured.load.seconds / due if due and measured else None


def _added_ms(workload: str, of: Callable[[Visit], float | None]) -> Callable[[Visit, Visit | None], float | None]:
    def value(visit: Visit, without: Visit | None) -> float | None:
        measured = visit.measurement(workload)
        if without is None or measured is None or is_failing(measured.load.ok, measured.load.bad):
            return None
        ours, base = of(visit), of(without)
        return (ours - base) / 1e3 if ours is not None and base is not None else None

    return value


def _latency(percentile: str) -> Callable[[Visit], float | None]:
    return lambda visit: _percentile(_series(visit, "calm", "latency_us"), percentile)


def _first_event(percentile: str) -> Callable[[Visit], float | None]:
    return lambda visit: _percentile(_series(visit, "calm-stream", "first_event_us"), percentile)


def _series(visit: Visit, workload: str, name: str) -> Series | None:
    measured = visit.measurement(workload)
    series: Series | None = getattr(measured.load, name) if measured else None
    return series


def _percentile(series: Series | None, percentile: str) -> float | None:
    return getattr(series, percentile) if series else None


def gap_p99_ms(name: str) -> Callable[[Visit, Visit | None], float | None]:
    """The longest of a hundred waits from one arrival of events to the next, within a stream; None where events fell behind."""
    workload = next(one for one in WORKLOADS if one.name == name)

    def value(visit: Visit, _: Visit | None) -> float | None:
        p99 = _percentile(_series(visit, name, "gap_us"), "p99")
        kept = kept_pace(visit, workload)
        return p99 / 1e3 if p99 is not None and kept is not None and kept >= KEPT_PACE else None

    return value


def _megabytes(size: int | None) -> float | None:
    return size / _MEGABYTE if size is not None else None


CPU_FIGURES: Final = tuple(
    Figure(
        workload.name,
        workload.title,
        "µs CPU per event" if workload.events else "µs CPU per request",
        cpu_us_per_unit(workload),
    )
    for workload in WORKLOADS
    if workload.is_charged
)
_ADDED: Final = "added latency, 50 requests per second"
_ADDED_FIRST: Final = "added time to the first event, 50 streams per second"
OTHER_FIGURES: Final = (
    Figure("added-p50", f"{_ADDED}, p50", "ms", _added_ms("calm", _latency("p50"))),
    Figure("added-p99", f"{_ADDED}, p99", "ms", _added_ms("calm", _latency("p99"))),
    Figure("added-first-p50", f"{_ADDED_FIRST}, p50", "ms", _added_ms("calm-stream", _first_event("p50"))),
    Figure("added-first-p99", f"{_ADDED_FIRST}, p99", "ms", _added_ms("calm-stream", _first_event("p99"))),
    Figure("gap-p99", "between arrivals, 256 streams, an event every 10 ms each, p99", "ms", gap_p99_ms("paced-256-10")),
    Figure("memory", "memory (PSS) after the last workload", "MB", lambda visit, _: _megabytes(visit.loaded_bytes)),
    Figure("memory-idle", "memory (PSS) after the first answer", "MB", lambda visit, _: _megabytes(visit.idle_bytes)),
    Figure("start", "from spawn to the first answer", "s", lambda visit, _: visit.start_seconds),
)
FIGURES: Final = (*CPU_FIGURES, *OTHER_FIGURES)
