"""Words for what others tell us, in the vocabulary of `exchange`: a model server of its tokens, the grid of its carbon."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServedTokens:
    """What one server has served since it started, whoever asked; and when it counts, which differs from engine to engine."""

    prompt: float
    output: float
    cached: float | None = None
    """Of `prompt`, those found in the server's cache; None where it does not say, or does not count them in."""
    is_prompt_fresh: bool = False
    """`prompt` leaves out what was in the cache."""
    prompt_at_end: bool = False
    """A prompt is counted when its request is over, and not by its first token."""
    output_at_end: bool = False
    """Output is counted when its request is over, and not step by step."""


@dataclass(frozen=True, slots=True)
class Intensity:
    """The carbon intensity of the electricity that is drawn, and where the figure comes from."""

    gco2e_per_kwh: float
    source: str
    """The configuration's word for it: `constant`, `file`, `uk_carbon_intensity`, `electricity_maps`."""
    at: float | None = None
    """The time that it is for, in Unix time; None for a constant."""


@dataclass(frozen=True, slots=True)
class ServerState:
    """One server as requests have found it."""

    server: str
    """The upstream's name, or `chat#1` where that has several."""
    ejected: float
    """1 while it is left alone, 0.5 while it is tried, else 0."""
    ejections: int
    """Ever."""


@dataclass(frozen=True, slots=True)
class LineState:
    """Who waits for one upstream, and what became of those that could not be served by it."""

    upstream: str
    waiting: int
    full: int
    """Turned away, ever, since the line was full."""
    late: int
    """Sent off, ever, since no place came free in time."""
    retries: int
    """Tries that failed here and were made again elsewhere, ever."""


@dataclass(frozen=True, slots=True)
class BudgetState:
    """What one holder has used of one budget in the window that runs."""

    name: str
    holder: str
    """The tenant, `tenant/key`, or `all`."""
    used_joules: float
    limit_joules: float
    resets_at: float
    """In Unix time."""
