"""A time of the day and of the week, in a zone: `08:00` to `18:00`, Monday to Friday, in Berlin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo
from typing import Final

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Hours:
    """From `start`, included, to `end`, excluded; over midnight where that is not after it. `days` are those of the start."""

    start: time = time(0)
    end: time = time(0)
    days: Sequence[str] = DAYS
    zone: tzinfo = UTC

    def hold(self, unix_seconds: float) -> bool:
        """Whether this moment is among them."""
        now = datetime.fromtimestamp(unix_seconds, self.zone)
        today, clock = now.weekday(), now.time()
        if self.start < self.end:
            return DAYS[today] in self.days and self.start <= clock < self.end
        return (clock >= self.start and DAYS[today] in self.days) or (clock < self.end and DAYS[today - 1] in self.days)
