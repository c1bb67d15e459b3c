"""What a metric is, as data: its name, its kind, its labels and what it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

OTHER: Final = "other"
"""The label value of whatever the configuration does not name."""


@dataclass(frozen=True, slots=True)
class Label:
    """One label. `values` where they are few and fixed; else they are names from the configuration, or devices."""

    name: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Metric:
    """One family of series, under the name it is served by."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    unit: str
    labels: tuple[Label, ...]
    help: str
    buckets: tuple[float, ...] = ()

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels in their order."""
        return tuple(label.name for label in self.labels)
