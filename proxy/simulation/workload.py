"""About forty real questions, of the kinds that people ask, for the demo to send."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import msgspec


@dataclass(frozen=True, slots=True)
class Question:
    """One question. `thinking_helps` is our own judgement of whether chain-of-thought plausibly improves the answer."""

    id: str
    category: str
    """`everyday`, `writing`, `ethics`, `mathematics`, `logic` or `code`."""
    language: str
    """ISO 639-1."""
    thinking_helps: bool
    text: str


def load_questions() -> list[Question]:
    """All of them, in the file's order, which goes by category."""
    data = resources.files(__package__).joinpath("workload.jsonl").read_bytes()
    return msgspec.json.Decoder(Question).decode_lines(data)
