"""The state of metering at one instant, in the vocabulary of `exchange`: what `/metrics` and the pages show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .exchange import Coefficients
from .observed import Intensity
from .units import Joules, Seconds, Watts


@dataclass(frozen=True, slots=True)
class DeviceState:
    """One device at one instant. The four accounts sum to `settled_joules`, which trails `counter_joules` by the lag."""

    device: str
    name: str
    is_up: bool
    reason: str | None
    """Why it is down."""
    watts: Watts | None
    counter_joules: Joules | None
    settled_joules: Joules
    accounts: Mapping[str, Joules]
    """Keys `attributed`, `idle`, `bypass`, `unresolved`."""
    carried: Mapping[str, Joules] = field(default_factory=dict)
    """Of these, what an earlier process had settled, by account; nothing where no state file is kept."""
    counter_power_ratio: float | None = None
    """Counter over integrated power, last 60 s."""
    is_bypass_suspected: bool = False
    """Its work has cost too much for too long, and no server says what others ask of it."""


@dataclass(frozen=True, slots=True)
class BypassState:
    """What reached one upstream past the proxy, in tokens since the start."""

    is_watched: bool
    """Whether the server's own counters are read."""
    prompt_tokens: float = 0.0
    output_tokens: float = 0.0

    @property
    def tokens(self) -> Mapping[str, float]:
        """By kind."""
        return {"prompt": self.prompt_tokens, "output": self.output_tokens}


@dataclass(frozen=True, slots=True)
class MeteringState:
    """All of metering at one instant: what `/metrics` and the pages show, taken in one go."""

    devices: tuple[DeviceState, ...] = ()
    settle_lag_seconds: Seconds = 0.0
    coefficients: Mapping[str, Coefficients] = field(default_factory=dict)
    """By upstream."""
    bypass: Mapping[str, BypassState] = field(default_factory=dict)
    """By upstream."""
    intensity: Intensity | None = None
    """Of the grid, where it is configured and known."""
