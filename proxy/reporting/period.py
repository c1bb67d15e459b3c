"""The time that a report is about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ..errors import JevonsError

_AGO: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d|w)")
_SECONDS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


class BadPeriod(JevonsError):
    """A time that cannot be read."""


@dataclass(frozen=True, slots=True)
class Period:
    """From a Unix time to another, the second not included."""

    since: float
    until: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.until - self.since

    @property
    def text(self) -> str:
        """For people, in UTC."""
        return f"{iso_minute(self.since)} to {iso_minute(self.until)} UTC"


def make_period(since: str, until: str | None, now: float) -> Period:
    """`24h`, `7d` (ago), or an ISO time such as `2026-11-23T12:00`, which is UTC where it names no zone. Raises BadPeriod."""
    period = Period(_moment(since, now), now if until is None else _moment(until, now))
    if period.seconds <= 0.0:
        raise BadPeriod(f"the time ends ({iso_minute(period.until)}) before it begins ({iso_minute(period.since)})")
    return period


def _moment(text: str, now: float) -> float:
    if match := _AGO.fullmatch(text.strip()):
        return now - float(match[1]) * _SECONDS[match[2]]
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadPeriod(f"{text!r} is no time: give 30m, 24h, 7d, 4w or 2026-11-23T12:00") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def iso_minute(unix_seconds: float) -> str:
    """Such as `2026-11-23 12:41`, in UTC."""
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%d %H:%M")
