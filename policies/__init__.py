"""What decides where a request goes. A new policy is one file and one line in one of these tables.

A policy is made with the keywords of its section in the configuration: `POLICIES["rules"](rules=…)`.
"""

from collections.abc import Callable, Mapping
from typing import Final

from .beyond import LastResortPolicy
from .budget import BudgetPolicy
from .caller import CallerPolicy
from .difficulty import DifficultyPolicy
from .escalate import EscalatePolicy
from .fallback import FallbackPolicy
from .gain import GainPolicy
from .limits import LimitsPolicy
from .policy import Policy, Reviewer
from .rules import RulesPolicy
from .session import SessionPolicy
from .thinking import ThinkingPolicy

POLICIES: Final[Mapping[str, Callable[..., Policy]]] = {
    "caller": CallerPolicy,
    "rules": RulesPolicy,
    "difficulty": DifficultyPolicy,
    "gain": GainPolicy,
}
"""The choosers that `policies:` may list, by `type`."""

LIMITS: Final[Mapping[str, Callable[..., Policy]]] = {
    "session": SessionPolicy,
    "budget": BudgetPolicy,
    "fallback": FallbackPolicy,
    "last_resort": LastResortPolicy,
    "limits": LimitsPolicy,
    "thinking": ThinkingPolicy,
}
"""The limits, in the order in which they run: what moves a request before what sees whether it may go there. `limits` always
runs, `last_resort` where an upstream is of last resort; the others are there where `policies:` lists them."""

REVIEWERS: Final[Mapping[str, Callable[..., Reviewer]]] = {
    "escalate": EscalatePolicy,
}
"""What judges answers."""
