"""How a simulated server differs from vLLM, and how it fails: every switch is something that real servers do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ..units import Seconds


class ReasoningField(StrEnum):
    """Where a server puts its thinking."""

    REASONING = "reasoning"
    """Recent vLLM, Ollama."""
    REASONING_CONTENT = "reasoning_content"
    """SGLang, llama.cpp, DeepSeek, older vLLM."""
    THINK_TAGS = "think_tags"
    """In the content, between `<think>` and `</think>`: a server without a reasoning parser. It counts no reasoning tokens."""


class ReasoningCount(StrEnum):
    """Where a server says how many tokens were thinking."""

    DETAILS = "details"
    """`usage.completion_tokens_details.reasoning_tokens`, as OpenAI."""
    FLAT = "flat"
    """`usage.reasoning_tokens`, as SGLang."""
    NONE = "none"


class StreamUsage(StrEnum):
    """Where a stream carries its usage."""

    ASKED = "asked"
    """In an extra chunk without choices, only where `stream_options.include_usage` asks for it, as vLLM."""
    FINISH_CHUNK = "finish_chunk"
    """Always, in the chunk with the finish reason, as `transformers serve`."""
    ZEROS = "zeros"
    """Zeros in every chunk but the last, as Ollama's completions."""
    NEVER = "never"
    """Not in JSON replies either."""


class Hang(StrEnum):
    """Where a server stops for ever, its request in the queue."""

    NEVER = "never"
    BEFORE_HEADERS = "before_headers"
    BEFORE_FIRST_CHUNK = "before_first_chunk"


class ErrorShape(StrEnum):
    """How a server words an error."""

    OPENAI = "openai"
    """`{"error": {"message", "type", "param", "code"}}`"""
    FLAT = "flat"
    """The same fields without the outer `error`, as SGLang."""
    STRING = "string"
    """`{"error": "…"}`, as Ollama."""
    DETAIL = "detail"
    """`{"detail": "…"}`, as FastAPI."""


@dataclass(frozen=True, slots=True)
class Quirks:
    """A well-behaved vLLM, unless said otherwise."""

    reasoning_field: ReasoningField = ReasoningField.REASONING_CONTENT
    reasoning_count: ReasoningCount = ReasoningCount.DETAILS
    stream_usage: StreamUsage = StreamUsage.ASKED
    sends_done: bool = True
    """Whether a stream ends with `data: [DONE]`."""
    reports_cached_tokens: bool = True
    refuses_unknown_fields: bool = False
    """422 for every field outside a short list, `stream_options` among them, as `transformers serve`."""
    ignores_thinking_switch: bool = False
    tokens_per_chunk: int = 1
    seconds_between_chunks: Seconds = 0.0
    """A wait before each chunk of a stream but the first: a slow network, not a slow GPU."""
    pings: bool = False
    """A comment before the first chunk, as llama.cpp sends while it reads a prompt."""
    uses_crlf: bool = False
    """Lines of a stream end in CR LF, as the standard allows."""
    hang: Hang = Hang.NEVER
    dies_after_tokens: int | None = None
    """The socket closes after so many tokens, streamed or not."""
    error_status: int | None = None
    """Every request that reaches a model is answered with it."""
    error_shape: ErrorShape = ErrorShape.OPENAI
    retry_after_seconds: int | None = None
