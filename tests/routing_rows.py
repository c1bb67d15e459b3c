"""Labelled rows for the tests of `jevons route`."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

TOPICS = {
    True: ("Prove that {} is irrational.", "Calculate the probability of {} sixes."),
    False: ("Say hello to {}.", "Where is {}?"),
}


def row(prompt: str, *, direct: int, reasoning: int, **fields: Any) -> dict[str, Any]:
    """One row as the files have it: two models, of which the reasoning one is long-winded."""
    results = {
        "small": {"correct": direct, "completion_tokens": 100, "mode": "direct"},
        "thinker:on": {"correct": reasoning, "completion_tokens": 400, "mode": "reasoning"},
    }
    return {"prompt": prompt, "source": "own", "split": "dev", "models": results, **fields}


def many_rows(count: int, *, seed: int = 1, **fields: Any) -> list[dict[str, Any]]:
    """Rows of which reasoning helps with most hard prompts and with few others."""
    dice = random.Random(seed)
    rows = []
    for number in range(count):
        is_hard = number % 2 == 0
        prompt = dice.choice(TOPICS[is_hard]).format(dice.randrange(10_000))
        needs = dice.random() < (0.8 if is_hard else 0.1)
        rows.append(row(prompt, direct=int(not needs), reasoning=1, **fields))
    return rows


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """The rows as JSON lines, compressed where the name says so."""
    text = "".join(json.dumps(one) + "\n" for one in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path
