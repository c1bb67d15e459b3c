"""From the sections of a configuration to policies: the one place where the two meet."""

from __future__ import annotations

from jevons.policies import LIMITS, POLICIES
from jevons.policies.chain import PolicyChain
from jevons.policies.policy import Policy
from jevons.policies.rules import Rule

from .config import Config, RuleSection, RulesSection


def make_chain(config: Config) -> PolicyChain:
    """The policies of a configuration, in its order, and the limits behind them."""
    choosers: list[Policy] = []
    for section in config.policies:
        if isinstance(section, RulesSection):
            choosers.append(POLICIES[section.type](rules=[_rule(rule) for rule in section.rules]))
        else:
            choosers.append(POLICIES[section.type]())
    return PolicyChain(choosers, [limit() for limit in LIMITS.values()], config.default)


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
    )
