"""The reply of `GET /v1/energy/{id}` from the ledger: the same fields and values as from memory."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from .statements import query
from .store import ReadRow, Store


def find_reply(store: Store, request_id: str, tenant: str) -> dict[str, object] | None:
    """The request with its tries; None where this tenant has no such request."""
    row = next(iter(list(store.read(query("find_request"), (request_id, tenant)))), None)
    if row is None:
        return None
    attempts = list(store.read(query("find_attempts"), (request_id,)))
    return {
        "request_id": row["request_id"],
        "client_request_id": row["client_request_id"],
        "started_at": _iso_time(row["started_at"]),
        "upstream": row["upstream"],
        "model": row["model"],
        "route": row["route"],
        "reasons": _list(row["reasons"]),
        "tokens": {kind: row[f"{kind}_tokens"] for kind in ("prompt", "cached", "reasoning", "completion")},
        "energy": _energy(row),
        "cost_usd": _cost(attempts),
        "attempts": [{"upstream": each["upstream"], "outcome": each["outcome"], "energy": _energy(each)} for each in attempts],
        "outcome": row["outcome"],
    }


def _cost(attempts: list[ReadRow]) -> float | None:
    """Of all tries together; None where that is unknown of all of them."""
    known = [cost for each in attempts if isinstance(cost := each["cost_usd"], float)]
    return sum(known) if known else None


def _energy(row: ReadRow) -> dict[str, object]:
    fields: dict[str, object] = {
        "joules": row["joules"],
        "low": row["joules_low"],
        "high": row["joules_high"],
        "method": row["method"],
        "status": row["status"],
        "scope": row["scope"],
        "quality": _list(row["quality"]),
    }
    if row["gco2e"] is not None:
        fields["gco2e"] = row["gco2e"]
    return fields


def _list(text: object) -> list[str]:
    return msgspec.json.decode(str(text), type=list[str])


def _iso_time(unix_seconds: object) -> str:
    """Such as `2026-11-23T12:41:07.250Z`."""
    moment = datetime.fromtimestamp(unix_seconds if isinstance(unix_seconds, float) else 0.0, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
