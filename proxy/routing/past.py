"""Requests of the past, from a ledger or from JSON lines: as much of each as deciding about it anew takes.

A line is what `GET /v1/energy/{id}` gives, or a row of `jevons ledger export`; `tenant`, `prompt`, `tier` and `decision` may be
missing. A SQLite ledger is told by its first bytes.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from ..errors import JevonsError
from ..exchange import DEFAULT_TENANT, Tier

_SQLITE: Final = b"SQLite format 3\0"
_QUERY: Final = (
    "SELECT request_id, tenant, started_at, upstream, tier, decision, route, prompt_tokens, completion_tokens, "
    "reasoning_tokens, joules, prompt FROM requests WHERE outcome = 'ok' AND holdout_of IS NULL ORDER BY started_at"
)


@dataclass(frozen=True, slots=True)
class Past:
    """One request that was answered. None is unknown."""

    request_id: str
    tenant: str
    started_at: float
    upstream: str
    tier: Tier | None
    decision: str | None
    route: str
    prompt_tokens: int
    completion_tokens: int | None
    reasoning_tokens: int | None
    joules: float | None
    prompt: str | None

    @property
    def policy(self) -> str:
        """Who decided: the route begins with it."""
        return self.route.partition(":")[0]

    @property
    def word(self) -> str:
        """Why: the rule's name, the score."""
        return self.route.partition(":")[2].rpartition(";to=")[0]


def read_past(path: Path) -> list[Past]:
    """Those that were answered, oldest first; raises JevonsError with the file and the line where something is no request."""
    try:
        with path.open("rb") as file:
            is_ledger = file.read(len(_SQLITE)) == _SQLITE
        rows = _read_ledger(path) if is_ledger else _read_lines(path)
        return sorted(rows, key=lambda row: row.started_at)
    except (OSError, sqlite3.Error, UnicodeDecodeError, EOFError) as error:
        raise JevonsError(f"{path}: {error}") from error


def _read_ledger(path: Path) -> Iterable[Past]:
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [_past(dict(row)) for row in connection.execute(_QUERY)]


def _read_lines(path: Path) -> Iterator[Past]:
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                data = json.loads(line)
                row = _past(_flat(data)) if _is_answered(data) else None
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise JevonsError(f"{path}:{number}: not a request: {error!r}") from error
            if row is not None:
                yield row


def _is_answered(data: Mapping[str, Any]) -> bool:
    is_ok = data.get("outcome", "ok") == "ok" and data.get("upstream") is not None
    return is_ok and data.get("holdout_of") is None


def _flat(data: Mapping[str, Any]) -> dict[str, Any]:
    """The names of the ledger's columns, whichever of the two shapes a line has."""
    tokens = data.get("tokens") or {}
    energy = data.get("energy") or {}
    nested = {
        "prompt_tokens": tokens.get("prompt"),
        "completion_tokens": tokens.get("completion"),
        "reasoning_tokens": tokens.get("reasoning"),
        "joules": energy.get("joules"),
    }
    return {**{name: value for name, value in nested.items() if value is not None}, **data}


def _past(row: Mapping[str, Any]) -> Past:
    started = row["started_at"]
    tier = row.get("tier")
    return Past(
        request_id=str(row["request_id"]),
        tenant=row.get("tenant") or DEFAULT_TENANT,
        started_at=datetime.fromisoformat(started).timestamp() if isinstance(started, str) else float(started),
        upstream=str(row["upstream"]),
        tier=Tier(tier) if tier else None,
        decision=row.get("decision"),
        route=row.get("route") or "",
        prompt_tokens=int(row.get("prompt_tokens") or 0),
        completion_tokens=row.get("completion_tokens"),
        reasoning_tokens=row.get("reasoning_tokens"),
        joules=row.get("joules"),
        prompt=row.get("prompt"),
    )
