"""What was done when, of replies that nobody saw arrive: told once they are there.

Who decodes on an engine has a token of every step, whoever he is. So a reply of `n` tokens that were decoded from `a` to `b` says
that the engine made `n` steps in that time; many of them, that begin and end at different times, say how many it made in every
second. These are the equations of tomography, solved here by Kaczmarz's method (1937), from an even rate on. With it each reply's
tokens are known by second, as if they had been streamed.

That is too late for charging, since bins settle within a second, and early enough for learning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ..units import Joules, Seconds
from .account import Quantities

if TYPE_CHECKING:
    from .engine import Engine
    from .work import Work

WINDOW_SECONDS: Final = 1.0
KEPT_WINDOWS: Final = 40
MARGIN_WINDOWS: Final = 10
"""At either end of what is kept: told with the windows before or after, when more is known of the replies that cross it."""
_SWEEPS: Final = 10
_RELAXATION: Final = 0.5
"""Of a reply's error, what one look at it puts right: lengths and edges are not exact."""
_INSTANT: Final = 1e-6


@dataclass(slots=True)
class Window:
    """What is known of about a second. Its work is that of the replies which were seen, until the others are added."""

    begin: Seconds
    end: Seconds
    work: Quantities = field(default_factory=Quantities)
    joules: Joules = 0.0
    idle_seconds: Seconds = 0.0
    is_wanted: bool = True

    @property
    def seconds(self) -> Seconds:
        """How long it is."""
        return self.end - self.begin


@dataclass(frozen=True, slots=True)
class _Reply:
    begin: Seconds
    read: Seconds
    """When its prompt had been read, and decoding began."""
    end: Seconds
    prompt: float
    """Tokens, of each sequence; `fresh` are those that had to be read."""
    fresh: float
    steps: float | None
    """In which it was decoded; None where nobody has counted its tokens."""
    sequences: int


class Hindsight:
    """The last seconds of one engine, and the replies in them that nobody saw."""

    def __init__(self) -> None:
        self._windows: list[Window] = []
        self._replies: list[_Reply] = []
        self._told = 0
        """The first so many windows have been."""

    @property
    def is_empty(self) -> bool:
        """Whether nothing is kept."""
        return not self._windows

    def clear(self) -> None:
        """Forget it all: what comes next does not follow on what was."""
        self._windows, self._replies, self._told = [], [], 0

    def see(self, latest: Window, engine: Engine) -> list[Window]:
        """Take the next bin, with the work in it that was seen; returns windows of which all is known now, where wanted."""
        if self._windows and latest.begin > self._windows[-1].end + _INSTANT:
            self.clear()
        for work in engine.works:
            ended = work.account.ended
            if not work.account.is_seen and ended is not None and latest.begin <= ended < latest.end:
                self._replies.append(_reply(work, ended, engine))
        if not self._windows or self._windows[-1].seconds >= WINDOW_SECONDS - _INSTANT:
            self._windows.append(Window(latest.begin, latest.begin))
        window = self._windows[-1]
        window.end = latest.end
        window.work.absorb(latest.work)
        window.joules += latest.joules
        window.idle_seconds += latest.idle_seconds
        window.is_wanted &= latest.is_wanted
        if len(self._windows) < KEPT_WINDOWS or window.seconds < WINDOW_SECONDS - _INSTANT:
            return []
        return self._tell(engine, latest.end)

    def _tell(self, engine: Engine, now: Seconds) -> list[Window]:
        works = [work for work in engine.works if not work.account.is_seen and work.account.ended is None]
        replies = [*self._replies, *(_reply(work, now, engine) for work in works)]
        if not replies:
            self.clear()
            return []
        told = range(self._told, len(self._windows) - MARGIN_WINDOWS)
        self._enter(replies, self._rates(engine.tokens_per_second.value), told)
        found = [self._windows[index] for index in told if self._windows[index].is_wanted]
        self._windows = self._windows[-2 * MARGIN_WINDOWS :]
        self._told = MARGIN_WINDOWS
        self._replies = [reply for reply in self._replies if reply.end > self._windows[0].begin]
        return found

    def _rates(self, usual: float) -> list[float]:
        """Steps per second in every window."""
        equations = []
        for reply in self._replies:
            parts = list(self._parts(reply.read, reply.end))
            if reply.steps is not None and reply.read >= self._windows[0].begin and parts:
                equations.append((parts, sum([seconds * seconds for _, seconds in parts]), reply.steps))
        seconds = sum([part for parts, _, _ in equations for _, part in parts])
        even = sum([steps for _, _, steps in equations]) / seconds if seconds > 0.0 else usual
        rates = [even] * len(self._windows)
        for _ in range(_SWEEPS):
            for parts, square, steps in equations:
                change = _RELAXATION * (steps - sum([rates[index] * part for index, part in parts])) / square
                for index, part in parts:
                    rates[index] = max(0.0, rates[index] + change * part)
        return rates

    def _enter(self, replies: list[_Reply], rates: list[float], told: range) -> None:
        """Add what the replies had done in some windows to the work that was seen there."""
        in_flight = [0.0] * len(self._windows)
        for reply in replies:
            self._enter_tokens(reply, rates, told)
            for index, seconds in self._parts(reply.begin, reply.end):
                in_flight[index] += seconds
            reading = max(reply.read - reply.begin, _INSTANT)
            for index, seconds in self._parts(reply.begin, reply.begin + reading):
                if index in told:
                    self._windows[index].work.prompt += reply.fresh * seconds / reading
        for index in told:
            window = self._windows[index]
            steps = rates[index] * min(window.seconds - window.idle_seconds, in_flight[index])
            window.work.steps = max(window.work.steps, steps)

    def _enter_tokens(self, reply: _Reply, rates: list[float], told: range) -> None:
        parts = list(self._parts(reply.read, reply.end))
        expected = sum([rates[index] * seconds for index, seconds in parts])
        is_whole = reply.steps is not None and reply.read >= self._windows[0].begin and expected > 0.0
        scale = reply.steps / expected if is_whole and reply.steps is not None else 1.0
        decoded = 0.0 if is_whole or reply.steps is None else max(0.0, reply.steps - expected)
        for index, seconds in parts:
            steps = rates[index] * seconds * scale
            if index in told:
                work = self._windows[index].work
                work.tokens += steps * reply.sequences
                work.context += steps * reply.sequences * (reply.prompt + decoded + steps / 2)
            decoded += steps

    def _parts(self, begin: Seconds, end: Seconds) -> Iterator[tuple[int, Seconds]]:
        """The windows between two times, and how long each is within."""
        first, width = self._windows[0].begin, self._windows[0].seconds
        for index in range(max(0, int((begin - first) // width)), len(self._windows)):
            since = first + index * width
            if since >= end:
                return
            seconds = min(end, since + width) - max(begin, since)
            if seconds > 0.0:
                yield index, seconds


def _reply(work: Work, end: Seconds, engine: Engine) -> _Reply:
    account, seen = work.account, work.seen(end)
    reading = engine.seconds_of(seen.fresh * engine.coefficients.joules_per_prompt_token) or 0.0
    is_counted = account.ended is not None and account.output is not None
    steps = max(0.0, (account.output or 0) / account.sequences - 1.0) if is_counted else None
    read = min(end, account.started + reading)
    return _Reply(account.started, read, end, seen.prompt / account.sequences, seen.fresh, steps, account.sequences)
