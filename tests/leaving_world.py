"""Clients that leave in mid-stream, in virtual time: the server notices late, and decodes for nobody until then."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from bypass_world import BypassPlay, NoWork
from virtual_gpu import Metered

from jevons.proxy.exchange import Usage
from jevons.proxy.simulation.scheduler import Step

GONE = NoWork()


@dataclass
class LeavingPlay(BypassPlay):
    """A play in which some clients leave after some tokens; their sequences are decoded for `late_steps` more."""

    leaving: float = 0.5
    """The share of the requests through the proxy whose clients leave."""
    late_steps: int = 2
    until_token: int = 60
    """By when, at the latest, they leave; at the earliest they do after the first token."""
    left: set[str] = field(default_factory=set)
    _left_at: dict[str, int] = field(default_factory=dict)
    _tokens: dict[str, int] = field(default_factory=dict)
    _dice: random.Random = field(default_factory=lambda: random.Random(9))

    def _submit(self) -> None:
        name = f"r{len(self.metered)}"
        super()._submit()
        if name in self.metered and self.is_ours(name) and self._dice.random() < self.leaving:
            self._left_at[name] = self._dice.randint(1, self.until_token)

    def _deliver(self, engine: int, step: Step) -> int:
        for sequence in step.emitted:
            name = self._live[engine, sequence]
            self._tokens[name] = self._tokens.get(name, 0) + 1
        names = [self._live[engine, sequence] for sequence in step.emitted]
        done = super()._deliver(engine, step)
        for sequence, name in zip(step.emitted, names, strict=True):
            beyond = self._tokens[name] - self._left_at.get(name, self._tokens[name] + 1)
            metered = self.metered[name]
            if beyond >= 0 and name not in self.left and (engine, sequence) in self._live:
                self._leave(name, metered)
                done += 1
            if beyond >= self.late_steps and name in self.left and (engine, sequence) in self._live:
                self.schedulers[engine].cancel(sequence)
                del self._live[engine, sequence]
        return done

    def _leave(self, name: str, metered: Metered) -> None:
        """The proxy closes its connection at once, and knows what it has seen."""
        self.left.add(name)
        if metered.is_streamed:
            metered.work.finish(self.now, Usage(completion=self._tokens[name], is_estimated=True))
        self.attribution.end("model-0", metered.work, self.now)
        metered.is_streamed, metered.end = False, self.now

    def _finish(self, engine: int, metered: Metered) -> None:
        if metered.end == 0.0:
            super()._finish(engine, metered)
