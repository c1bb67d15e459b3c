"""What a study asks: the shipped sets, or a JSON Lines file of one's own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Final

import msgspec

from ..errors import ConfigError
from .checkers import Check

SHIPPED: Final = MappingProxyType({"article": "prompts.jsonl", "tasks": "prompts_tasks.jsonl"})
"""By name: 40 in the article's spirit; 24 in four families of tasks (extractive, classification, generation, reasoning)."""


class StudyPrompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One prompt. `thinking_helps` is a judgement beforehand of whether chain-of-thought plausibly improves the answer."""

    id: str
    text: str
    category: str = "all"
    thinking_helps: bool = False
    check: Check | None = None
    """How an answer is found right or wrong; None where nobody but a judge can say."""


def load_prompts(name: str, folder: Path, *, limit: int | None = None) -> list[StudyPrompt]:
    """A shipped set by its name, or a file beside the study; `limit` takes so many, spread evenly over it.

    Raises ConfigError naming the file and the line.
    """
    if name in SHIPPED:
        content, source = files(__package__).joinpath(SHIPPED[name]).read_bytes(), name
    else:
        path = folder / name
        try:
            content, source = path.read_bytes(), str(path)
        except OSError as error:
            raise ConfigError([f"{path}: {error.strerror}; shipped sets are {', '.join(SHIPPED)}"]) from error
    prompts = parse_prompts(content, source)
    if limit is None or limit >= len(prompts):
        return prompts
    return [prompts[place * len(prompts) // limit] for place in range(limit)]


def parse_prompts(content: bytes, source: str) -> list[StudyPrompt]:
    """One prompt a line, empty lines aside; raises ConfigError with every line that is none."""
    decoder = msgspec.json.Decoder(StudyPrompt)
    prompts: dict[str, StudyPrompt] = {}
    problems = []
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            prompt = decoder.decode(line)
        except msgspec.DecodeError as error:
            problems.append(f"{source}:{number}: {error}")
            continue
        if prompt.id in prompts:
            problems.append(f"{source}:{number}: the id {prompt.id!r} is given twice")
        prompts[prompt.id] = prompt
    if not prompts and not problems:
        problems = [f"{source}: no prompts"]
    if problems:
        raise ConfigError(problems)
    return list(prompts.values())


def prompts_hash(prompts: Sequence[StudyPrompt]) -> str:
    """Sixteen hex digits that change with any prompt, its order aside."""
    encoded = sorted(msgspec.json.encode(prompt) for prompt in prompts)
    return hashlib.sha256(b"\n".join(encoded)).hexdigest()[:16]
