"""What the simulated model says: for each sequence its tokens, known before the first is decoded; pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum

from ..exchange import Reasoning
from .asked import Asked, Tool
from .quirks import Quirks, ReasoningField
from .words import answer_length, digest, split_tokens, thinking_length, write_tokens


class Kind(StrEnum):
    """What a token belongs to."""

    REASONING = "reasoning"
    CONTENT = "content"
    ARGUMENTS = "arguments"
    """Of a tool call."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token of an answer."""

    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One sequence's whole output."""

    tokens: tuple[Token, ...]
    finish_reason: str
    """`stop`, `length` or `tool_calls`."""
    tool: Tool | None = None
    reasoning_tokens: int = 0

    def text(self, kind: Kind) -> str:
        """All the text of that kind."""
        return "".join(token.text for token in self.tokens if token.kind is kind)


def does_think(asked: Asked, thinks: Reasoning, quirks: Quirks) -> bool:
    """Whether the answer begins with thinking; a switchable model thinks unless told not to, as Qwen3 does."""
    if thinks is not Reasoning.SWITCHABLE:
        return thinks is Reasoning.ALWAYS
    return asked.thinking is not False or quirks.ignores_thinking_switch


def write_answers(asked: Asked, thinks: Reasoning, quirks: Quirks) -> list[Answer]:
    """One answer per sequence: for each prompt its `n`; they follow from prompt, seed and place alone."""
    is_thinking = does_think(asked, thinks, quirks)
    return [
        _write_answer(asked, digest(asked.seed, number, *prompt), is_thinking=is_thinking, quirks=quirks)
        for prompt in asked.prompts
        for number in range(asked.n)
    ]


def _write_answer(asked: Asked, seed: bytes, *, is_thinking: bool, quirks: Quirks) -> Answer:
    least = min(asked.min_tokens, asked.max_tokens or asked.min_tokens)
    kind, texts = Kind.CONTENT, write_tokens(seed, max(least, answer_length(seed)))
    if asked.tool:
        kind, texts = Kind.ARGUMENTS, split_tokens(json.dumps(write_arguments(asked.tool.parameters, seed)))
    tokens = [Token(kind, text) for text in texts]
    if is_thinking:
        thinking = write_tokens(digest("thinking", seed.hex()), thinking_length(seed))
        tokens = _thinking_tokens(thinking, quirks) + tokens
    finish_reason = "tool_calls" if asked.tool else "stop"
    if asked.max_tokens is not None and len(tokens) > asked.max_tokens:
        tokens, finish_reason = tokens[: asked.max_tokens], "length"
    reasoning_tokens = sum(token.kind is Kind.REASONING for token in tokens)
    return Answer(tuple(tokens), finish_reason, asked.tool, reasoning_tokens)


def _thinking_tokens(texts: list[str], quirks: Quirks) -> list[Token]:
    if quirks.reasoning_field is ReasoningField.THINK_TAGS:
        return [Token(Kind.CONTENT, text) for text in ("<think>", "\n", *texts, "\n", "</think>", "\n\n")]
    return [Token(Kind.REASONING, text) for text in texts]


def write_arguments(schema: object, seed: bytes) -> dict[str, object]:
    """A value for every property of a tool's JSON Schema, of the right type; none where it has no properties."""
    match schema:
        case {"properties": dict() as properties}:
            return {name: _write_value(rule, digest(name, seed.hex())) for name, rule in properties.items()}
    return {}


def _write_value(rule: object, seed: bytes) -> object:
    match rule:
        case {"enum": [_, *_] as values}:
            value: object = values[seed[0] % len(values)]
        case {"type": "integer"}:
            value = seed[0]
        case {"type": "number"}:
            value = seed[0] / 4
        case {"type": "boolean"}:
            value = seed[0] % 2 == 0
        case {"type": "array", "items": items}:
            value = [_write_value(items, seed)]
        case {"type": "object"}:
            value = write_arguments(rule, seed)
        case _:
            value = "".join(write_tokens(seed, 2))
    return value
