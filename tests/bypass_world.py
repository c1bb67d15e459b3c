"""Clients that go past the proxy, in virtual time: they are in the same batch, and only the server's counters know of them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from virtual_gpu import Job, Metered, Play

from jevons.proxy.exchange import Usage
from jevons.proxy.observed import ServedTokens
from jevons.proxy.simulation.prefix_cache import whole_blocks
from jevons.proxy.simulation.scheduler import Step, Work

CLOSE_SECONDS = 1.0
USUAL_SECONDS = 2.0


class NoWork:
    """What the proxy knows of an outsider's request: nothing."""

    def chunks(self, now: float, count: int) -> None:
        """Nobody sees them."""

    def finish(self, now: float, usage: Usage) -> None:
        """Nobody is told."""


@dataclass
class BypassPlay(Play):
    """A play in which every request whose number is in `outside` goes past the proxy."""

    outside: frozenset[int] = frozenset()
    counters: str | None = "steps"
    """When the server counts: `steps` (as vLLM), `end` (as SGLang), `mixed` (as llama.cpp); None: it has no counters."""
    found: list[tuple[float, bool]] = field(default_factory=list)
    """When the counters were read, and whether others were seen."""
    _prompt: int = 0
    _output: int = 0
    _started: set[tuple[int, int]] = field(default_factory=set)
    _next_scrape: float = 0.0

    def _submit(self) -> None:
        if len(self.metered) not in self.outside:
            super()._submit()
            return
        work = next(self._queue, None)
        if work is None:
            return
        job = work if isinstance(work, Job) else Job(work)
        name = f"r{len(self.metered)}"
        follower = replace(job.work, cached_tokens=max(job.work.cached_tokens, whole_blocks(job.work.prompt_tokens)))
        left = {self.schedulers[job.engine].submit(name, follower if i else job.work) for i in range(job.sequences)}
        self.metered[name] = Metered(job, NoWork(), self.now, is_streamed=True, left=left)
        self._live.update({(job.engine, sequence): name for sequence in left})

    def _deliver(self, engine: int, step: Step) -> int:
        for sequence in step.emitted:
            self._count(engine, sequence, self.metered[self._live[engine, sequence]].job.work)
        for sequence in step.finished:
            work = self.metered[self._live[engine, sequence]].job.work
            if self.counters in {"end", "mixed"}:
                self._output += work.output_tokens
            if self.counters == "end":
                self._prompt += work.prompt_tokens
        return super()._deliver(engine, step)

    def _count(self, engine: int, sequence: int, work: Work) -> None:
        if self.counters == "steps":
            self._output += 1
        if self.counters in {"steps", "mixed"} and (engine, sequence) not in self._started:
            self._started.add((engine, sequence))
            self._prompt += work.prompt_tokens - (work.cached_tokens if self.counters == "mixed" else 0)

    def _finish(self, engine: int, metered: Metered) -> None:
        if not isinstance(metered.work, NoWork):
            super()._finish(engine, metered)

    def _poll_until(self, now: float) -> None:
        super()._poll_until(now)
        if self.counters is not None and now >= self._next_scrape:
            served = ServedTokens(
                float(self._prompt),
                float(self._output),
                is_prompt_fresh=self.counters == "mixed",
                prompt_at_end=self.counters == "end",
                output_at_end=self.counters != "steps",
            )
            is_close = self.attribution.served(("model-0",), served, now)
            self.found.append((now, is_close))
            self._next_scrape = now + (CLOSE_SECONDS if is_close else USUAL_SECONDS)

    @property
    def charges(self) -> dict[str, float]:
        """What every request of ours was charged."""
        return {name: metered.work.account.charge.joules for name, metered in self.metered.items() if self.is_ours(name)}

    def is_ours(self, name: str) -> bool:
        """Whether a request went through the proxy."""
        return not isinstance(self.metered[name].work, NoWork)

    @property
    def shift(self) -> float:
        """By how much, relative, the energy of all of ours together is off."""
        return sum(self.charges.values()) / sum(self.truth[name] for name in self.charges) - 1

    @property
    def outside_share(self) -> float:
        """Of all true energy of requests, that of others."""
        return 1 - sum(self.truth[name] for name in self.charges) / sum(self.truth.values())

    def account(self, name: str) -> float:
        """One account, over all devices."""
        return sum(ledger.accounts[name] for ledger in self.attribution.devices.values())
