"""A whole chat reply as the policies see it that judge answers, with what the request asked it to conform to."""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec
from msgspec import Raw, Struct

from jevons.policies.answer import Answer, ToolCall

from .exchange import Request
from .wire.parsing import JsonBody
from .wire.replies import UNREADABLE


class _Function(Struct):
    name: str = ""
    arguments: str = ""


class _Call(Struct):
    function: _Function = msgspec.field(default_factory=_Function)


class _Message(Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Token(Struct):
    logprob: float | None = None


class _Logprobs(Struct):
    content: list[_Token] | None = None


class _Choice(Struct):
    message: _Message = msgspec.field(default_factory=_Message)
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Reply(Struct):
    choices: list[_Choice] = []


def read_answer(request: Request, body: bytes) -> Answer | None:
    """The first choice; None where the reply has none."""
    try:
        choices = msgspec.json.decode(body, type=_Reply).choices
    except UNREADABLE:
        return None
    if not choices:
        return None
    choice = choices[0]
    message = choice.message
    asked = request.body.fields if isinstance(request.body, JsonBody) else {}
    wants_json, schema = _format(asked.get("response_format"))
    return Answer(
        text=message.content or "",
        finish_reason=choice.finish_reason,
        refusal=message.refusal,
        tool_calls=tuple(ToolCall(call.function.name, call.function.arguments) for call in message.tool_calls or ()),
        mean_logprob=_mean(choice.logprobs),
        wants_json=wants_json,
        schema=schema,
        tools=_tools(asked.get("tools")),
    )


def _mean(logprobs: _Logprobs | None) -> float | None:
    tokens = (logprobs.content if logprobs is not None else None) or []
    known = [token.logprob for token in tokens if token.logprob is not None]
    return sum(known) / len(known) if known else None


def _format(raw: Raw | None) -> tuple[bool, Mapping[str, object] | None]:
    """Whether JSON is asked for, and the schema where one is given."""
    asked = _object(_decoded(raw))
    if asked.get("type") not in {"json_object", "json_schema"}:
        return False, None
    schema = _object(asked.get("json_schema")).get("schema")
    return True, _object(schema) or None


def _tools(raw: Raw | None) -> dict[str, Mapping[str, object]]:
    found = _decoded(raw)
    functions = [_object(_object(tool).get("function")) for tool in found] if isinstance(found, list) else []
    return {str(function["name"]): _object(function.get("parameters")) for function in functions if "name" in function}


def _decoded(raw: Raw | None) -> object:
    """The client's JSON; None where it is none, or nested beyond reason."""
    try:
        return json.loads(bytes(raw)) if raw is not None else None
    except (ValueError, RecursionError):
        return None


def _object(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}
