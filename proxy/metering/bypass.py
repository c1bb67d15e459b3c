"""Work that reached a model server past the proxy: found in the server's own counters, and given a share of its own. Pure.

What a server says it has served, less what passed through here, was asked for by somebody else. Engines count at different
moments and the proxy learns some counts late, so the comparison is one-sided: everything that may be ours is taken to be ours,
what is missing one time is carried over to the next, and no less than nothing is ever found. The rest becomes work in the open
bins, as that of a request would, whose charge goes to the account `bypass`.

Who decodes with others shares their steps. Sequences in the batch are as their tokens, so of the `S` steps that `g` tokens of
ours were decoded in, `b` tokens of others bear `S x b/(g + b)`, and ours what is left.

Who leaves is decoded for until the server has noticed, and what was on the way then never arrives: such tokens are late work of
the attempt that was given up, and no traffic of others (`balance.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from ..metering_state import BypassState
from ..observed import ServedTokens
from ..units import Seconds
from .account import Quantities
from .balance import Balance
from .bins import spread

SUSPECTED_SECONDS: Final[Seconds] = 30.0
"""After tokens of others were last seen, so long a server is watched closely, and bins wait for its counters."""
LONGEST_HOLD_SECONDS: Final[Seconds] = 3.0
"""A server that has not answered for so long holds no bins."""
SILENT_SECONDS: Final[Seconds] = 10.0
"""A server that has not answered for so long is one whose counters are not read."""
SMOOTHING_SECONDS: Final[Seconds] = 10.0
"""Output that is counted when its request is over was made before: it is given to the time after, over so long."""
LONGEST_INTERVAL_SECONDS: Final[Seconds] = 10.0
"""Between two readings; of a longer one the earlier part is given up, since all who could share it have paid."""
DEFAULT_CONTEXT: Final = 512.0
"""Of a token of others, until one of ours has shown what is usual."""
_UNEVEN: Final = 1.25
_USUAL: Final = 0.25
"""Per bin: steps of ours are what they have been in the last second, where they are fewer in this bin alone."""
_LEAST_OF_PROMPTS: Final = 1.0
_LEAST_OF_OUTPUT: Final = 0.25
"""As `Balance.least`: prompts are guessed one by one, and how late a server notices is much the same from one to the next."""


class Seen(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one attempt as the proxy knows them so far; `prompt_doubt` and `output_doubt` say how well."""

    prompt: float
    fresh: float
    """Of `prompt`, those that were not in the server's cache."""
    output: float
    prompt_doubt: float = 0.0
    output_doubt: float = 0.0
    prompt_unseen: float = 0.0
    """Beyond `prompt`, what the server may have counted for it, and for others in the same way; `output_unseen` likewise."""
    output_unseen: float = 0.0


class Attempts(Protocol):
    """What a watch must know of an engine's attempts."""

    def seen(self, now: Seconds) -> Iterable[Seen]:
        """Those in flight."""
        ...


@dataclass(slots=True)
class Done:
    """Tokens of the attempts that are over, since the start."""

    prompt: float = 0.0
    fresh: float = 0.0
    output: float = 0.0
    prompt_unseen: float = 0.0
    """Beyond `prompt`, what the server may have counted for those that it has told nothing of; `output_unseen` likewise."""
    output_unseen: float = 0.0

    def add(self, seen: Seen) -> None:
        """One more is over."""
        self.prompt += seen.prompt
        self.fresh += seen.fresh
        self.output += seen.output
        self.prompt_unseen += seen.prompt_unseen + seen.prompt_doubt
        self.output_unseen += seen.output_unseen + seen.output_doubt


