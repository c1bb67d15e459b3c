"""A whole JSON reply put together from a stream's events, as the server would have sent it but for `id` and `created`.

What a stream leaves out (fields that are null, the names a message has) is learned from a whole reply of the same server to a
like request: its `Shape`. Text and tool calls are joined; what servers are known to do to a whole text is in their `Manner`. A
part that has no place in the shape is a problem: the reply is still as complete as it can be, and whoever asked for it should ask
this server for streams no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import msgspec

from ..exchange import Dialect, Endpoint, Request
from .parsing import JsonBody
from .replies import UNREADABLE

Json: TypeAlias = dict[str, Any]

_KNOWN_FIELDS: Final = frozenset(
    {"model", "messages", "prompt", "stream", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "min_p"}
    | {"repetition_penalty", "presence_penalty", "frequency_penalty", "seed", "stop", "stop_token_ids", "ignore_eos"}
    | {"min_tokens", "n", "logit_bias", "user", "response_format", "tools", "tool_choice", "parallel_tool_calls"}
    | {"reasoning_effort", "chat_template_kwargs", "logprobs", "top_logprobs", "metadata", "store", "safety_identifier"}
)
"""Of a request: with any other its reply may have parts that a stream does not."""
_SHAPING_FIELDS: Final = ("tools", "logprobs")
"""Of a request: with and without them replies have different parts."""
_PER_REPLY: Final = frozenset({"id", "created", "object", "choices", "usage"})
_PER_CHOICE: Final = frozenset({"index", "delta", "message", "text", "logprobs", "finish_reason"})
_ROLE: Final = "assistant"


@dataclass(frozen=True, slots=True)
class Manner:
    """What a kind of server does to a whole reply and not to a stream."""

    strips_text: bool = False
    """White space around each text is taken away."""
    omits_empty: bool = False
    """A message has no key for what is empty, but for its content."""


_MANNERS: Final[Mapping[Dialect, Manner]] = {
    Dialect.TRANSFORMERS: Manner(strips_text=True, omits_empty=True),
    Dialect.LLAMA_CPP: Manner(omits_empty=True),
    Dialect.OLLAMA: Manner(omits_empty=True),
}
_UNFAITHFUL: Final = frozenset({(Dialect.TRANSFORMERS, Endpoint.COMPLETIONS)})
"""Their streams lack the last characters where a token ends within one (tests/recorded)."""


def manner_of(dialect: Dialect) -> Manner:
    """How a kind of server words a whole reply."""
    return _MANNERS.get(dialect, Manner())


def form_of(request: Request, dialect: Dialect) -> tuple[str, ...] | None:
    """What the reply's parts depend on; None where a stream cannot stand for the reply."""
    if request.stream or request.endpoint not in {Endpoint.CHAT, Endpoint.COMPLETIONS} or not isinstance(request.body, JsonBody):
        return None
    given = {name for name, value in request.body.fields.items() if bytes(value) != b"null"}
    if given - _KNOWN_FIELDS or (dialect, request.endpoint) in _UNFAITHFUL:
        return None
    return (request.endpoint.value, *(name for name in _SHAPING_FIELDS if name in given))


@dataclass(frozen=True, slots=True)
class Shape:
    """The parts of a server's whole reply: each name with the value it had, where a stream may be silent on it."""

    reply: Json
    choice: Json
    message: Json | None
    """None for completions, whose text stands in the choice."""


def learn_shape(body: bytes) -> Shape | None:
    """The shape of a whole reply; None where it is none."""
    try:
        reply = msgspec.json.decode(body)
        choice = reply["choices"][0]
        message = choice.get("message")
    except (*UNREADABLE, AttributeError, IndexError, KeyError, TypeError):
        return None
    if not isinstance(choice, dict) or not (isinstance(message, dict) or isinstance(choice.get("text"), str)):
        return None
    return Shape(reply, choice, message if isinstance(message, dict) else None)


@dataclass(slots=True)
class _Choice:
    """One answer, as far as its chunks have come."""

    texts: dict[str, list[str]] = field(default_factory=dict)
    """By the name of the delta's field; a completion's text as `text`."""
    other: Json = field(default_factory=dict)
    """What else the deltas had, the last of each."""
    tool_calls: dict[int, Json] = field(default_factory=dict)
    logprobs: Json | None = None
    finish_reason: str | None = None
    extra: Json = field(default_factory=dict)
    """What else the choices had, the last of each that is not null."""


