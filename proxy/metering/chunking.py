"""What a chunk of a stream stands for: one step that gave several tokens, or several steps whose tokens were sent together.

From outside four tokens that arrive together may be one step of speculative decoding, or four steps that the server merged
(vLLM and SGLang, `--stream-interval 4`). The first costs the fixed part of one step, the second of four. They differ in how
regular they are: who sends every k-th token cuts a reply of `n` into `n/k` chunks, one more or less, and always by the same k;
what is guessed right varies from step to step.
"""

from __future__ import annotations

import math
from typing import Final

_NARROW: Final = 0.5
"""A reply tells something where it leaves so little room, in tokens per chunk, that one integer at most is likely to be in it."""
_LOOSE_CHUNKS: Final = 2
"""Of each sequence: the first chunk may come at once, and the last is what is left."""
_MERGED: Final = 0.8
"""The share of what was seen, by chunks, that must be cut by one and the same number."""
_FORGETTING: Final = 0.1
_ENOUGH_CHUNKS: Final = 150


class Chunking:
    """The chunks of one server, told by its finished streams."""

    def __init__(self) -> None:
        self._size = 1
        """The tokens of a chunk, by the last reply that was cut evenly."""
        self._even = 0.0
        """Chunks of replies that were cut by that size, and of all."""
        self._all = 0.0

    @property
    def steps_per_chunk(self) -> int:
        """How many steps of a sequence one chunk stands for."""
        is_merged = self._all >= _ENOUGH_CHUNKS and self._even >= _MERGED * self._all
        return self._size if is_merged else 1

    @property
    def is_uneven(self) -> bool:
        """Whether enough was seen, and it was not cut evenly."""
        return self._all >= _ENOUGH_CHUNKS and self._even < _MERGED * self._all

    def see(self, tokens: float, chunks: float, sequences: int) -> None:
        """A stream of so many sequences is over."""
        sure = chunks - _LOOSE_CHUNKS * sequences
        if sure <= 0.0 or tokens / sure - tokens / chunks > _NARROW:
            return
        size = max(1, math.ceil(tokens / chunks - 1e-9))
        is_even = size < tokens / sure or size == tokens / chunks
        self._all += chunks - _FORGETTING * self._all
        if is_even and size != self._size:
            self._size, self._even = size, 0.0
        self._even += (chunks if is_even else 0.0) - _FORGETTING * self._even
