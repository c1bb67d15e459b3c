"""What a server has counted against what passed through the proxy: whose the difference is. Pure.

Three things look like tokens of others and are not. What may still be counted, or is on its way, of attempts in flight: the
`leeway`, a level that comes and goes with them. What the server did for attempts that were given up, between the last token that
arrived and the moment at which it noticed: `unseen`, an amount per attempt, which counts at the two readings after its end, and
later only as far as the doubts about those in flight can have hidden it until then. And differences in counting: a band, whose
content is forgotten bit by bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BAND_TOKENS: Final = 32.0
BAND_SHARE: Final = 0.02
"""Of what was served. What differs by less may be a difference in counting."""
_BAND_KEPT: Final = 0.8
_STARTING_SHARE: Final = 0.05
"""Of what a server may have done for those who have left, what it has done, until that has been seen."""
_STARTING_WEIGHT: Final = 64.0
"""In tokens of what it may have done: by so many it is believed."""
_SURE: Final = 3.0
"""Nobody else is suspected as long as it is no more than so many times the usual."""
_FORGETTING: Final = 0.02


@dataclass(slots=True)
class Balance:
    """Tokens of one kind: what was served less what was seen, less what has been found. Negative: the server counts later."""

    least: float = 1.0
    """Of what may have been done unseen, the part that is always believed before others are suspected."""
    surplus: float = 0.0
    late_tokens: float = 0.0
    """Served for attempts that had been given up, as far as it shows; since the start."""
    _last: tuple[float, float, float] | None = None
    _kept: float = 0.0
    """Of what may have been done unseen for those who left before the last reading, what has not shown yet."""
    _hidden: float = 0.0
    """Of what may have been done for those before them, as much as can have been taken for tokens of attempts in flight."""
    _late: float = _STARTING_SHARE * _STARTING_WEIGHT
    _may_be_late: float = _STARTING_WEIGHT

    @property
    def late_share(self) -> float:
        """Of what a server may have done for those who have left, what it usually does."""
        return self._late / self._may_be_late

    def begin_anew(self) -> None:
        """Compare from the next reading on."""
        self.surplus, self._last, self._kept, self._hidden = 0.0, None, 0.0, 0.0

    def observe(
        self, served: float, seen: float, leeway: float, *, doubt: float = 0.0, unseen: float = 0.0, is_suspected: bool = False
    ) -> float:
        """Compare all since the last time; returns the tokens of others, at least 0.

        Args:
            served: What the server has counted.
            seen: What passed through, `leeway` included.
            leeway: How far, at most, the server may lag behind: what is missing beyond that will never be counted.
            doubt: Of `leeway`, what has not arrived and may have been served.
            unseen: Over all attempts that were given up, what the server may have done for each beyond what arrived.
            is_suspected: Others are known to be about: then of what may have been done unseen only the usual part is taken off.
        """
        last, self._last = self._last, (served, seen, unseen)
        if last is None or served < last[0]:  # the first reading, or a server that was started anew
            self.surplus, self._kept, self._hidden = -leeway, 0.0, 0.0
            return 0.0
        served_since, seen_since = served - last[0], seen - last[1]
        self.surplus = max(self.surplus + served_since - seen_since, -(leeway + max(0.0, seen_since)))
        band = BAND_TOKENS + BAND_SHARE * served_since
        self._take_late(max(0.0, unseen - last[2]), band, doubt, is_suspected=is_suspected)
        if self.surplus <= band:
            if self.surplus > 0.0:
                self.surplus *= _BAND_KEPT
            return 0.0
        found, self.surplus = self.surplus, 0.0
        return found

    def _take_late(self, left_since: float, band: float, doubt: float, *, is_suspected: bool) -> None:
        """Take off what is late work of attempts that were given up, and learn how much that usually is."""
        may_be, surplus = self._kept + left_since, max(0.0, self.surplus)
        usual = self.late_share
        most = may_be * min(1.0, max(self.least, _SURE * usual))
        is_usual = not is_suspected and surplus <= most + self._hidden + band
        late = min(surplus, most if is_usual else usual * left_since)
        from_before = min(surplus - late, self._hidden) if is_usual else 0.0
        self.surplus -= late + from_before
        self.late_tokens += late + from_before
        self._kept = min(left_since, may_be - late)
        self._hidden = min(doubt, self._hidden - from_before + may_be - late - self._kept)
        if is_usual and may_be > 0.0:
            self._late += late + from_before - _FORGETTING * self._late
            self._may_be_late += left_since - _FORGETTING * self._may_be_late
