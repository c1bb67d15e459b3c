"""What a proxy in front of an engine would have seen, event by event, and beside it what every request really consumed."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from ...calibration.solving import Fitted
from ...exchange import Coefficients, Doubts
from ...metering.fitting import TABLE_DOUBT
from ...metering.meter import Device, Sample
from ...observed import ServedTokens
from ...units import Joules, Seconds


class Kind(IntEnum):
    """What an event is."""

    BEGIN = 0
    CHUNKS = 1
    END = 2
    SAMPLE = 3
    SCRAPE = 4


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `name` is a request's, or for a scrape an engine's."""

    at: Seconds
    kind: Kind
    name: str = ""
    chunks: int = 0
    sample: Sample | None = None
    served: ServedTokens | None = None
    """What an engine's own `/metrics` says: tokens since its start, those of clients that bypass the proxy included."""


@dataclass(frozen=True, slots=True)
class Job:
    """One request: so many sequences of the same work."""

    prompt_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    sequences: int = 1
    is_streamed: bool = True
    leaves_after: int | None = None
    """The client goes away after so many tokens."""
    estimate: float = 1.0
    """What a proxy takes the prompt for, over its tokens."""


@dataclass(slots=True)
class Served:
    """One request as it went."""

    name: str
    job: Job
    engine: str
    begin: Seconds
    is_bypass: bool = False
    """Past the proxy: no method sees it."""
    first: Seconds | None = None
    end: Seconds = 0.0
    tokens: int = 0
    """Of output, over all sequences."""
    truth: Joules = 0.0

    @property
    def left_early(self) -> bool:
        """Whether its client went away, so that no usage was sent."""
        return self.tokens < self.job.output_tokens * self.job.sequences


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """One engine: the ids of the devices it runs on, its true energy model, and what is known of that before any traffic."""

    name: str
    devices: tuple[str, ...]
    coefficients: Coefficients
    unlike: Doubts = (TABLE_DOUBT, TABLE_DOUBT, TABLE_DOUBT, TABLE_DOUBT)
    """How far off the table's are taken to be."""
    calibrated: Fitted | None = None
    """What `jevons calibrate` has found; None where nobody has run it."""


@dataclass(slots=True)
class Trace:
    """One run of one workload."""

    devices: tuple[Device, ...]
    engines: tuple[EngineFacts, ...]
    events: list[Event] = field(default_factory=list)
    requests: dict[str, Served] = field(default_factory=dict)
    begin: Seconds = 0.0
    end: Seconds = 0.0
    true_joules: dict[str, Joules] = field(default_factory=dict)
    """By device, from the first reading to the last."""

    def judged(self, since: Seconds) -> list[Served]:
        """The requests to hold a method against: begun after `since`, through the proxy, and paid something."""
        return [one for one in self.requests.values() if not one.is_bypass and one.begin >= since and one.truth > 0.0]
