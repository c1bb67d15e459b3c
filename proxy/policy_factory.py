"""From the sections of a configuration to policies: the one place where the two meet."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jevons.policies import LIMITS, POLICIES, REVIEWERS
from jevons.policies.budget import Balances, Budget
from jevons.policies.chain import PolicyChain
from jevons.policies.difficulty import DifficultyPolicy
from jevons.policies.gain import Price
from jevons.policies.hours import Hours
from jevons.policies.policy import Policy, Reviewer
from jevons.policies.rules import Rule
from jevons.policies.session import Sessions

from .config import Config
from .config_policies import (
    BudgetSection,
    CallerSection,
    DifficultySection,
    EscalateSection,
    FallbackSection,
    GainSection,
    HoursSection,
    PlugInSection,
    RuleSection,
    RulesSection,
    SessionSection,
    ThinkingSection,
)
from .sections import Section


@dataclass(frozen=True, slots=True)
class Memory:
    """What policies remember, which a reload of the configuration must not lose."""

    sessions: Sessions = field(default_factory=Sessions)
    balances: Balances = field(default_factory=Balances)


@dataclass(slots=True)
class _Parts:
    """The policies of a configuration, by what becomes of them."""

    choosers: list[Policy] = field(default_factory=list)
    limits: list[Policy] = field(default_factory=list)
    reviewers: list[Reviewer] = field(default_factory=list)
    shadows: list[Policy] = field(default_factory=list)

    def add(self, policy: Policy, *, is_shadow: bool) -> None:
        """Put it where it belongs."""
        if is_shadow:
            self.shadows.append(policy)
        elif getattr(policy, "is_limit", False):
            self.limits.append(policy)
        else:
            self.choosers.append(policy)


def make_chain(config: Config, memory: Memory | None = None) -> PolicyChain:
    """The policies of a configuration, in its order, and the limits behind them, plug-ins first."""
    memory = memory or Memory()
    parts, reasoning_tokens = _Parts(), 0
    for section in config.policies:
        if isinstance(section, EscalateSection):
            parts.reviewers.append(REVIEWERS[section.type](**_options(section, memory)))
        elif isinstance(section, CallerSection):
            parts.choosers.append(POLICIES[section.type]())
        elif isinstance(section, PlugInSection):
            parts.add(section.make(), is_shadow=section.shadow)
        else:
            make = {**POLICIES, **LIMITS}[section.type]
            parts.add(make(**_options(section, memory)), is_shadow=section.shadow)
        if isinstance(section, ThinkingSection) and not section.shadow:
            reasoning_tokens = section.needs_tokens
    order = list(LIMITS)
    last = [LIMITS["last_resort"]()] if any(upstream.is_last_resort for upstream in config.upstreams) else []
    limits = [*parts.limits, *last, LIMITS["limits"](reasoning_tokens)]
    limits.sort(key=lambda policy: order.index(policy.name) if policy.name in order else -1)
    return PolicyChain(parts.choosers, limits, config.default, reviewers=parts.reviewers, shadows=parts.shadows)


def _options(section: Section, memory: Memory) -> dict[str, Any]:
    """The keywords that a policy is made with."""
    match section:
        case RulesSection():
            options: dict[str, Any] = {"rules": [_rule(rule) for rule in section.rules]}
        case DifficultySection():
            options = {"model": section.read_model(), "threshold": section.threshold, "unsure": section.unsure}
        case GainSection():
            price = Price(**section.price.model_dump())
            options = {"score": DifficultyPolicy().probability, "value_joules": section.value_joules, "price": price}
        case SessionSection():
            options = {"sessions": memory.sessions, "idle_seconds": section.idle_seconds}
        case BudgetSection():
            budgets = _budgets(section)
            options = {"budgets": budgets, "balances": memory.balances, "reserve_joules": section.reserve_joules}
        case ThinkingSection():
            options = {"level": section.level, "upstreams": section.upstreams, "repairs_content": section.repair}
        case EscalateSection() | FallbackSection():
            options = section.model_dump(exclude={"type", "shadow"})
        case _:
            options = {}
    return options


def _budgets(section: BudgetSection) -> list[Budget]:
    return [
        Budget(
            budget.name,
            budget.joules,
            budget.per,
            budget.window,
            budget.then,
            None if budget.tenants is None else frozenset(budget.tenants),
            budget.queue_seconds,
        )
        for budget in section.budgets
    ]


def _rule(section: RuleSection) -> Rule:
    when = section.when
    return Rule(
        name=section.name,
        to=section.to,
        keywords=when.keywords,
        regex=when.regex,
        prompt_tokens_min=when.prompt_tokens.min if when.prompt_tokens else None,
        prompt_tokens_max=when.prompt_tokens.max if when.prompt_tokens else None,
        has=frozenset(when.has or ()),
        system=when.system,
        languages=None if when.language is None else frozenset(when.language),
        tenants=None if when.tenant is None else frozenset(when.tenant),
        hours=None if when.hours is None else _hours(when.hours),
    )


def _hours(section: HoursSection) -> Hours:
    return Hours(section.after, section.before, section.days, section.zone)
