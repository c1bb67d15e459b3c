"""The devices' accounts over time, in windows whose ends meet: what they gained sums to what the device has consumed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from jevons.proxy.metering_state import MeteringState
from jevons.proxy.units import Joules, Seconds

from .rows import AccountRow

WINDOW_SECONDS: Final[Seconds] = 60.0


@dataclass(slots=True)
class _Line:
    """One account of one device, and where its open window began."""

    window_start: float
    base: Joules
    seen: Joules


@dataclass(slots=True)
class AccountBook:
    """What has been written of the accounts. A window that is still open is written again, longer, until it ends.

    `rows` says what to write and `written` that it was: whatever was not, the next rows hold.
    """

    run_id: str
    started_at: float
    window_seconds: Seconds = WINDOW_SECONDS
    _lines: dict[tuple[str, str], _Line] = field(default_factory=dict)

    def rows(self, state: MeteringState, now: float) -> list[AccountRow]:
        """The open windows of the accounts that have gained something since they were last written."""
        found = []
        for device in state.devices:
            for account, total in device.accounts.items():
                carried = device.carried.get(account, 0.0)
                line = self._lines.get((device.device, account)) or _Line(self.started_at, carried, carried)
                if total != line.seen:
                    gained = total - line.base
                    found.append(AccountRow(self.run_id, device.device, account, line.window_start, now, gained, total))
        return found

    def written(self, rows: list[AccountRow]) -> None:
        """These are in the database; windows that have lasted long enough end with them."""
        for row in rows:
            base = row.total_joules - row.joules
            line = self._lines.setdefault((row.device, row.account), _Line(row.window_start, base, base))
            line.seen = row.total_joules
            if row.window_end - row.window_start >= self.window_seconds:
                line.window_start, line.base = row.window_end, row.total_joules
