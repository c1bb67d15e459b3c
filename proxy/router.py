"""What decides now, and what it knows: the chain of the configuration, the upstreams, what answers have cost, the holdout.

One of these lives as long as the process. A reload swaps the chain and the upstreams in one turn of the loop; what policies
remember, and what has been measured, stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from jevons.policies.chain import PolicyChain
from jevons.policies.policy import Facts

from .affinity import ResponseAffinity
from .config import Config
from .costs import Costs, PowerNow, total_watts
from .exchange import Record, Upstream
from .holdout import Holdout
from .metering.metering import Metering
from .observed import BudgetState
from .pipeline import Pipeline
from .policy_factory import Memory, make_chain
from .upstreams.fleet import servers_of


class Router:
    """Makes the facts, and keeps them. `upstreams` is the mapping that is decided over: by name, changed in place."""

    def __init__(
        self,
        config: Config,
        upstreams: dict[str, Upstream],
        metering: Metering,
        affinity: ResponseAffinity,
        *,
        memory: Memory | None = None,
    ) -> None:
        self.memory = memory or Memory()
        self.chain: PolicyChain = make_chain(config, self.memory)
        self.costs = Costs()
        self.holdout: Holdout | None = None
        self._upstreams = upstreams
        self._metering = metering
        self._affinity = affinity
        self._config = config
        self._plain_facts = Facts(upstreams=upstreams, response_upstreams=affinity.upstreams)
        """What every chain may look at: both change in place."""
        self._power = PowerNow(lambda: total_watts([device.watts for device in metering.state().devices]))
        self._pipeline: Pipeline | None = None

    def facts(self) -> Facts:
        """What a decision may rest on now; what answers have cost only where somebody looks at it."""
        if not self.chain.needs_costs:
            return self._plain_facts
        intensity = self._metering.carbon.intensity
        return Facts(
            upstreams=self._upstreams,
            response_upstreams=self._affinity.upstreams,
            joules_per_token=self.costs.joules_per_token,
            completion_tokens=self.costs.completion_tokens,
            in_flight={name: self._in_flight(upstream) for name, upstream in self._upstreams.items()},
            gco2e_per_kwh=None if intensity is None else intensity.gco2e_per_kwh,
            watts=self._power.watts,
        )

    def _in_flight(self, upstream: Upstream) -> int:
        return sum(self._metering.in_flight(server.name) for server in servers_of(upstream))

    def start(self, pipeline: Pipeline) -> None:
        """Decide for this pipeline from now on."""
        self._pipeline = pipeline
        self.holdout = Holdout(facts=self.facts, ask=pipeline.ask_other_arm, find=pipeline.record)
        self._apply(self._config)

    async def close(self) -> None:
        """Stop what the holdout runs."""
        if self.holdout is not None:
            await self.holdout.close()

    def use(self, config: Config, chain: PolicyChain, upstreams: Sequence[Upstream]) -> None:
        """Another configuration, in one turn of the loop. What is in flight goes on as it began."""
        self.chain = chain
        self._upstreams.clear()
        self._upstreams.update({upstream.name: upstream for upstream in upstreams})
        self._apply(config)

    def export(self, record: Record) -> None:
        """Learn from a finished request, where somebody looks at what is learned."""
        if self.chain.needs_costs:
            self.costs.see(record)

    def report(self) -> Mapping[str, object] | None:
        """What the holdout has found, for `/healthz`; None where there is none."""
        holdout = self.holdout
        if holdout is None or holdout.share == 0.0:
            return None
        return {"requests": holdout.requests, "joules": holdout.joules, "saving": holdout.saving.as_json()}

    def standings(self) -> list[BudgetState]:
        """How the budgets stand now; none where there are none."""
        return [BudgetState(**asdict(standing)) for standing in self.chain.standings()]

    def saving(self) -> Mapping[str, object] | None:
        """What routing saves, for the live page; None until it has been measured with an interval."""
        if self.holdout is None or (saving := self.holdout.saving).low is None:
            return None
        return {"share": saving.value, "low": saving.low, "high": saving.high, "samples": saving.pairs}

    def figures(self) -> dict[str, float]:
        """The same for the metrics: only what is known."""
        if self.holdout is None:
            return {}
        saving = self.holdout.saving
        found = {
            "requests": float(self.holdout.requests),
            "joules": self.holdout.joules,
            "pairs": float(self.holdout.sums.pairs),
            "pairs_routed": self.holdout.sums.routed,
            "pairs_reasoning": self.holdout.sums.reasoning,
            "estimate": saving.value,
            "low": saving.low,
            "high": saving.high,
        }
        return {name: value for name, value in found.items() if value is not None}

    def _apply(self, config: Config) -> None:
        if self.holdout is None or self._pipeline is None:
            return
        section = config.holdout
        self.holdout.share = section.share if section else 0.0
        self.holdout.at_once = section.at_once if section else 1
        self._pipeline.use(self.chain, self.holdout if section else None)


def with_running_devices(upstreams: Sequence[Upstream], running: Mapping[str, Upstream]) -> list[Upstream]:
    """These, with what only a restart changes as it is for those that run under the same name."""
    return [
        replace(upstream, devices=before.devices, coefficients=before.coefficients, doubts=before.doubts, dialect=before.dialect)
        if (before := running.get(upstream.name)) is not None
        else upstream
        for upstream in upstreams
    ]