class BypassWork:
    """The work of others on one engine, bin by bin."""

    def __init__(self, bin_seconds: Seconds) -> None:
        self.width = bin_seconds
        self.bins: dict[int, Quantities] = {}
        self.done = Done()
        """Of ours."""
        self.prompt_tokens = 0.0
        """Of others, found so far; `output_tokens` likewise."""
        self.output_tokens = 0.0
        self.is_watched = False
        """Whether the server's counters are read, as `mark` last found."""
        self.late_share = 0.0
        """Of what the server may have decoded unseen for an attempt that is given up, what it usually does."""
        self._context = DEFAULT_CONTEXT
        self._usual_steps = 0.0
        """Of ours, in a bin."""

    @property
    def state(self) -> BypassState:
        """For those who present it."""
        return BypassState(self.is_watched, self.prompt_tokens, self.output_tokens)

    def deposit(self, begin: Seconds, end: Seconds, work: Quantities, oldest_open: int) -> None:
        """Spread work over the time from `begin` to `end`; what belongs to settled bins over as much time after `end`."""
        settled_until = oldest_open * self.width
        late = min(1.0, max(0.0, settled_until - begin) / (end - begin)) if end > begin else 0.0
        self._spread(max(begin, min(settled_until, end)), end, work, 1.0 - late)
        self._spread(end, end + late * (end - begin), work, late)

    def _spread(self, begin: Seconds, end: Seconds, work: Quantities, portion: float) -> None:
        if portion > 0.0:
            for index, share in spread(begin, end, self.width):
                self.bins.setdefault(index, Quantities()).add(work, portion * share)

    def take(self, index: int, ours: Sequence[Quantities], most_steps: float) -> Quantities | None:
        """The work of others in a bin that settles, its steps and context filled in and the steps of `ours` shared with it.

        `most_steps` is how many steps the engine can have made in the bin.
        """
        tokens, steps = sum([one.tokens for one in ours]), sum([one.steps for one in ours])
        if tokens > 0.0:
            self._context = sum([one.context for one in ours]) / tokens
        self._usual_steps += _USUAL * (steps - self._usual_steps)
        others = self.bins.pop(index, None)
        if others is None:
            return None
        others.context = others.tokens * self._context
        # Ours are counted unevenly over the bins: only what is clearly missing are steps that others made alone.
        alone = max(0.0, min(others.tokens, most_steps) - _UNEVEN * max(steps, self._usual_steps))
        share = _share_of_ours(tokens, steps, others.tokens, alone)
        others.steps = alone + steps * (1.0 - share)
        for one in ours:
            one.steps *= share
        return others


def _share_of_ours(tokens: float, steps: float, others: float, alone: float) -> float:
    """What part of the fixed cost of our steps is ours: as our tokens to all that were decoded in the same steps."""
    together = others * steps / (steps + alone) if steps > 0.0 else 0.0
    if together <= 0.0:
        return 1.0
    return (tokens or steps) / ((tokens or steps) + together)


@dataclass(slots=True)
class _Passed:
    """Tokens of one kind that passed through here, at all engines behind a server."""

    over: float = 0.0
    unseen: float = 0.0
    in_flight: float = 0.0
    doubt: float = 0.0
    """Of attempts in flight, what may have been counted beyond that."""

    def hold_against(self, balance: Balance, served: float, *, is_suspected: bool) -> float:
        """What the server has counted beyond that since the last time."""
        leeway = self.in_flight + self.doubt
        return balance.observe(
            served, self.over + leeway, leeway, doubt=self.doubt, unseen=self.unseen, is_suspected=is_suspected
        )


@dataclass(slots=True)
class _Engine:
    """One engine behind a server, as a watch sees it."""

    bypass: BypassWork
    attempts: Attempts


