"""The attribution on a trace: it is told what a proxy would have seen, in the order and at the times it would have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from ...exchange import Coefficients, Energy, Usage
from ...metering.attribution import Attribution
from ...metering.fitting import Fit
from ...metering.work import Work
from ...units import Joules, Seconds
from .trace import Event, Kind, Served, Trace

SETTLE_SECONDS: Final[Seconds] = 0.1
LEARNED_EVERY_SECONDS: Final[Seconds] = 1.0


@dataclass(slots=True)
class Outcome:
    """What came of it."""

    energies: dict[str, Energy] = field(default_factory=dict)
    """By request, as they were told when it was final."""
    residual: float = 0.0
    """Of conservation: how far the parts are from what the counters booked, relative."""
    bypass_joules: Joules = 0.0
    learned: list[tuple[Seconds, Coefficients]] = field(default_factory=list)
    """What the first engine's work was priced by, every second."""

    def joules(self, name: str) -> Joules:
        """What a request was charged; where nothing is known that is an infinite error."""
        joules = self.energies[name].joules
        return math.inf if joules is None else joules


class Replay:
    """One attribution on one trace.

    Args:
        trace: What happened.
        starts: What each engine's energy model starts from, and how sure that is.
        learns: Whether it goes on from there.
        scrapes: Whether the engines' own counters are read.
    """

    def __init__(self, trace: Trace, starts: Mapping[str, Fit], *, learns: bool = True, scrapes: bool = True) -> None:
        self.trace = trace
        self.attribution = Attribution(learns=learns)
        for device in trace.devices:
            self.attribution.add_device(device)
        for engine in trace.engines:
            self.attribution.add_engine(engine.name, starts[engine.name].start, engine.devices)
            self.attribution.engines[engine.name].fit = starts[engine.name]
        self._scrapes = scrapes
        self._works: dict[str, Work] = {}
        self._next_settle = trace.begin
        self._outcome = Outcome()

    def run(self) -> Outcome:
        """Tell it all, and settle."""
        attribution, works = self.attribution, self._works
        for event in self.trace.events:
            if event.at >= self._next_settle:
                self._settle(event.at)
            if event.kind is Kind.CHUNKS:
                works[event.name].chunks(event.at, event.chunks)
            elif event.sample is not None:
                attribution.sample(event.sample)
            elif event.served is not None:
                if self._scrapes:
                    attribution.served((event.name,), event.served, event.at)
            elif event.kind is Kind.BEGIN:
                self._begin(event)
            else:
                self._end(event)
        self._settle(self.trace.end)
        return self._conclude()

    def _settle(self, now: Seconds) -> None:
        for account in self.attribution.settle(now):
            for tell in account.when_final:
                tell()
        self._next_settle = now + SETTLE_SECONDS
        learned = self._outcome.learned
        if not learned or now >= learned[-1][0] + LEARNED_EVERY_SECONDS:
            engine = next(iter(self.attribution.engines.values()))
            learned.append((now, engine.coefficients))

    def _begin(self, event: Event) -> None:
        served = self.trace.requests[event.name]
        work = self._works[event.name] = self.attribution.begin(
            served.engine,
            event.at,
            prompt_tokens=served.job.prompt_tokens * served.job.estimate,
            sequences=served.job.sequences,
            is_streamed=served.job.is_streamed,
            decodes=served.job.output_tokens > 0,
        )
        work.account.when_final.append(partial(self._note, event.name))

    def _note(self, name: str) -> None:
        work = self._works[name]
        self._outcome.energies[name] = self.attribution.energy(self.trace.requests[name].engine, work.account)

    def _end(self, event: Event) -> None:
        served = self.trace.requests[event.name]
        self._works[event.name].finish(event.at, usage_of(served))
        self.attribution.end(served.engine, self._works[event.name], event.at)

    def _conclude(self) -> Outcome:
        attribution, outcome = self.attribution, self._outcome
        for name in self._works.keys() - outcome.energies.keys():
            self._note(name)
        outcome.bypass_joules = math.fsum(ledger.accounts["bypass"] for ledger in attribution.devices.values())
        outcome.residual = self._residual()
        return outcome

    def _residual(self) -> float:
        """The requests against the accounts, and those against the counters: the greater gap, relative."""
        ledgers = list(self.attribution.devices.values())
        charged = math.fsum(work.account.charge.joules for work in self._works.values())
        attributed = math.fsum(ledger.accounts["attributed"] for ledger in ledgers)
        settled = math.fsum(joules for ledger in ledgers for joules in ledger.accounts.values())
        measured = math.fsum(ledger.counter.booked_joules - ledger.counter.open_joules() for ledger in ledgers)
        return max(abs(charged / attributed - 1), abs(settled / measured - 1)) if attributed and measured else 0.0


def usage_of(served: Served) -> Usage:
    """What the server would say at its end; where the client has left nothing is said, and the proxy has counted events."""
    if served.left_early:
        return Usage(completion=served.tokens, is_estimated=True)
    return Usage(prompt=served.job.prompt_tokens, cached=served.job.cached_tokens, completion=served.tokens)
