"""An answer as those policies see it that judge answers: read by the proxy from whatever the endpoint's reply looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool that the model asks for."""

    name: str
    arguments: str
    """JSON, if the model did as it should."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The first of a reply's answers, and what it was to conform to."""

    text: str = ""
    finish_reason: str | None = None
    refusal: str | None = None
    """What the model said in a refusal's own field."""
    tool_calls: tuple[ToolCall, ...] = ()
    mean_logprob: float | None = None
    """Of its tokens, where the client asked for them."""
    wants_json: bool = False
    schema: Mapping[str, object] | None = None
    """The JSON Schema that the client gave for the text."""
    tools: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    """The JSON Schemas of the tools' parameters, by tool."""
