"""What decides where a request goes. A new policy is one file and one line in one of these tables.

A policy is made with the keywords of its section in the configuration: `POLICIES["rules"](rules=…)`.
"""

from collections.abc import Callable, Mapping
from typing import Final

from .caller import CallerPolicy
from .limits import LimitsPolicy
from .policy import Policy
from .rules import RulesPolicy

POLICIES: Final[Mapping[str, Callable[..., Policy]]] = {
    "caller": CallerPolicy,
    "rules": RulesPolicy,
}
"""The choosers that `policies:` may list, by `type`."""

LIMITS: Final[Mapping[str, Callable[..., Policy]]] = {
    "limits": LimitsPolicy,
}
"""The limits, which always run, in this order."""
