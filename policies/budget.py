"""The budget policy: so many joules per tenant, per key or for all, in each minute, hour or day of UTC.

Before a request goes out what it is likely to cost is reserved; once its energy is final the reservation gives way to what it
did cost. Deciding and reserving happen in one turn of the loop, so that two requests cannot both take the last joule. Every
reservation ends with its request, however that ends. A cost that is unknown is charged as it was estimated, not as nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import Final

from jevons.proxy.errors import BudgetSpent
from jevons.proxy.exchange import Plan, Reason, Reasoning, Record, Request, Target, Tier
from jevons.proxy.units import Joules, Seconds

from .policy import PINNED, Facts, Reject, Verdict, Wait

RESERVE_JOULES: Final[Joules] = 500.0
QUEUE_SECONDS: Final[Seconds] = 30.0
QUEUE_STEP_SECONDS: Final[Seconds] = 0.5
RETRY_LIMIT_SECONDS: Final = 60
"""Clients that retry by themselves wait at most about so long."""


class Per(StrEnum):
    """Whose joules are counted together."""

    TENANT = "tenant"
    KEY = "key"
    ALL = "all"


class Then(StrEnum):
    """What happens to a request for which not enough is left."""

    DOWNGRADE = "downgrade"
    QUEUE = "queue"
    REFUSE = "refuse"


class Window(StrEnum):
    """How long a budget lasts until it is renewed."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def seconds(self) -> int:
        """Its length; windows begin at whole multiples of it since 1970, which are the days, hours and minutes of UTC."""
        return {Window.MINUTE: 60, Window.HOUR: 3600, Window.DAY: 86_400}[self]


@dataclass(frozen=True, slots=True)
class Budget:
    """One budget. `tenants`: those it is for; None is everybody."""

    name: str
    joules: Joules
    per: Per = Per.TENANT
    window: Window = Window.DAY
    then: Then = Then.DOWNGRADE
    tenants: frozenset[str] | None = None
    queue_seconds: Seconds = QUEUE_SECONDS

    def holder(self, request: Request) -> str | None:
        """Whose account a request is charged to; None where this budget is not for it."""
        if self.tenants is not None and request.tenant not in self.tenants:
            return None
        if self.per is Per.ALL:
            return f"{self.name}/"
        if self.per is Per.KEY:
            return f"{self.name}/{request.tenant}/{request.key or ''}"
        return f"{self.name}/{request.tenant}"


@dataclass(frozen=True, slots=True)
class Standing:
    """What one holder has used of one budget in the window that runs."""

    name: str
    holder: str
    """The tenant, or `tenant/key`; `all` where everybody's joules are counted together."""
    used_joules: Joules
    """Spent or reserved."""
    limit_joules: Joules
    resets_at: float
    """In Unix time."""


@dataclass(slots=True)
class _Account:
    """What one holder has used in one window."""

    window: int
    spent: Joules = 0.0
    reserved: Joules = 0.0


@dataclass(slots=True)
class _Reservation:
    """What one request holds, and in which accounts."""

    accounts: tuple[_Account, ...]
    """A request that goes on over the end of a window is charged to the one it began in."""
    joules: Joules = 0.0


