"""Who asks, and what they may have: what a key says of its holder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .exchange import DEFAULT_TENANT, Tier


@dataclass(frozen=True, slots=True)
class Identity:
    """The holder of a key; without keys everybody is the same, and may have everything."""

    tenant: str = DEFAULT_TENANT
    """Whose records and energy it reads and writes."""
    key: str | None = None
    """The name of the key."""
    ceiling: Tier | None = None
    """The highest tier; None is any."""
    is_local_only: bool = False
    """Whether nothing of it may go to an upstream beyond this network."""
    models: frozenset[str] | None = None
    """The upstreams, by name or model, that it may use; None is all of them."""
    requests_per_minute: float | None = None


ANYBODY: Final = Identity()
"""Who asks where nobody needs a key."""
