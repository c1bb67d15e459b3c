"""The KV cache that prompts with the same beginning share, in blocks of 16 tokens as vLLM keeps it."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from .words import digest

BLOCK_TOKENS: Final = 16


class PrefixCache:
    """Remembers the blocks of past prompts, the latest `capacity`; a block counts only behind the same blocks before it."""

    def __init__(self, capacity: int = 8192) -> None:
        self._capacity = capacity
        self._blocks: OrderedDict[bytes, None] = OrderedDict()

    def match(self, tokens: list[str]) -> int:
        """How many tokens at the start of the prompt are cached, never all of them; from now on its blocks are."""
        cached = 0
        is_prefix = True
        chain = b""
        for end in range(BLOCK_TOKENS, len(tokens) + 1, BLOCK_TOKENS):
            chain = digest(chain.hex(), "".join(tokens[end - BLOCK_TOKENS : end]))[:16]
            is_prefix = is_prefix and chain in self._blocks
            if is_prefix and end < len(tokens):
                cached = end
            self._blocks[chain] = None
            self._blocks.move_to_end(chain)
        while len(self._blocks) > self._capacity:
            self._blocks.popitem(last=False)
        return cached


def whole_blocks(prompt_tokens: int) -> int:
    """How much of a prompt is cached right after it was read, never all of it."""
    return (prompt_tokens - 1) // BLOCK_TOKENS * BLOCK_TOKENS