class Balances:
    """Every account, and every reservation by request. One is enough for all budgets; it outlives a reload."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._accounts: dict[str, _Account] = {}
        self._reservations: dict[str, _Reservation] = {}

    @property
    def reservations(self) -> int:
        """How many requests hold one."""
        return len(self._reservations)

    def used(self, holder: str, window: Window) -> Joules:
        """What is spent or reserved in this window."""
        account = self._accounts.get(holder)
        if account is None or account.window != self._window(window):
            return 0.0
        return account.spent + account.reserved

    def holders(self, budget: Budget) -> list[str]:
        """Those with an account of this budget in the window that runs."""
        now, begin = self._window(budget.window), f"{budget.name}/"
        return [holder for holder, account in self._accounts.items() if account.window == now and holder.startswith(begin)]

    def resets_at(self, window: Window) -> float:
        """When it is renewed, in Unix time."""
        return float((self._window(window) + 1) * window.seconds)

    def seconds_left(self, window: Window) -> Seconds:
        """Until it is renewed."""
        return window.seconds - self._clock() % window.seconds

    def reserve(self, request_id: str, holders: Sequence[tuple[str, Window]], joules: Joules) -> None:
        """Hold so much for a request; more where it holds some already, since an escalation pays for both tries."""
        held = self._reservations.get(request_id)
        if held is None:
            accounts = tuple(self._account(holder, window) for holder, window in holders)
            held = self._reservations[request_id] = _Reservation(accounts)
        held.joules += joules
        for account in held.accounts:
            account.reserved += joules

    def settle(self, request_id: str, joules: Joules | None) -> None:
        """The request is over and has cost so much; None is unknown, and charged as reserved."""
        held = self._reservations.pop(request_id, None)
        if held is None:
            return
        for account in held.accounts:
            account.reserved = max(0.0, account.reserved - held.joules)
            account.spent += held.joules if joules is None else joules

    def _account(self, holder: str, window: Window) -> _Account:
        now = self._window(window)
        account = self._accounts.get(holder)
        if account is None or account.window != now:
            account = self._accounts[holder] = _Account(now)
        return account

    def _window(self, window: Window) -> int:
        return int(self._clock() // window.seconds)


class BudgetPolicy:
    """Lets a request go where every budget that it falls under has room for it, and does what the first that has not says."""

    name = "budget"
    is_limit = True
    needs_costs = True

    def __init__(
        self,
        budgets: Sequence[Budget],
        balances: Balances | None = None,
        *,
        reserve_joules: Joules = RESERVE_JOULES,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._budgets = tuple(budgets)
        self._balances = Balances(clock) if balances is None else balances
        self._reserve_joules = reserve_joules
        self._clock = clock

    def decide(self, request: Request, plan: Plan, facts: Facts) -> Verdict:
        """The plan; or its direct counterpart, a wait, or a refusal that says when to come again."""
        for budget, holder in self._of(request):
            needed = self._estimate(request, plan.candidates[0], facts)
            if self._balances.used(holder, budget.window) + needed <= budget.joules:
                continue
            match budget.then:
                case Then.DOWNGRADE:
                    lowered = self._downgraded(plan, facts, budget)
                    if lowered is None:
                        return self._refusal(budget)
                    plan = lowered
                case Then.QUEUE if self._clock() - request.started_at < budget.queue_seconds:
                    return Wait(min(QUEUE_STEP_SECONDS, self._balances.seconds_left(budget.window)), self.name)
                case _:
                    return self._refusal(budget)
        return plan if plan.reasons[-1].policy == self.name else plan.because(Reason(self.name, "has room", ""))

    def admitted(self, request: Request, plan: Plan, facts: Facts) -> None:
        """Reserve what it is likely to cost, on every account that it falls under."""
        holders = [(holder, budget.window) for budget, holder in self._of(request)]
        if holders:
            self._balances.reserve(request.id, holders, self._estimate(request, plan.candidates[0], facts))

    def settled(self, record: Record) -> None:
        """Charge what it did cost. One that no upstream was asked for has cost nothing."""
        self._balances.settle(record.request_id, record.energy.joules if record.attempts else 0.0)

    def standings(self) -> list[Standing]:
        """Every budget with every holder that has used any of it; one for all, and one for named tenants, also when unused."""
        return [self._standing(budget, holder) for budget in self._budgets for holder in self._known_holders(budget)]

    def _known_holders(self, budget: Budget) -> list[str]:
        named: tuple[str, ...] = ()
        if budget.per is Per.ALL:
            named = (f"{budget.name}/",)
        elif budget.per is Per.TENANT:
            named = tuple(f"{budget.name}/{tenant}" for tenant in sorted(budget.tenants or ()))
        return list(dict.fromkeys((*named, *self._balances.holders(budget))))

    def _standing(self, budget: Budget, holder: str) -> Standing:
        return Standing(
            budget.name,
            holder.removeprefix(f"{budget.name}/") or Per.ALL,
            self._balances.used(holder, budget.window),
            budget.joules,
            self._balances.resets_at(budget.window),
        )

    def _of(self, request: Request) -> Iterator[tuple[Budget, str]]:
        for budget in self._budgets:
            holder = budget.holder(request)
            if holder is not None:
                yield budget, holder

    def _estimate(self, request: Request, target: Target, facts: Facts) -> Joules:
        expected = facts.expected_joules(target, request.max_tokens)
        return self._reserve_joules if expected is None else expected * request.sequences

    def _downgraded(self, plan: Plan, facts: Facts, budget: Budget) -> Plan | None:
        """The plan without reasoning; None where a pinned model cannot do without."""
        reason = Reason(self.name, budget.name, Tier.DIRECT)
        if plan.candidates[0].tier is Tier.DIRECT:
            return Plan(plan.candidates, (*plan.reasons, Reason(self.name, budget.name, "")), plan.decision, Tier.DIRECT)
        if plan.decision == PINNED:
            able = [target.upstream for target in plan.candidates if target.upstream.reasoning is Reasoning.SWITCHABLE]
            candidates = tuple(Target(upstream, thinking=False) for upstream in able)
            decision = PINNED
        else:
            target = facts.tier_target(Tier.DIRECT)
            candidates, decision = (target,) if target else (), Tier.DIRECT.value
        return Plan(candidates, (*plan.reasons, reason), decision, Tier.DIRECT) if candidates else None

    def _refusal(self, budget: Budget) -> Reject:
        seconds = ceil(self._balances.seconds_left(budget.window))
        headers = {"retry-after": str(seconds)}
        if seconds > RETRY_LIMIT_SECONDS:
            headers["x-should-retry"] = "false"
        size = f"{budget.joules:,.0f} J a {budget.window}"
        message = f"The energy budget {budget.name!r} of {size} has too little left; it is renewed in {seconds} s."
        return Reject(BudgetSpent(message, headers=headers), self.name)
