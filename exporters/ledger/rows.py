"""The rows of the ledger's tables, and how a record becomes them. Pure; the order of the fields is that of the columns."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec

from jevons.proxy.exchange import Attempt, Record

_SESSION_HASH_DIGITS: Final = 16
_SECONDS_PER_HOUR: Final = 3600


class RequestRow(NamedTuple):
    """One request with all its tries."""

    request_id: str
    run_id: str
    tenant: str
    client_request_id: str | None
    session_hash: str | None
    endpoint: str
    started_at: float
    hour: int
    time_to_first_token_seconds: float | None
    duration_seconds: float | None
    stream: bool
    sequences: int
    upstream: str | None
    model: str | None
    tier: str | None
    decision: str | None
    route: str | None
    reasons: str
    prompt_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    completion_tokens: int | None
    is_tokens_estimated: bool
    joules: float | None
    joules_low: float | None
    joules_high: float | None
    method: str | None
    status: str
    scope: str | None
    quality: str
    gco2e: float | None
    intensity_gco2e_per_kwh: float | None
    intensity_source: str | None
    intensity_at: float | None
    outcome: str
    holdout_of: str | None
    prompt: str | None


class AttemptRow(NamedTuple):
    """One try at one upstream; `place` counts from 0."""

    request_id: str
    place: int
    upstream: str
    outcome: str | None
    prompt_tokens: int | None
    cached_tokens: int | None
    reasoning_tokens: int | None
    completion_tokens: int | None
    is_tokens_estimated: bool
    joules: float | None
    joules_low: float | None
    joules_high: float | None
    method: str | None
    status: str
    scope: str | None
    quality: str
    gco2e: float | None
    cost_usd: float | None


class AccountRow(NamedTuple):
    """What one account of a device gained in a window, and what it came to since the start by the end of that."""

    run_id: str
    device: str
    account: str
    window_start: float
    window_end: float
    joules: float
    total_joules: float


class FeedbackRow(NamedTuple):
    """What a client thought of an answer, from 0 to 1."""

    request_id: str
    tenant: str
    score: float
    at: float


class RunRow(NamedTuple):
    """One process that writes."""

    run_id: str
    version: str
    host: str
    pid: int
    started_at: float
    seen_at: float
    ended_at: float | None
    state: str
    dropped: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What is written in one transaction."""

    run: RunRow
    requests: Sequence[RequestRow] = ()
    attempts: Sequence[AttemptRow] = ()
    accounts: Sequence[AccountRow] = ()
    feedback: Sequence[FeedbackRow] = ()


def request_row(record: Record, run_id: str) -> RequestRow:
    """The row of an ended request: by place and not by name, which with so many fields takes three times as long."""
    plan, usage, energy, intensity = record.plan, record.usage, record.energy, record.energy.intensity
    return RequestRow(
        record.request_id,
        run_id,
        record.tenant,
        _text(record.client_request_id),
        session_hash(record.tenant, record.session),
        record.endpoint.value,
        record.started_at,
        int(record.started_at // _SECONDS_PER_HOUR),
        record.time_to_first_token_seconds,
        record.duration_seconds,
        record.stream,
        record.sequences,
        record.upstream,
        record.model,
        plan.candidates[0].tier.value if plan.candidates else None,
        plan.decision or None,
        plan.route or None,
        _json([_text(str(reason)) for reason in plan.reasons]),
        usage.prompt,
        usage.cached,
        usage.reasoning,
        usage.completion,
        usage.is_estimated,
        energy.joules,
        energy.low,
        energy.high,
        None if energy.method is None else energy.method.value,
        energy.status.value,
        energy.scope,
        _json(energy.quality),
        energy.gco2e,
        None if intensity is None else intensity.gco2e_per_kwh,
        None if intensity is None else intensity.source,
        None if intensity is None else intensity.at,
        "" if record.outcome is None else record.outcome.value,
        record.holdout_of,
        _text(record.prompt),
    )


def attempt_rows(record: Record) -> list[AttemptRow]:
    """The rows of its tries, in their order."""
    return [_attempt_row(record.request_id, place, attempt) for place, attempt in enumerate(record.attempts)]


def _attempt_row(request_id: str, place: int, attempt: Attempt) -> AttemptRow:
    usage, energy = attempt.usage, attempt.energy
    return AttemptRow(
        request_id,
        place,
        attempt.upstream,
        None if attempt.outcome is None else attempt.outcome.value,
        usage.prompt,
        usage.cached,
        usage.reasoning,
        usage.completion,
        usage.is_estimated,
        energy.joules,
        energy.low,
        energy.high,
        None if energy.method is None else energy.method.value,
        energy.status.value,
        energy.scope,
        _json(energy.quality),
        energy.gco2e,
        attempt.cost_usd,
    )


def session_hash(tenant: str, session: str | None) -> str | None:
    """A session's mark: who has the ledger can tell which requests belong together, and not what the client calls them."""
    if session is None:
        return None
    return hashlib.sha256(f"{tenant}\0{session}".encode(errors="surrogatepass")).hexdigest()[:_SESSION_HASH_DIGITS]


def _json(value: Sequence[object]) -> str:
    return msgspec.json.encode(value).decode() if value else "[]"


def _text(value: str | None) -> str | None:
    """What both databases take: no NUL, which PostgreSQL refuses, and no lone surrogate, which UTF-8 has no bytes for."""
    if value is None or (value.isascii() and "\0" not in value):
        return value
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