class Assembler:
    """One reply in the making: feed it every event's data, then finish."""

    def __init__(self, shape: Shape, manner: Manner) -> None:
        self.problems: list[str] = []
        """What had no place."""
        self._shape = shape
        self._manner = manner
        self._reply: Json = {}
        self._choices: dict[int, _Choice] = {}

    def feed(self, data: bytes) -> None:
        """Take one event's data; what is no JSON object (a comment, `[DONE]`) is passed over."""
        try:
            event = msgspec.json.decode(data)
        except UNREADABLE:
            return
        if not isinstance(event, dict):
            return
        for name, value in event.items():
            if name != "choices" and value is not None:
                self._reply[name] = value
        for choice in event.get("choices") or ():
            self._take(choice, self._choices.setdefault(choice.get("index", 0), _Choice()))

    def _take(self, chunk: Json, choice: _Choice) -> None:
        for name, value in (chunk.get("delta") or {}).items():
            if name == "tool_calls":
                for call in value or ():
                    _merge_call(choice.tool_calls.setdefault(call.get("index", 0), {}), call)
            elif isinstance(value, str) and name != "role":
                choice.texts.setdefault(name, []).append(value)
            elif value is not None:
                choice.other[name] = value
        if isinstance(text := chunk.get("text"), str):
            choice.texts.setdefault("text", []).append(text)
        if logprobs := chunk.get("logprobs"):
            choice.logprobs = _joined(choice.logprobs, logprobs)
        choice.finish_reason = chunk.get("finish_reason") or choice.finish_reason
        choice.extra.update({name: value for name, value in chunk.items() if name not in _PER_CHOICE and value is not None})

    def finish(self) -> bytes:
        """The whole reply."""
        shape = self._shape.reply
        reply: Json = {name: self._reply.get(name) for name in ("id", "created") if name in shape}
        for name, value in shape.items():
            if name not in _PER_REPLY:
                reply[name] = self._reply.get(name, value)
                if name not in self._reply and value:
                    self.problems.append(f"no {name!r} in the stream")
        reply["object"] = shape.get("object")
        reply["choices"] = [self._choice(index, self._choices[index]) for index in sorted(self._choices)]
        if "usage" in shape:
            reply["usage"] = self._reply.get("usage")
            if reply["usage"] is None:
                self.problems.append("no usage in the stream")
        if not self._choices:
            self.problems.append("no choices in the stream")
        return msgspec.json.encode(reply)

    def _choice(self, index: int, choice: _Choice) -> Json:
        whole: Json = {}
        for name in self._shape.choice:
            if name == "index":
                whole[name] = index
            elif name == "message":
                whole[name] = self._message(choice)
            elif name == "text":
                whole[name] = self._text(choice, name)
            elif name in {"logprobs", "finish_reason"}:
                whole[name] = getattr(choice, name)
            else:
                whole[name] = choice.extra.pop(name, None)
        if choice.extra:
            self.problems.append(f"{', '.join(choice.extra)} in a choice")
        return whole

    def _message(self, choice: _Choice) -> Json:
        shape = self._shape.message or {}
        calls = [_whole_call(choice.tool_calls[index]) for index in sorted(choice.tool_calls)]
        texts = {name: text for name in choice.texts if (text := self._text(choice, name))}
        message: Json = {"role": choice.other.pop("role", _ROLE), "content": texts.pop("content", None)}
        if message["content"] is None and (self._manner.omits_empty or not (texts or calls)):
            message["content"] = None if calls else ""
        message |= texts
        if calls:
            message["tool_calls"] = calls
        for name, value in shape.items():
            if name not in message and not (self._manner.omits_empty and value):
                message[name] = choice.other.pop(name, [] if isinstance(value, list) else None)
        if choice.other:
            self.problems.append(f"{', '.join(choice.other)} in a delta")
        return message

    def _text(self, choice: _Choice, name: str) -> str:
        text = "".join(choice.texts.get(name, ()))
        return text.strip() if self._manner.strips_text else text


def _merge_call(call: Json, piece: Json) -> None:
    """One piece of a tool call: arguments are joined, the rest comes once."""
    for name, value in piece.items():
        if name == "function":
            function = call.setdefault("function", {})
            for key, part in value.items():
                if key == "arguments":
                    function[key] = function.get(key, "") + (part or "")
                elif part is not None:
                    function[key] = part
        elif value is not None:
            call[name] = value


def _whole_call(call: Json) -> Json:
    """A whole call has no index."""
    return {name: value for name, value in call.items() if name != "index"}


def _joined(before: Json | None, more: Json) -> Json:
    """Log probabilities: every list goes on where it was."""
    if before is None:
        return dict(more)
    return {name: before.get(name, []) + value if isinstance(value, list) else value for name, value in more.items()}
