"""How model servers differ in what they take: usage in streams, the thinking switch, request ids.

Facts of November 2026, each from the server's own documentation or seen on the wire (docs/operating.md, "Dialects").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..exchange import Dialect

_SENDS_USAGE_UNASKED: Final = frozenset({Dialect.TRANSFORMERS})
_TAKES_REQUEST_ID: Final = frozenset({Dialect.VLLM})
_EFFORT: Final = frozenset({Dialect.OPENAI, Dialect.OLLAMA})


def can_inject_usage(dialect: Dialect) -> bool:
    """Whether a stream that was not asked for its usage may be asked on the client's behalf.

    `transformers serve` sends it anyway, and releases differ in whether they refuse the field.
    """
    return dialect not in _SENDS_USAGE_UNASKED


def takes_request_id(dialect: Dialect) -> bool:
    """Whether the server keeps an `x-request-id` header for its logs without making it an internal key that must be unique.

    `transformers serve` makes it one. SGLang ignores the header so far, and is about to make it one too.
    """
    return dialect in _TAKES_REQUEST_ID


def thinking_changes(dialect: Dialect, *, thinking: bool, template_kwargs: Mapping[str, object]) -> dict[str, object]:
    """The top-level fields that switch a hybrid model's thinking on or off; the client's own template kwargs are kept.

    Qwen3 calls the template's argument `enable_thinking`, DeepSeek-V3.1 and Granite `thinking`: a template ignores the one
    it does not know, so both are sent.
    """
    if dialect in _EFFORT:
        return {"reasoning_effort": "medium" if thinking else "none"}
    if dialect is Dialect.DEEPSEEK:
        return {"thinking": {"type": "enabled" if thinking else "disabled"}}
    return {"chat_template_kwargs": {**template_kwargs, "enable_thinking": thinking, "thinking": thinking}}
