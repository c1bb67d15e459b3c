"""In which order a study asks: randomised and interleaved, the same for the same seed. Pure.

At concurrency 1 every request of every arm stands in one shuffled row, so that a drift of the machine falls on all arms alike. At
a higher level the arms take turns by block, since requests of two arms in one batch would pay for each other's company:
one block is one arm's prompts once, and the blocks are shuffled within each repetition.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from .raw import Key


@dataclass(frozen=True, slots=True)
class Block:
    """Requests that are asked together, so many at a time."""

    level: int
    keys: tuple[Key, ...]


def blocks(arms: Sequence[str], prompts: Sequence[str], *, repetitions: int, levels: Sequence[int], seed: int) -> list[Block]:
    """All of a study's requests, each once, in the order to ask them."""
    dice = random.Random(f"order {seed}")  # noqa: S311 - a design is randomised, not encrypted
    found: list[Block] = []
    for repetition in range(repetitions):
        of_repetition: list[Block] = []
        for level in levels:
            groups = [tuple(arms)] if level == 1 else [(arm,) for arm in arms]
            for group in groups:
                keys = [(arm, prompt, repetition, level) for arm in group for prompt in prompts]
                dice.shuffle(keys)
                of_repetition.append(Block(level, tuple(keys)))
        dice.shuffle(of_repetition)
        found += of_repetition
    return found


def remaining(planned: Sequence[Block], done: frozenset[Key]) -> list[Block]:
    """What is left of the blocks, their order kept."""
    left = [Block(block.level, tuple(key for key in block.keys if key not in done)) for block in planned]
    return [block for block in left if block.keys]
