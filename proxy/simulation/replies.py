"""What every reply has in common: the job it answers, its usage, and how an event and an error look on the wire; pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol

from ..errors import RequestError
from ..exchange import Endpoint
from .answers import Answer, Token
from .asked import Asked, Json
from .quirks import ErrorShape, Quirks, ReasoningCount, ReasoningField, StreamUsage

DONE: Final = "[DONE]"


@dataclass(frozen=True, slots=True)
class Job:
    """One accepted request: what was asked, what will be said, and under which id."""

    id: str
    """The request id; servers derive the ids in their replies from it."""
    created: int
    """Unix time."""
    asked: Asked
    answers: Sequence[Answer]
    cached_tokens: int
    quirks: Quirks
    can_think: bool
    """Whether the model ever does: then its usage counts reasoning tokens, zero included."""

    @property
    def counts_reasoning(self) -> bool:
        """Whether the server can tell thinking from answer."""
        return self.can_think and self.quirks.reasoning_field is not ReasoningField.THINK_TAGS


class Event(NamedTuple):
    """One event of a stream; `data` is JSON, or `[DONE]`."""

    data: object
    name: str | None = None


class Reply(Protocol):
    """One endpoint's way of saying things: as a stream of events, or as a whole."""

    def opening(self) -> list[Event]:
        """What goes before the first token, once there is one."""
        ...

    def chunk(self, index: int, tokens: Sequence[Token], *, is_last: bool) -> list[Event]:
        """The next tokens of one sequence."""
        ...

    def closing(self) -> list[Event]:
        """What goes after every sequence's end."""
        ...

    def whole(self) -> Json:
        """The JSON reply."""
        ...


class Tally:
    """How much of each sequence has gone out: what a usage in the middle of a stream says."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.sent = [0] * len(job.answers)
        self.reasoning = [0] * len(job.answers)

    def add(self, index: int, count: int, *, is_reasoning: bool) -> None:
        """So many more tokens of that sequence."""
        self.sent[index] += count
        self.reasoning[index] += count * is_reasoning

    def usage(self) -> Json:
        """The usage so far."""
        return chat_usage(self._job, sum(self.sent), sum(self.reasoning))

    def chunk_usage(self, *, is_last: bool) -> Json | None:
        """The usage that a chunk with choices carries; None for the server that sends none there."""
        match self._job.quirks.stream_usage:
            case StreamUsage.ASKED if self._job.asked.continuous_usage:
                return self.usage()
            case StreamUsage.FINISH_CHUNK if is_last:
                return self.usage()
            case StreamUsage.ZEROS:
                zeros = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
                return self.usage() if is_last else zeros
        return None

    def wants_usage_chunk(self) -> bool:
        """Whether the stream has the extra chunk at its end."""
        return self._job.asked.include_usage and self._job.quirks.stream_usage is StreamUsage.ASKED


def chat_usage(job: Job, completion: int, reasoning: int) -> Json:
    """The usage object of chat and completions, fields in vLLM's order."""
    prompt = job.asked.prompt_tokens
    usage: dict[str, object] = {"prompt_tokens": prompt, "total_tokens": prompt + completion, "completion_tokens": completion}
    if job.quirks.reports_cached_tokens:
        usage["prompt_tokens_details"] = {"cached_tokens": job.cached_tokens}
    if job.counts_reasoning and job.quirks.reasoning_count is ReasoningCount.DETAILS:
        usage["completion_tokens_details"] = {"reasoning_tokens": reasoning}
    if job.counts_reasoning and job.quirks.reasoning_count is ReasoningCount.FLAT:
        usage["reasoning_tokens"] = reasoning
    return usage


def whole_usage(job: Job) -> Json:
    """The field `usage` of a JSON reply; no field for the server that never says."""
    if job.quirks.stream_usage is StreamUsage.NEVER:
        return {}
    completion = sum(len(answer.tokens) for answer in job.answers)
    return {"usage": chat_usage(job, completion, sum(answer.reasoning_tokens for answer in job.answers))}


def encode_event(event: Event, *, uses_crlf: bool = False) -> bytes:
    """The event as bytes of an SSE stream, in UTF-8 and not escaped, as the servers send it."""
    data = event.data if isinstance(event.data, str) else json.dumps(event.data, ensure_ascii=False, separators=(",", ":"))
    lines = [f"data: {data}", "", ""]
    if event.name is not None:
        lines.insert(0, f"event: {event.name}")
    return ("\r\n" if uses_crlf else "\n").join(lines).encode()


def error_body(error: RequestError, shape: ErrorShape, endpoint: Endpoint | None = None, status: int | None = None) -> Json:
    """The error in the server's own words."""
    status = status or error.status
    fields = {"message": error.message, "type": HTTPStatus(status).phrase, "param": error.param, "code": status}
    match shape:
        case ErrorShape.STRING:
            return {"error": error.message}
        case ErrorShape.DETAIL:
            return {"detail": error.message}
        case ErrorShape.FLAT:
            return {"object": "error", **fields}
    if endpoint in {Endpoint.MESSAGES, Endpoint.COUNT_TOKENS}:
        return {"type": "error", "error": {"type": "invalid_request_error", "message": error.message}}
    return {"error": fields}
