"""Replies of chat completions, completions and transcriptions, field by field as vLLM gives them; pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from .answers import Answer, Kind, Token
from .asked import Json
from .quirks import ReasoningField
from .replies import DONE, Event, Job, Tally, whole_usage


class ChatReply:
    """Chat completions."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._tally = Tally(job)
        self._called: set[int] = set()
        """The sequences whose tool call has begun."""
        self._reasoning_field = (
            "reasoning" if job.quirks.reasoning_field is ReasoningField.REASONING else ReasoningField.REASONING_CONTENT.value
        )

    def opening(self) -> list[Event]:
        """A chunk per choice with nothing but the role."""
        indices = range(len(self._job.answers))
        return [self._event(self._choice(index, {"role": "assistant", "content": ""}, None)) for index in indices]

    def chunk(self, index: int, tokens: Sequence[Token], *, is_last: bool) -> list[Event]:
        """A delta per kind of token; the last one has the finish reason."""
        groups = [(kind, list(group)) for kind, group in groupby(tokens, key=lambda token: token.kind)]
        events: list[Event] = []
        for position, (kind, group) in enumerate(groups):
            ends = is_last and position == len(groups) - 1
            self._tally.add(index, len(group), is_reasoning=kind is Kind.REASONING)
            finish_reason = self._job.answers[index].finish_reason if ends else None
            choice = self._choice(index, self._delta(index, kind, group), self._logprobs(group), finish_reason)
            events.append(self._event(choice, is_last=ends))
        return events

    def closing(self) -> list[Event]:
        """The usage chunk, where asked for, and the end mark."""
        events = [Event({**self._head(), "choices": [], "usage": self._tally.usage()})] if self._tally.wants_usage_chunk() else []
        return [*events, Event(DONE)] if self._job.quirks.sends_done else events

    def whole(self) -> Json:
        """The completion as one object."""
        choices = [
            {
                "index": index,
                "message": self._message(index, answer),
                "logprobs": self._logprobs(answer.tokens),
                "finish_reason": answer.finish_reason,
                "stop_reason": None,
            }
            for index, answer in enumerate(self._job.answers)
        ]
        return {**self._head(), "object": "chat.completion", "choices": choices, **whole_usage(self._job)}

    def _head(self) -> dict[str, object]:
        return {
            "id": f"chatcmpl-{self._job.id}",
            "object": "chat.completion.chunk",
            "created": self._job.created,
            "model": self._job.asked.model,
        }

    def _choice(self, index: int, delta: Json, logprobs: Json | None, finish_reason: str | None = None) -> Json:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return choice if finish_reason is None else {**choice, "stop_reason": None}

    def _event(self, choice: Json, *, is_last: bool = False) -> Event:
        data = {**self._head(), "choices": [choice]}
        usage = self._tally.chunk_usage(is_last=is_last)
        return Event(data if usage is None else {**data, "usage": usage})

    def _delta(self, index: int, kind: Kind, tokens: Sequence[Token]) -> Json:
        text = "".join(token.text for token in tokens)
        match kind:
            case Kind.REASONING:
                return {self._reasoning_field: text}
            case Kind.CONTENT:
                return {"content": text}
        if index in self._called:
            return {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}
        self._called.add(index)
        return {"tool_calls": [{"index": 0, **self._tool_call(index, text)}]}

    def _tool_call(self, index: int, arguments: str) -> dict[str, object]:
        tool = self._job.answers[index].tool
        name = tool.name if tool else ""
        return {
            "id": f"chatcmpl-tool-{self._job.id}-{index}",
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        }

    def _message(self, index: int, answer: Answer) -> Json:
        arguments = answer.text(Kind.ARGUMENTS)
        message: dict[str, object] = {
            "role": "assistant",
            "content": answer.text(Kind.CONTENT) or None,
            "refusal": None,
            "tool_calls": [self._tool_call(index, arguments)] if arguments else [],
        }
        if self._job.counts_reasoning:
            message[self._reasoning_field] = answer.text(Kind.REASONING) or None
        return message

    def _logprobs(self, tokens: Sequence[Token]) -> Json | None:
        top = self._job.asked.top_logprobs
        if top is None:
            return None
        return {
            "content": [{**_logprob(token.text, 0), "top_logprobs": list(_alternatives(token.text, top))} for token in tokens]
        }


