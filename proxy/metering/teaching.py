"""What the energy models of engines learn from a bin that settles.

Engines that have a device in common learn together: what it consumed is what all of them have done. With others past the proxy
the work that their server's counters tell of is added, in longer windows, since it is not known to the bin. Where most tokens
were only expected, the bin waits until their replies are there (`hindsight`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from .account import Quantities
from .fitting import WINDOW_SECONDS, Regression, Seen
from .hindsight import Window

if TYPE_CHECKING:
    from .settlement import Bill, Bin, Reading

_MOST_UNSEEN: Final = 0.6
"""Of a bin's work, the share that may be expected and not seen where it is to teach anything at once."""
_MOST_PROMPTS: Final = 0.12
"""Of all that is done, the prompts of others: of more, when they were read would hide what prompts cost."""
_MOST_ENGINES: Final = 4
"""On the same devices. Of more, too little could be told apart, and it would take too long."""
_BYPASS_WINDOW_SECONDS: Final = 4.0
"""Long against the time between two readings of a server's counters."""
_MISPLACED: Final = 0.5
"""Of the prompt tokens of others in a bin, squared: what the sum over a window is off by, since their time is not known."""


def teach(bill: Bill, settling: Bin) -> None:
    """Let an engine's energy model, and those of all that share a device with it, learn from a bin.

    Of several the last one's turn is that of all.
    """
    members = _members(bill, settling.bills)
    if members[-1] is not bill or not all(member.engine.learns for member in members):
        return
    regression = _regression(members)
    readings = _readings(members, settling)
    seconds = settling.end - settling.begin
    idle_seconds = max(0.0, seconds - max(reading.busy_seconds for reading in readings)) if readings else 0.0
    is_clean = bool(readings) and all(reading.is_clean for reading in readings) and len(members) <= _MOST_ENGINES
    joules = sum([reading.joules for reading in readings])
    unseen, base = sum([member.unseen for member in members]), sum([member.total.base for member in members])
    is_seen = unseen <= _MOST_UNSEEN * base
    if len(members) == 1:
        is_late = is_clean and not is_seen and bill.bypass.base == 0.0
        _look_back(bill, Window(settling.begin, settling.end, Quantities(), joules, idle_seconds, is_late), regression)
    others = [_knows_others(member) for member in members]
    if is_clean and is_seen and all(others):
        has_others = any(member.bypass.base > 0.0 for member in members)
        regression.see(
            [_seen(member) for member in members],
            joules,
            seconds=seconds,
            idle_seconds=idle_seconds,
            wanted=_BYPASS_WINDOW_SECONDS if has_others else WINDOW_SECONDS,
        )
    else:
        regression.skip()
    for member in members:
        member.engine.coefficients = member.engine.fit.coefficients


def _members(bill: Bill, bills: Sequence[Bill]) -> list[Bill]:
    """The bills of all engines that share a device with this one, or with one that does; the host's processors do not count."""
    boards, count = set(bill.engine.boards), 0
    found = [bill]
    while len(bills) > 1 and len(boards) > count:
        count = len(boards)
        found = [other for other in bills if other is bill or boards.intersection(other.engine.boards)]
        boards.update(*(other.engine.boards for other in found))
    return found


def _regression(members: Sequence[Bill]) -> Regression:
    """The one that all of them have, or another where the engines are not the same any more."""
    fits = tuple(member.engine.fit for member in members)
    if fits[0].regression.fits != fits:
        regression = Regression(fits)
        for fit in fits:
            fit.regression = regression
    return fits[0].regression


def _readings(members: Sequence[Bill], settling: Bin) -> list[Reading]:
    """Those of all boards; none where one is missing."""
    boards = {name for member in members for name in member.engine.boards}
    readings = [settling.readings[name] for name in sorted(boards) if name in settling.readings]
    return readings if len(readings) == len(boards) else []


def _seen(bill: Bill) -> Seen:
    """All that was done at one engine."""
    engine = bill.engine
    engine.fit.tokens_per_step = engine.tokens_per_chunk.value / engine.steps_per_chunk
    each = engine.coefficients.joules_per_prompt_token
    variance = bill.unsure.variance * engine.length_doubt_share / each**2 if each > 0.0 else 0.0
    if bill.others is None:
        return Seen(bill.work, variance)
    work = Quantities()
    work.absorb(bill.work)
    work.absorb(bill.others)
    return Seen(work, variance + _MISPLACED * bill.others.prompt**2)


def _knows_others(bill: Bill) -> bool:
    """Whether all that others did in the bin is known well enough to learn from, or nothing was done by them."""
    if bill.bypass.base == 0.0:
        return True
    prompts = bill.engine.prompts_of_others
    prompts.see(bill.bypass.prompt, bill.total.base)
    return bill.others is not None and prompts.value <= _MOST_PROMPTS


def _look_back(bill: Bill, latest: Window, regression: Regression) -> None:
    """Keep what was seen of a bin with replies that were not, and learn from those of which all is known by now."""
    hindsight = bill.engine.hindsight
    if hindsight.is_empty and bill.unseen_work.tokens <= 0.0:
        return
    latest.work.absorb(bill.work)
    latest.work.add(bill.unseen_work, -1.0)
    for window in hindsight.see(latest, bill.engine):
        regression.skip()
        regression.see([Seen(window.work)], window.joules, seconds=window.seconds, idle_seconds=window.idle_seconds)