@dataclass(slots=True)
class BypassWatch:
    """One model server, whose counters are compared with what passed through to the engines that stand for it."""

    engines: list[_Engine] = field(default_factory=list)
    at: Seconds = -math.inf
    """The last reading."""
    found_at: Seconds = -math.inf
    """When tokens of others were last found."""
    _prompt: Balance = field(default_factory=lambda: Balance(least=_LEAST_OF_PROMPTS))
    _output: Balance = field(default_factory=lambda: Balance(least=_LEAST_OF_OUTPUT))
    _last: ServedTokens | None = None
    _fresh_share: float = 1.0
    _backlog: Quantities = field(default_factory=Quantities)
    """Found, and not yet given to any time."""

    def add(self, bypass: BypassWork, attempts: Attempts) -> None:
        """Know an engine behind this server."""
        self.engines.append(_Engine(bypass, attempts))

    def mark(self, now: Seconds) -> None:
        """Let the engines know whether the server's counters are still read."""
        for engine in self.engines:
            engine.bypass.is_watched = now - self.at <= SILENT_SECONDS

    def is_suspected(self, now: Seconds) -> bool:
        """Whether somebody else has been using the server lately."""
        return now - self.found_at <= SUSPECTED_SECONDS

    def begin_anew(self) -> None:
        """Not all that passed through here is known: compare from the next reading on."""
        self._prompt.begin_anew()
        self._output.begin_anew()

    def holds_at(self, now: Seconds, *, is_quiet: bool) -> Seconds:
        """Until when bins may settle: no further than the counters tell, where others may be there or nobody is waiting."""
        is_needed = is_quiet or self.is_suspected(now)
        return self.at if is_needed and now - self.at <= LONGEST_HOLD_SECONDS else math.inf

    def observe(self, served: ServedTokens, at: Seconds, *, oldest_open: int, fresh_share: float) -> None:
        """Take a reading of the server's counters; the tokens of others become work in bins that are open."""
        before, self.at = self.at, at
        prompt, output = self._compare(served, self._last or served)
        self._learn_cache(served, fresh_share)
        if prompt + output > 0.0:
            self.found_at = at
        for engine in self.engines:
            engine.bypass.late_share = self._output.late_share
        if math.isinf(before):
            return
        begin = max(before, at - LONGEST_INTERVAL_SECONDS)
        kept = (at - begin) / (at - before) if at > before else 0.0
        bypass = self.engines[0].bypass
        bypass.prompt_tokens += prompt
        bypass.output_tokens += output
        now, later = Quantities(), self._backlog
        (later if served.prompt_at_end else now).prompt += prompt * kept * (1.0 if served.is_prompt_fresh else self._fresh_share)
        (later if served.output_at_end else now).tokens += output * kept
        if now.prompt or now.tokens:
            bypass.deposit(begin, at, now, oldest_open)
        self._release(bypass, at, at - begin, oldest_open)

    def _learn_cache(self, served: ServedTokens, fresh_share: float) -> None:
        """Which share of all prompt tokens was not in the cache, by the server itself, or else as those of ours."""
        last, self._last = self._last, served
        self._fresh_share = fresh_share
        if last is not None and last.cached is not None and served.cached is not None and served.prompt > last.prompt:
            cached = (served.cached - last.cached) / (served.prompt - last.prompt)
            self._fresh_share = min(1.0, max(0.0, 1.0 - cached))

    def _compare(self, served: ServedTokens, last: ServedTokens) -> tuple[float, float]:
        """The tokens of others. What is counted at the end is compared a reading later: a server may know of an end first."""
        prompt, output, is_suspected = _Passed(), _Passed(), self.is_suspected(self.at)
        for engine in self.engines:
            done, seen = engine.bypass.done, list(engine.attempts.seen(self.at))
            prompt.over += done.fresh if served.is_prompt_fresh else done.prompt
            prompt.unseen += done.prompt_unseen
            output.over += done.output
            output.unseen += done.output_unseen
            if not served.prompt_at_end:
                prompt.in_flight += sum(one.fresh if served.is_prompt_fresh else one.prompt for one in seen)
                prompt.doubt += sum(one.prompt_unseen for one in seen) + math.hypot(*(one.prompt_doubt for one in seen))
            if not served.output_at_end:
                output.in_flight += sum(one.output for one in seen)
                output.doubt += math.hypot(*(one.output_doubt for one in seen))
                if not is_suspected:  # else what is on its way evens out, and to wait for it would put others' work too late
                    output.doubt += sum(one.output_unseen for one in seen)
        return (
            prompt.hold_against(self._prompt, (last if served.prompt_at_end else served).prompt, is_suspected=is_suspected),
            output.hold_against(self._output, (last if served.output_at_end else served).output, is_suspected=is_suspected),
        )

    def _release(self, bypass: BypassWork, at: Seconds, seconds: Seconds, oldest_open: int) -> None:
        """Give a part of what was counted late to the time that comes."""
        portion = min(1.0, seconds / SMOOTHING_SECONDS)
        if self._backlog.prompt + self._backlog.tokens <= 0.0 or portion <= 0.0:
            return
        work, left = Quantities(), Quantities()
        work.add(self._backlog, portion)
        left.add(self._backlog, 1.0 - portion)
        self._backlog = left
        bypass.deposit(at, at + seconds, work, oldest_open)
