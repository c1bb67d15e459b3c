"""One request on its way through: what has become of it so far, and the record of it at any moment."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final, Protocol

from jevons.policies.chain import PolicyChain

from .exchange import Attempt, Energy, EnergyStatus, Method, Outcome, Plan, Record, Request, Target, Usage
from .metering.metering import MeteredAttempt
from .units import Joules, Seconds

_NO_PLAN: Final = Plan()
_NO_USAGE: Final = Usage()
_NO_ENERGY: Final = Energy()


class Downstream(Protocol):
    """The client's side of one exchange: how a reply leaves. Every method may be cancelled when the client goes."""

    @property
    def has_started(self) -> bool:
        """Whether the status line has gone out: from then on an error can only be told inside the body."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether the client is slow, and should be given time: `write` waits for it."""
        ...

    def put(self, data: bytes) -> None:
        """Send a part of a streamed reply without waiting; to a client that has gone nothing is sent."""
        ...

    async def start(self, status: int, headers: dict[str, str]) -> None:
        """Begin a streamed reply."""
        ...

    async def write(self, data: bytes) -> None:
        """Send a part of it; returns when the client has room for more."""
        ...

    async def finish(self) -> None:
        """End it cleanly."""
        ...

    def abort(self) -> None:
        """Close the connection without a clean end, so that nobody takes what was sent for all."""
        ...

    async def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """Send a whole reply."""
        ...


@dataclass(slots=True)
class Try:
    """One attempt at one upstream. `metered` is None where the endpoint puts no work on a device."""

    target: Target
    metered: MeteredAttempt | None
    outcome: Outcome | None = None
    usage: Usage = _NO_USAGE
    cost_usd: float | None = None
    """As in `Attempt`."""
    told: Energy | None = None
    """What was last said of its energy."""

    @property
    def energy(self) -> Energy:
        """What it has consumed so far."""
        self.told = _NO_ENERGY if self.metered is None else self.metered.energy
        return self.told

    def so_far(self, *, as_told: bool) -> Attempt:
        """How it stands; `as_told`: with the energy that was last said, where any was."""
        energy = (self.told if as_told else None) or self.energy
        return Attempt(self.target.upstream.name, self.outcome, self.usage, energy, self.cost_usd)

    def end(self, outcome: Outcome) -> None:
        """It is over; only the first word on how counts."""
        if self.outcome is None:
            self.outcome = outcome
        if self.metered is not None:
            self.metered.end()


@dataclass(slots=True)
class Passage:
    """The life of one request within the proxy."""

    request: Request
    chain: PolicyChain | None = None
    """The policies that it began with, and by which it ends; None where nobody decided."""
    plan: Plan = _NO_PLAN
    holdout_of: str | None = None
    tries: list[Try] = field(default_factory=list)
    outcome: Outcome | None = None
    began: Seconds = field(default_factory=time.monotonic)
    first_token: Seconds | None = None
    ended: Seconds | None = None

    def saw_token(self) -> None:
        """The first token of an answer has arrived."""
        if self.first_token is None:
            self.first_token = time.monotonic()

    def end(self, outcome: Outcome) -> None:
        """The client has had all that it gets."""
        self.outcome = outcome
        self.ended = time.monotonic()

    @property
    def is_settled(self) -> bool:
        """Whether the energy of every try is final."""
        if self.outcome is None:
            return False
        for attempt in self.tries:  # noqa: SIM110 - a request with one try is asked twice, and a generator costs more than it
            if attempt.metered is not None and not attempt.metered.is_final:
                return False
        return True

    @property
    def energy(self) -> Energy:
        """All tries together: what was wasted on a failed one was consumed for this request too."""
        if len(self.tries) == 1:
            return self.tries[0].energy
        return self._sum_up([attempt.energy for attempt in self.tries])

    def _sum_up(self, energies: list[Energy]) -> Energy:
        """The sum over the tries that were metered, given the energy of each."""
        metered = [energy for attempt, energy in zip(self.tries, energies, strict=True) if attempt.metered is not None]
        return total(metered) if metered else _NO_ENERGY

    def record(self, *, as_told: bool = False) -> Record:
        """The request as it stands; `as_told`: with the energy that was last said, where any was."""
        request, last = self.request, self.tries[-1] if self.tries else None
        attempts = [attempt.so_far(as_told=as_told) for attempt in self.tries]
        return Record(
            request_id=request.id,
            tenant=request.tenant,
            endpoint=request.endpoint,
            started_at=request.started_at,
            client_request_id=request.client_request_id,
            upstream=last.target.upstream.name if last else None,
            model=last.target.upstream.model if last else None,
            plan=self.plan,
            usage=last.usage if last else _NO_USAGE,
            energy=attempts[0].energy if len(attempts) == 1 else self._sum_up([attempt.energy for attempt in attempts]),
            attempts=tuple(attempts),
            outcome=self.outcome,
            time_to_first_token_seconds=None if self.first_token is None else self.first_token - self.began,
            duration_seconds=None if self.ended is None else self.ended - self.began,
            stream=request.stream,
            sequences=request.sequences,
            holdout_of=self.holdout_of,
            traceparent=request.headers.get("traceparent"),
            session=request.session,
        )


def total(energies: list[Energy]) -> Energy:
    """The sum of several tries; unknown where one of them is, and only as good as the least of them."""
    if len(energies) == 1:
        return energies[0]
    scopes = {energy.scope for energy in energies if energy.scope is not None}
    is_open = any(energy.status is EnergyStatus.PROVISIONAL for energy in energies)
    return Energy(
        joules=_sum([energy.joules for energy in energies]),
        low=_sum([energy.low for energy in energies]),
        high=_sum([energy.high for energy in energies]),
        method=_weakest({energy.method for energy in energies}),
        status=EnergyStatus.PROVISIONAL if is_open else EnergyStatus.FINAL,
        scope=scopes.pop() if len(scopes) == 1 else None,
        quality=tuple(sorted({flag for energy in energies for flag in energy.quality})),
        gco2e=_sum([energy.gco2e for energy in energies]),
        intensity=energies[-1].intensity,
    )


def _sum(parts: list[Joules | None]) -> Joules | None:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _weakest(methods: set[Method | None]) -> Method | None:
    for method in (None, Method.SIMULATED, Method.ESTIMATED):
        if method in methods:
            return method
    return Method.MEASURED
