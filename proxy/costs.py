"""What answers have cost lately: joules per token by upstream, tokens of an answer by upstream and by whether it thought."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from .exchange import Attempt, EnergyStatus, Outcome, Record, Tier
from .units import Joules, Seconds, Watts

WEIGHT: Final = 0.05
"""Of the newest answer in the average, once there are as many as make it so: about the last twenty count."""
WATTS_SECONDS: Final[Seconds] = 1.0
"""How old a figure of power may be."""


class Costs:
    """Averages that forget, over answers that came well and whose energy is final; an estimate counts as one."""

    def __init__(self) -> None:
        self._seen: dict[object, int] = {}
        self._joules_per_token: dict[str, Joules] = {}
        self._completion_tokens: dict[tuple[str, Tier], float] = {}
        self.joules_per_token: Mapping[str, Joules] = MappingProxyType(self._joules_per_token)
        """By upstream; to be read and not kept."""
        self.completion_tokens: Mapping[tuple[str, Tier], float] = MappingProxyType(self._completion_tokens)
        """Thinking included."""

    def see(self, record: Record) -> None:
        """Learn from a finished request, one that nobody asked for included: each of its tries that came to an end."""
        for attempt in record.attempts:
            if attempt.outcome in {Outcome.OK, Outcome.REJECTED} and attempt.usage.completion:
                self._learn(attempt, attempt.usage.completion, max(1, record.sequences))

    def _learn(self, attempt: Attempt, completion: int, sequences: int) -> None:
        tier = Tier.REASONING if attempt.usage.reasoning else Tier.DIRECT
        key = (attempt.upstream, tier)
        self._completion_tokens[key] = self._average(key, self._completion_tokens.get(key), completion / sequences)
        energy = attempt.energy
        if energy.joules is not None and energy.status is EnergyStatus.FINAL:
            per_token = energy.joules / completion
            name = attempt.upstream
            self._joules_per_token[name] = self._average(name, self._joules_per_token.get(name), per_token)

    def _average(self, key: object, before: float | None, value: float) -> float:
        """An equal mean of the first few, then one that forgets."""
        seen = self._seen[key] = self._seen.get(key, 0) + 1
        return value if before is None else before + max(WEIGHT, 1.0 / seen) * (value - before)


class PowerNow:
    """The power of all devices together, asked at most once a second."""

    def __init__(self, read: Callable[[], Watts | None], clock: Callable[[], Seconds] = time.monotonic) -> None:
        self._read = read
        self._clock = clock
        self._watts: Watts | None = None
        self._at: Seconds = float("-inf")

    @property
    def watts(self) -> Watts | None:
        """As it was read within the last second; None where a device cannot be read."""
        now = self._clock()
        if now - self._at >= WATTS_SECONDS:
            self._watts, self._at = self._read(), now
        return self._watts


def total_watts(watts: list[Watts | None]) -> Watts | None:
    """The sum over devices; None where one is unknown, or there are none."""
    known = [each for each in watts if each is not None]
    return sum(known) if known and len(known) == len(watts) else None