class CompletionReply:
    """Completions: whatever kind a token is, it is text."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._tally = Tally(job)
        self._offsets = [0] * len(job.answers)

    def opening(self) -> list[Event]:
        """Nothing."""
        return []

    def chunk(self, index: int, tokens: Sequence[Token], *, is_last: bool) -> list[Event]:
        """One chunk."""
        self._tally.add(index, len(tokens), is_reasoning=False)
        finish_reason = self._job.answers[index].finish_reason if is_last else None
        data = {**self._head(), "choices": [self._choice(index, tokens, finish_reason)]}
        usage = self._tally.chunk_usage(is_last=is_last)
        return [Event(data if usage is None else {**data, "usage": usage})]

    def closing(self) -> list[Event]:
        """The usage chunk, where asked for, and the end mark."""
        events = [Event({**self._head(), "choices": [], "usage": self._tally.usage()})] if self._tally.wants_usage_chunk() else []
        return [*events, Event(DONE)] if self._job.quirks.sends_done else events

    def whole(self) -> Json:
        """The completion as one object."""
        answers = enumerate(self._job.answers)
        choices = [self._choice(index, answer.tokens, answer.finish_reason) for index, answer in answers]
        return {**self._head(), "choices": choices, **whole_usage(self._job)}

    def _head(self) -> dict[str, object]:
        return {
            "id": f"cmpl-{self._job.id}",
            "object": "text_completion",
            "created": self._job.created,
            "model": self._job.asked.model,
        }

    def _choice(self, index: int, tokens: Sequence[Token], finish_reason: str | None) -> Json:
        texts = [token.text for token in tokens]
        return {
            "index": index,
            "text": "".join(texts),
            "logprobs": self._logprobs(index, texts),
            "finish_reason": finish_reason,
            "stop_reason": None,
        }

    def _logprobs(self, index: int, texts: list[str]) -> Json | None:
        top = self._job.asked.top_logprobs
        if top is None:
            return None
        offsets: list[int] = []
        for text in texts:
            offsets.append(self._offsets[index])
            self._offsets[index] += len(text)
        return {
            "text_offset": offsets,
            "token_logprobs": [_LOGPROB for _ in texts],
            "tokens": texts,
            "top_logprobs": [{str(other["token"]): other["logprob"] for other in _alternatives(text, top)} for text in texts],
        }


class TranscriptionReply:
    """Transcriptions: text alone, with the sound's length as its usage."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def opening(self) -> list[Event]:
        """Nothing."""
        return []

    def chunk(self, index: int, tokens: Sequence[Token], *, is_last: bool) -> list[Event]:
        """One chunk."""
        text = "".join(token.text for token in tokens)
        finish_reason = self._job.answers[index].finish_reason if is_last else None
        return [Event({**self._head(), "choices": [{"delta": {"content": text}, "finish_reason": finish_reason}]})]

    def closing(self) -> list[Event]:
        """The end mark."""
        return [Event(DONE)] if self._job.quirks.sends_done else []

    def whole(self) -> Json:
        """The text."""
        seconds = max(1, self._job.asked.prompt_tokens // 50)
        return {"text": self._job.answers[0].text(Kind.CONTENT), "usage": {"type": "duration", "seconds": seconds}}

    def _head(self) -> dict[str, object]:
        return {
            "id": f"trsc-{self._job.id}",
            "object": "transcription.chunk",
            "created": self._job.created,
            "model": self._job.asked.model,
        }


_LOGPROB = -0.25


def _logprob(text: str, rank: int) -> dict[str, object]:
    return {"token": text, "logprob": _LOGPROB - rank, "bytes": list(text.encode())}


def _alternatives(text: str, top: int) -> Iterator[dict[str, object]]:
    """Made up: the token, then its neighbours in no model's opinion."""
    for rank in range(top):
        yield _logprob(text if rank == 0 else f"{text}{rank}", rank)
