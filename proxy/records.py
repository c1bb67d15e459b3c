"""The latest records, in bounded memory: what `GET /v1/energy/{id}` answers from and `POST /v1/feedback` is kept with."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from msgspec.structs import replace

from .errors import BadRequest
from .exchange import Attempt, Energy, EnergyStatus, Record

CAPACITY: Final = 10_000


class RecordStore:
    """Holds so many records and forgets the oldest first. A tenant sees its own and no other's.

    `on_score` hears the first score of each request.
    """

    def __init__(self, capacity: int = CAPACITY, *, on_score: Callable[[Record, float], None] = lambda *_: None) -> None:
        self._capacity = capacity
        self._on_score = on_score
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._scores: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._records)

    def put(self, record: Record) -> None:
        """Keep it, in the place of an earlier state of the same request. One that was forgotten comes back as the newest."""
        records = self._records
        records[record.request_id] = record
        if len(records) > self._capacity:
            oldest, _ = records.popitem(last=False)
            self._scores.pop(oldest, None)

    def get(self, request_id: str, tenant: str) -> Record | None:
        """The record; None where it is unknown, forgotten or another tenant's."""
        record = self._records.get(request_id)
        return record if record is not None and record.tenant == tenant else None

    def feedback(self, request_id: str, tenant: str, score: float) -> bool:
        """Keep the request's score, the last one where there are several. False where the tenant has no such record.

        Raises BadRequest where the score is not within 0 and 1.
        """
        if not 0.0 <= score <= 1.0:
            raise BadRequest(f"score: {score} is not between 0 and 1.", param="score")
        record = self.get(request_id, tenant)
        if record is None:
            return False
        if request_id not in self._scores:
            self._on_score(record, score)
        self._scores[request_id] = score
        return True

    def score(self, request_id: str) -> float | None:
        """What the client thought of the answer, from 0 to 1; None until it said so."""
        return self._scores.get(request_id)


def record_json(record: Record) -> dict[str, object]:
    """The reply of `GET /v1/energy/{id}`."""
    return {
        "request_id": record.request_id,
        "client_request_id": record.client_request_id,
        "started_at": _iso_time(record.started_at),
        "upstream": record.upstream,
        "model": record.model,
        "route": record.plan.route or None,
        "reasons": [str(reason) for reason in record.plan.reasons],
        "tokens": record.usage.as_json(),
        "energy": _energy_json(record),
        "cost_usd": cost_usd(record),
        "attempts": [_attempt_json(attempt) for attempt in record.attempts],
        "outcome": None if record.outcome is None else record.outcome.value,
    }


def cost_usd(record: Record) -> float | None:
    """What providers charge for all tries together, by list price; None where that is unknown of all of them."""
    known = [attempt.cost_usd for attempt in record.attempts if attempt.cost_usd is not None]
    return sum(known) if known else None


def _attempt_json(attempt: Attempt) -> dict[str, object]:
    outcome = None if attempt.outcome is None else attempt.outcome.value
    return {"upstream": attempt.upstream, "outcome": outcome, "energy": attempt.energy.as_json()}


def _energy_json(record: Record) -> dict[str, object]:
    """The energy; of a request in flight it is provisional, whatever is known of it."""
    energy: Energy = record.energy
    if record.outcome is None:
        energy = replace(energy, status=EnergyStatus.PROVISIONAL)
    return energy.as_json()


def _iso_time(unix_seconds: float) -> str:
    """Such as `2026-11-23T12:41:07.250Z`."""
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
