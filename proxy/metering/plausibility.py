"""Whether an energy counter can be believed, by the power readings beside it.

AMD's counters have been seen to stand still, to run at a wrong rate and to go backward (ROCm/amdsmi issues 22, 38 and 115). Of
two sources that disagree neither can be vouched for, so that the device is refused, with both figures as the reason, until they
agree again. A counter is not believed before it has been compared: a wrong rate would else be booked from the first second on.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from ..units import Joules, Seconds, Watts

TRIAL_SECONDS: Final = 5.0
WINDOW_SECONDS: Final = 60.0
MARGIN: Final = 0.25
"""Far beyond what two sound sensors differ by, and far below the faults that were seen."""
_POWER_LAG_SECONDS: Final = 2.0
"""Power readings are means over a second or so: while the power changes they may lie behind by so much."""
_POINT_SECONDS: Final = 0.25
_LONGEST_PAUSE_SECONDS: Final = 2.0
"""Over a longer one, the integral of the power says nothing."""
_FULLEST: Final = round(WINDOW_SECONDS / _POINT_SECONDS) + 1


@dataclass(frozen=True, slots=True)
class _Point:
    at: Seconds
    counter: Joules
    power: Joules
    """The integral of the power since the window's beginning."""
    lowest: Watts
    highest: Watts


class CounterCheck:
    """One device's counter against its power, over a sliding window of a minute."""

    def __init__(self) -> None:
        self._points: deque[_Point] = deque(maxlen=_FULLEST)
        self._last: tuple[Seconds, Joules, Watts] | None = None
        self._power: Joules = 0.0
        self._range: tuple[Watts, Watts] | None = None
        self._verdict: str | None = f"comparing the energy counter with the power readings for {TRIAL_SECONDS:.0f} s first"

    def judge(self, at: Seconds, joules: Joules, watts: Watts) -> str | None:
        """Take one reading of both; returns why the counter is not to be believed, None where it is."""
        last, self._last = self._last, (at, joules, watts)
        if last is not None and joules < last[1]:
            self._begin()
            self._verdict = f"the energy counter went backward, from {last[1]:.1f} J to {joules:.1f} J"
        elif last is not None and at - last[0] > _LONGEST_PAUSE_SECONDS:
            self._begin()
        elif last is not None:
            self._power += (watts + last[2]) / 2 * (at - last[0])
        lowest, highest = self._range or (watts, watts)
        self._range = (min(lowest, watts), max(highest, watts))
        if not self._points or at - self._points[-1].at >= _POINT_SECONDS:
            self._points.append(_Point(at, joules, self._power, *self._range))
            self._range = None
            self._compare()
        return self._verdict

    def _begin(self) -> None:
        self._points.clear()
        self._power = 0.0
        self._range = None

    def _compare(self) -> None:
        """Renew the verdict, where the window is long enough for one."""
        first, last = self._points[0], self._points[-1]
        seconds = last.at - first.at
        if seconds < TRIAL_SECONDS:
            return
        counter, power = last.counter - first.counter, last.power - first.power
        swing = max(point.highest for point in self._points) - min(point.lowest for point in self._points)
        if counter == power == 0.0:
            self._verdict = "counter and power stay at 0: another die of the same card may carry its figures"
        elif abs(counter - power) > MARGIN * max(counter, power) + swing * _POWER_LAG_SECONDS:
            self._verdict = f"its counter says {counter:.1f} J and its power {power:.1f} J of the same {seconds:.0f} s"
        else:
            self._verdict = None
