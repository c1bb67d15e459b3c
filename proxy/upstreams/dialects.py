"""How model servers differ in what they take: usage in streams, the thinking switch, request ids.

Facts of November 2026, each from the server's own documentation or seen on the wire (docs/operating.md, "Dialects").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..exchange import Dialect, Endpoint, Target, Thinking, Usage

_SENDS_USAGE_UNASKED: Final = frozenset({Dialect.TRANSFORMERS})
_TAKES_REQUEST_ID: Final = frozenset({Dialect.VLLM})
_EFFORT: Final = frozenset({Dialect.OPENAI, Dialect.OLLAMA, Dialect.LITELLM})
_EFFORT_BESIDE_SWITCH: Final = frozenset({Dialect.VLLM, Dialect.SGLANG})
BUDGET_SLACK: Final = 1.5
"""What is beyond the budget by more: servers end a thought at a sentence."""
LOW_TOKENS: Final = 1024
MEDIUM_TOKENS: Final = 8192
"""Up to where a budget of tokens is called a low or a medium effort, for servers that know no budgets."""


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


def thinking_changes(
    dialect: Dialect,
    *,
    thinking: bool | None,
    template_kwargs: Mapping[str, object],
    how: Thinking | None = None,
    endpoint: Endpoint = Endpoint.CHAT,
) -> dict[str, object]:
    """The top-level fields that switch a hybrid model's thinking, or say how much; the client's own template kwargs are kept.

    `thinking` None leaves the switch alone. Qwen3 calls the template's argument `enable_thinking`, DeepSeek-V3.1 and Granite
    `thinking`: a template ignores the one it does not know, so both are sent. DeepSeek's own service has no efforts.
    """
    if thinking is False:
        how = None
    effort = _effort(how)
    if dialect in _EFFORT:
        wanted = "none" if thinking is False else effort or ("medium" if thinking else None)
        return _effort_field(wanted, endpoint)
    if dialect is Dialect.DEEPSEEK:
        return {} if thinking is None else {"thinking": {"type": "enabled" if thinking else "disabled"}}
    kwargs: dict[str, object] = {} if thinking is None else {"enable_thinking": thinking, "thinking": thinking}
    changes: dict[str, object] = {}
    if how is not None and how.budget_tokens is not None and dialect is Dialect.VLLM:
        changes["thinking_token_budget"] = how.budget_tokens
    elif effort is not None and dialect in _EFFORT_BESIDE_SWITCH:
        changes |= _effort_field(effort, endpoint)
    elif effort is not None:
        kwargs["reasoning_effort"] = effort
    return {**changes, "chat_template_kwargs": {**template_kwargs, **kwargs}} if kwargs else changes


def is_not_honoured(target: Target, usage: Usage) -> bool:
    """Whether an answer thought although told not to, did not although told to, or went far beyond its budget.

    That it did not is believed of a server that counts reasoning and says 0: one that counts none leaves it unknown.
    """
    if target.thinking is False:
        return bool(usage.reasoning)
    budget = target.how.budget_tokens if target.how is not None else None
    if budget is not None and (usage.reasoning or 0) > BUDGET_SLACK * budget:
        return True
    return usage.reasoning == 0 and bool(usage.completion)


def _effort(how: Thinking | None) -> str | None:
    """The effort, or the one that comes nearest to a budget."""
    if how is None or how.budget_tokens is None:
        return how.effort if how is not None else None
    return "low" if how.budget_tokens <= LOW_TOKENS else "medium" if how.budget_tokens <= MEDIUM_TOKENS else "high"


def _effort_field(effort: str | None, endpoint: Endpoint) -> dict[str, object]:
    if effort is None:
        return {}
    return {"reasoning": {"effort": effort}} if endpoint is Endpoint.RESPONSES else {"reasoning_effort": effort}
