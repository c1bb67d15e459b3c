"""Replies of `/v1/messages` (Anthropic's interface, as vLLM serves it): content blocks and their events; pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import groupby
from types import MappingProxyType
from typing import Final

from .answers import Kind, Token
from .asked import Json
from .quirks import StreamUsage
from .replies import Event, Job

_STOP_REASONS: Final = MappingProxyType({"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"})


class MessagesReply:
    """One message: a block of thinking where there is any, then text or a tool's use."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._open: Kind | None = None
        self._block = -1
        self._sent = 0

    def opening(self) -> list[Event]:
        """The message, still empty; its prompt tokens are known."""
        message = {**self._head(), "content": [], "stop_reason": None, "usage": self._usage(0)}
        return [_event("message_start", message=message)]

    def chunk(self, index: int, tokens: Sequence[Token], *, is_last: bool) -> list[Event]:
        """Deltas, and the beginnings and ends of blocks between them."""
        del index  # there is one sequence
        events: list[Event] = []
        for kind, group in groupby(tokens, key=lambda token: token.kind):
            texts = [token.text for token in group]
            self._sent += len(texts)
            if self._open is not kind:
                events += self._end_block()
                events.append(self._begin_block(kind))
            events.append(_event("content_block_delta", index=self._block, delta=_delta(kind, "".join(texts))))
        return events + self._end_block() if is_last else events

    def closing(self) -> list[Event]:
        """Why it stopped, with the usage, and the end; there is no `[DONE]`."""
        delta = {"stop_reason": self._stop_reason(), "stop_sequence": None}
        return [_event("message_delta", delta=delta, usage=self._usage(self._sent)), _event("message_stop")]

    def whole(self) -> Json:
        """The message as one object."""
        answer = self._job.answers[0]
        content: list[Json] = []
        if thinking := answer.text(Kind.REASONING):
            content.append({"type": "thinking", "thinking": thinking, "signature": self._signature()})
        if text := answer.text(Kind.CONTENT):
            content.append({"type": "text", "text": text})
        if arguments := answer.text(Kind.ARGUMENTS):
            content.append({**self._tool_use(), "input": _parsed(arguments)})
        usage = self._usage(len(answer.tokens))
        return {**self._head(), "content": content, "stop_reason": self._stop_reason(), "usage": usage}

    def _head(self) -> dict[str, object]:
        return {
            "id": f"msg_{self._job.id}",
            "type": "message",
            "role": "assistant",
            "model": self._job.asked.model,
            "stop_sequence": None,
        }

    def _begin_block(self, kind: Kind) -> Event:
        self._open = kind
        self._block += 1
        match kind:
            case Kind.REASONING:
                block: Json = {"type": "thinking", "thinking": "", "signature": ""}
            case Kind.CONTENT:
                block = {"type": "text", "text": ""}
            case Kind.ARGUMENTS:
                block = {**self._tool_use(), "input": {}}
        return _event("content_block_start", index=self._block, content_block=block)

    def _end_block(self) -> list[Event]:
        if self._open is None:
            return []
        events = [_event("content_block_stop", index=self._block)]
        if self._open is Kind.REASONING:
            signature = {"type": "signature_delta", "signature": self._signature()}
            events.insert(0, _event("content_block_delta", index=self._block, delta=signature))
        self._open = None
        return events

    def _stop_reason(self) -> str:
        return _STOP_REASONS[self._job.answers[0].finish_reason]

    def _signature(self) -> str:
        return f"simulated-{self._job.id}"

    def _tool_use(self) -> dict[str, object]:
        tool = self._job.answers[0].tool
        return {"type": "tool_use", "id": f"toolu_{self._job.id}", "name": tool.name if tool else ""}

    def _usage(self, output_tokens: int) -> Json | None:
        job = self._job
        if job.quirks.stream_usage is StreamUsage.NEVER:
            return None
        usage: dict[str, object] = {"input_tokens": job.asked.prompt_tokens, "output_tokens": output_tokens}
        if job.quirks.reports_cached_tokens:
            usage["cache_read_input_tokens"] = job.cached_tokens
        return usage


def _event(name: str, **fields: object) -> Event:
    return Event({"type": name, **fields}, name)


def _delta(kind: Kind, text: str) -> Json:
    match kind:
        case Kind.REASONING:
            return {"type": "thinking_delta", "thinking": text}
        case Kind.CONTENT:
            return {"type": "text_delta", "text": text}
    return {"type": "input_json_delta", "partial_json": text}


def _parsed(arguments: str) -> object:
    """The tool's input; what `max_tokens` cut short is no JSON any more, and comes as no input."""
    try:
        return json.loads(arguments)
    except json.JSONDecodeError:
        return {}
