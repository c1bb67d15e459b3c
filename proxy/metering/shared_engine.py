"""An engine whose steps are shared with the sequences of other processes."""

from __future__ import annotations

from ..exchange import Coefficients
from ..units import Seconds
from .engine import Engine
from .shared_counts import Plane, Row


class SharedEngine(Engine):
    """As one worker sees it: its own accounts, and of the others how many sequences they have.

    Args:
        name: The upstream's.
        coefficients: Its energy model.
        row: The worker's row of the shared table.
        slot: The engine's place in it.
        bin_seconds: The width of a bin.
        doubt: How far off, relative, the ratios of the energy model's terms may be.
    """

    def __init__(self, name: str, coefficients: Coefficients, row: Row, slot: int, *, bin_seconds: Seconds, doubt: float) -> None:
        super().__init__(name, coefficients, (), bin_seconds=bin_seconds, doubt=doubt)
        self.learns = False  # the owner of the devices does, and tells
        self._row = row.number
        self._decoding = row.column(Plane.DECODING, slot)
        self._reading = row.column(Plane.READING, slot)
        self._in_flight = row.column(Plane.IN_FLIGHT, slot)
        self._seen_decoding = self._seen_reading = 0
        """How many decode, and how many only read a prompt, in all processes, as steps were last divided."""
        self.flying = 0
        """Attempts of ours in flight."""

    def fly(self, change: int) -> bool:
        """So many attempts more, or less, are in flight; returns whether that is the first, or was the last."""
        before = self.flying
        self.flying = self._in_flight[self._row] = before + change
        return before == 0 or self.flying == 0

    @property
    def flying_everywhere(self) -> int:
        """Attempts in flight in all processes."""
        return sum(self._in_flight)

    def _resize(self, decoding: int, now: Seconds) -> None:
        self.decoding = self._decoding[self._row] = decoding
        everywhere = self._seen_decoding = sum(self._decoding)
        self.step_shares.advance(now)
        self.step_shares.value = self.step_share = 1.0 / everywhere if everywhere > 1 else 1.0

    def read(self, attempts: int, now: Seconds) -> None:
        """So many attempts more, or less, are in flight that only read a prompt."""
        self.reading += attempts
        self._reading[self._row] = self.reading
        everywhere = self._seen_reading = sum(self._reading)
        self.read_shares.change(now, 1.0 / everywhere if everywhere > 1 else 1.0)

    def look(self, now: Seconds) -> None:
        """See whether others have come or gone: of use while something of ours is in flight."""
        if self.flying and self._seen_decoding != sum(self._decoding):
            self._resize(self.decoding, now)
        if self.flying and self._seen_reading != sum(self._reading):
            self.read(0, now)
