"""Rows of prompts with the results of several models, as `route eval` reads them: `.jsonl` and `.jsonl.gz`."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ..errors import ConfigError

LLAMA_70B: Final = "Meta-Llama-3.1-70B-Instruct"
O1_MINI: Final = "o1-mini-2024-09-12"

PAIRS: Final[Mapping[str, tuple[str, str]]] = {
    "mmlu-pro": ("Llama-3.1-70B-Instruct", "MiniMax-M2.5"),
    "gsm8k": (LLAMA_70B, O1_MINI),
    "cruxeval": (LLAMA_70B, O1_MINI),
    "math-l5": (LLAMA_70B, O1_MINI),
    "reasoning-gym": ("Llama-3.3-70B-Instruct", "DeepSeek-R1"),
}
"""The default pairing: by source, who answers directly and who reasons."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one model made of one prompt. `correct` 0 to 1; `tokens` of the answer, None where nobody counted."""

    correct: float
    tokens: float | None
    is_reasoning: bool
    share: float
    """How often it was right, where it was asked several times; else `correct`."""


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt."""

    prompt: str = field(repr=False)
    source: str
    split: str
    results: Mapping[str, Result]
    simple: bool | None
    place: str
    """`file:line`, for messages."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One prompt with the results of the two that a router chooses between."""

    prompt: str = field(repr=False)
    source: str
    direct: Result
    reasoning: Result

    @property
    def gain(self) -> float:
        """What reasoning is worth: 1 where it alone is right, -1 where it alone is wrong."""
        return self.reasoning.correct - self.direct.correct

    @property
    def is_needed(self) -> bool:
        """Whether the direct model was wrong and the reasoning one right."""
        return self.gain > 0


def read_rows(paths: Iterable[Path]) -> list[Row]:
    """All rows of some files. Raises ConfigError with every bad line as `file:line: what is wrong`."""
    rows: list[Row] = []
    problems: list[str] = []
    for path in paths:
        for number, line in _lines(path, problems):
            place = f"{path}:{number}"
            try:
                rows.append(_row(json.loads(line), place))
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                problems.append(f"{place}: {_words(error)}")
    if problems:
        raise ConfigError(problems)
    return rows


def _lines(path: Path, problems: list[str]) -> Iterator[tuple[int, str]]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            yield from ((number, line) for number, line in enumerate(file, start=1) if line.strip())
    except (OSError, EOFError, UnicodeDecodeError) as error:
        problems.append(f"{path}: {getattr(error, 'strerror', None) or error}")


def _words(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"`{error.args[0]}` is missing"
    return f"not JSON: {error}" if isinstance(error, json.JSONDecodeError) else str(error)


def _row(data: Any, place: str) -> Row:
    if not isinstance(data, dict):
        raise TypeError("a row must be a JSON object")
    prompt = data["prompt"]
    if not isinstance(prompt, str):
        raise TypeError("`prompt` must be a string")
    simple = data.get("simple")
    models = data.get("models", {})
    if not isinstance(models, dict):
        raise TypeError("`models` must be an object")
    results = {name: _result(name, value) for name, value in models.items()}
    split, source = str(data.get("split", "")), str(data.get("source", "own"))
    return Row(prompt, source, split, results, None if simple is None else bool(simple), place)


def _result(name: str, data: Any) -> Result:
    if not isinstance(data, dict) or "correct" not in data:
        raise ValueError(f"`models.{name}.correct` is missing")
    correct, tokens = data["correct"], data.get("completion_tokens")
    if not isinstance(correct, int | float) or not 0 <= correct <= 1:
        raise ValueError(f"`models.{name}.correct` must be a number from 0 to 1")
    if tokens is not None and (not isinstance(tokens, int | float) or tokens < 0):
        raise ValueError(f"`models.{name}.completion_tokens` must be a number or null")
    return Result(float(correct), tokens, data.get("mode") == "reasoning", float(data.get("p", correct)))


def read_pair_option(text: str, rows: Sequence[Row]) -> tuple[str, tuple[str, str]]:
    """`SOURCE=DIRECT:REASONING`; a name may itself have a colon, so that it is read with the names there are."""
    source, has_source, models = text.partition("=")
    names = _names(row for row in rows if row.source == source)
    if not has_source or ":" not in models:
        raise ConfigError([f"--pair {text}: expected SOURCE=DIRECT:REASONING"])
    if not names:
        known = ", ".join(sorted({row.source for row in rows if row.results}))
        raise ConfigError([f"--pair {text}: no row has the source {source}; there are {known}"])
    cuts = [at for at, character in enumerate(models) if character == ":"]
    for is_exact in (True, False):
        for at in cuts:
            both = [_find(name, names, is_exact=is_exact) for name in (models[:at], models[at + 1 :])]
            if both[0] and both[1]:
                return source, (both[0], both[1])
    raise ConfigError([f"--pair {text}: names no two models of {source}; there are {', '.join(sorted(names))}"])


def pair_rows(
    rows: Sequence[Row], pairs: Mapping[str, tuple[str, str]], both: tuple[str | None, str | None] = (None, None)
) -> tuple[list[Pair], int]:
    """The rows that have results of both models of their source, and how many have not.

    `both`: the models of every source that has none of its own. Raises ConfigError where a source has no pair.
    """
    paired: list[Pair] = []
    missing = 0
    chosen = {}
    for source in dict.fromkeys(row.source for row in rows if row.results):
        chosen[source] = _choose(source, _names(row for row in rows if row.source == source), pairs, both)
    for row in rows:
        direct, reasoning = (row.results.get(name) for name in chosen.get(row.source, ("", "")))
        if direct is not None and reasoning is not None:
            paired.append(Pair(row.prompt, row.source, direct, reasoning))
        else:
            missing += 1
    return paired, missing


def _choose(
    source: str, names: Sequence[str], pairs: Mapping[str, tuple[str, str]], both: tuple[str | None, str | None]
) -> tuple[str, str]:
    direct, reasoning = pairs.get(source, (None, None))
    wanted = (direct or both[0], reasoning or both[1])
    if None in wanted and source in PAIRS:
        wanted = (wanted[0] or PAIRS[source][0], wanted[1] or PAIRS[source][1])
    found = [_find(name, names, is_exact=True) or _find(name, names, is_exact=False) if name else None for name in wanted]
    if not found[0] or not found[1]:
        asked = " and ".join(name for name in wanted if name) or "nobody"
        there = ", ".join(sorted(names))
        raise ConfigError(
            [f"{source}: which two to compare? Asked for {asked}; there are {there} (--pair {source}=DIRECT:REASONING)"]
        )
    return found[0], found[1]


def _names(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.results))


def _find(name: str, names: Sequence[str], *, is_exact: bool) -> str | None:
    """The model of that name, or the only one that has it as a part."""
    if is_exact:
        return name if name in names else None
    alike = [one for one in names if name and name.lower() in one.lower()]
    return alike[0] if len(alike) == 1 else None
