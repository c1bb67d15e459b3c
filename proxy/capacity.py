"""How many servers an upstream has and how much it may be asked at once, in the vocabulary of `exchange`."""

from __future__ import annotations

from dataclasses import dataclass

from .units import Seconds


@dataclass(frozen=True, slots=True)
class Capacity:
    """Where the servers of one upstream are, and who waits when they are busy."""

    urls: tuple[str, ...] = ()
    """Of its replicas, where it has several."""
    at_once: int | None = None
    """Requests that each server is given at the same time; None is any number."""
    queue_requests: int = 128
    """How many more may wait for a place."""
    queue_seconds: Seconds = 30.0
    """How long each of them may."""
