"""Replies of `/v1/responses`: output items, and the events under which they come into being; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from .answers import Kind, Token
from .asked import Json
from .quirks import StreamUsage
from .replies import Event, Job


@dataclass(slots=True)
class _Item:
    """The output item that is being written."""

    kind: Kind
    index: int
    id: str
    text: str = ""


class ResponsesReply:
    """One response: an item of reasoning where there is any, then a message or a function call."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._sequence_number = 0
        self._item: _Item | None = None
        self._done: list[Json] = []
        self._sent = 0

    @property
    def response_id(self) -> str:
        """Under which a later request may continue."""
        return f"resp_{self._job.id}"

    def opening(self) -> list[Event]:
        """The response as it begins."""
        response = self._response("in_progress", [], None)
        return [self._event("response.created", response=response), self._event("response.in_progress", response=response)]

    def chunk(self, index: int, tokens: Sequence[Token], *, is_last: bool) -> list[Event]:
        """Deltas, and the beginnings and ends of items between them."""
        del index  # there is one sequence
        events: list[Event] = []
        for kind, group in groupby(tokens, key=lambda token: token.kind):
            texts = [token.text for token in group]
            self._sent += len(texts)
            if self._item is None or self._item.kind is not kind:
                events += self._end_item()
                events += self._begin_item(kind)
            events.append(self._delta("".join(texts)))
        return events + self._end_item() if is_last else events

    def closing(self) -> list[Event]:
        """The response as it is now; there is no `[DONE]`."""
        status, name = self._status()
        return [self._event(name, response=self._response(status, self._done, self._usage()))]

    def whole(self) -> Json:
        """The response as one object: what the stream's last event holds."""
        self.chunk(0, self._job.answers[0].tokens, is_last=True)
        return self._response(self._status()[0], self._done, self._usage())

    def _status(self) -> tuple[str, str]:
        if self._job.answers[0].finish_reason == "length":
            return "incomplete", "response.incomplete"
        return "completed", "response.completed"

    def _event(self, type_: str, **fields: object) -> Event:
        self._sequence_number += 1
        return Event({"type": type_, "sequence_number": self._sequence_number - 1, **fields}, type_)

    def _begin_item(self, kind: Kind) -> list[Event]:
        prefix = {Kind.REASONING: "rs", Kind.CONTENT: "msg", Kind.ARGUMENTS: "fc"}[kind]
        item = self._item = _Item(kind, len(self._done), f"{prefix}_{self._job.id}")
        added = self._event("response.output_item.added", output_index=item.index, item=self._item_json("in_progress"))
        if kind is Kind.ARGUMENTS:
            return [added]
        part = _part(kind, "")
        return [added, self._event("response.content_part.added", **self._place(), part=part)]

    def _delta(self, text: str) -> Event:
        if self._item is None:
            raise RuntimeError("a delta belongs to an item")
        self._item.text += text
        match self._item.kind:
            case Kind.REASONING:
                return self._event("response.reasoning_text.delta", **self._place(), delta=text)
            case Kind.CONTENT:
                return self._event("response.output_text.delta", **self._place(), delta=text, logprobs=[])
        return self._event("response.function_call_arguments.delta", **self._place(), delta=text)

    def _end_item(self) -> list[Event]:
        item = self._item
        if item is None:
            return []
        place = self._place()
        match item.kind:
            case Kind.REASONING:
                ends = [self._event("response.reasoning_text.done", **place, text=item.text)]
            case Kind.CONTENT:
                ends = [self._event("response.output_text.done", **place, text=item.text, logprobs=[])]
            case Kind.ARGUMENTS:
                ends = [
                    self._event("response.function_call_arguments.done", **place, name=self._tool_name(), arguments=item.text)
                ]
        if item.kind is not Kind.ARGUMENTS:
            ends.append(self._event("response.content_part.done", **place, part=_part(item.kind, item.text)))
        done = self._item_json("completed")
        ends.append(self._event("response.output_item.done", output_index=item.index, item=done))
        self._done.append(done)
        self._item = None
        return ends

    def _place(self) -> dict[str, object]:
        if self._item is None:
            return {}
        place: dict[str, object] = {"item_id": self._item.id, "output_index": self._item.index}
        return place if self._item.kind is Kind.ARGUMENTS else {**place, "content_index": 0}

    def _tool_name(self) -> str:
        tool = self._job.answers[0].tool
        return tool.name if tool else ""

    def _item_json(self, status: str) -> Json:
        item = self._item
        if item is None:
            return {}
        match item.kind:
            case Kind.REASONING:
                content = [_part(item.kind, item.text)] if item.text else []
                return {"id": item.id, "type": "reasoning", "summary": [], "content": content, "status": status}
            case Kind.CONTENT:
                content = [_part(item.kind, item.text)] if item.text else []
                return {"id": item.id, "type": "message", "role": "assistant", "content": content, "status": status}
        call = {"id": item.id, "type": "function_call", "call_id": f"call_{self._job.id}"}
        return {**call, "name": self._tool_name(), "arguments": item.text, "status": status}

    def _usage(self) -> Json | None:
        job = self._job
        if job.quirks.stream_usage is StreamUsage.NEVER:
            return None
        answer = job.answers[0]
        prompt = job.asked.prompt_tokens
        return {
            "input_tokens": prompt,
            "input_tokens_details": {"cached_tokens": job.cached_tokens if job.quirks.reports_cached_tokens else 0},
            "output_tokens": self._sent,
            "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
            "total_tokens": prompt + self._sent,
        }

    def _response(self, status: str, output: list[Json], usage: Json | None) -> Json:
        return {
            "id": self.response_id,
            "object": "response",
            "created_at": self._job.created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
            "model": self._job.asked.model,
            "output": list(output),
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "temperature": 1.0,
            "top_p": 1.0,
            "usage": usage,
        }


def _part(kind: Kind, text: str) -> Json:
    if kind is Kind.REASONING:
        return {"type": "reasoning_text", "text": text}
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
