"""A transformer of random weights that does the work of a Llama in plain torch: its words mean nothing, their cost is real.

Grouped attention over a cache of keys and values, gated feed-forward layers, the whole vocabulary at the end; bfloat16, nothing
compiled, no weights fetched. Positions are not rotated, which costs next to nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import torch
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a model."""

    layers: int
    hidden: int
    heads: int
    groups: int
    """Heads of keys and values."""
    feed_forward: int
    vocabulary: int

    @property
    def parameters(self) -> int:
        """How many weights it has."""
        attention = self.hidden * self.head * (2 * self.heads + 2 * self.groups)
        return self.layers * (attention + 3 * self.hidden * self.feed_forward) + 2 * self.hidden * self.vocabulary

    @property
    def head(self) -> int:
        """The width of one head."""
        return self.hidden // self.heads


SHAPES: Final = MappingProxyType(
    {
        "random-tiny": Shape(2, 64, 4, 2, 128, 512),
        "random-1b": Shape(16, 2048, 32, 8, 8192, 64128),
        "random-8b": Shape(32, 4096, 32, 8, 14336, 128256),
    }
)
"""By name: two as large as Llama 3's small ones, and one to try the code with on a processor."""


@dataclass(frozen=True, slots=True)
class Layer:
    """The weights of one layer."""

    inward: torch.Tensor
    """Queries, keys and values at once."""
    outward: torch.Tensor
    gate_and_up: torch.Tensor
    down: torch.Tensor


class Decoder:
    """The model with room for so many sequences of so many tokens."""

    def __init__(
        self, shape: Shape, *, slots: int, context: int, device: str = "cuda", dtype: torch.dtype = torch.bfloat16
    ) -> None:
        self.shape = shape
        self._device = torch.device(device)

        def random(*size: int) -> torch.Tensor:
            return torch.randn(size, device=self._device, dtype=dtype) * 0.02

        inward = (shape.heads + 2 * shape.groups) * shape.head
        self._embedding = random(shape.vocabulary, shape.hidden)
        self._vocabulary = random(shape.vocabulary, shape.hidden)
        self._layers = [
            Layer(
                random(inward, shape.hidden),
                random(shape.hidden, shape.heads * shape.head),
                random(2 * shape.feed_forward, shape.hidden),
                random(shape.hidden, shape.feed_forward),
            )
            for _ in range(shape.layers)
        ]
        size = (shape.layers, 2, slots, shape.groups, context, shape.head)
        self._cache = torch.zeros(size, device=self._device, dtype=dtype)

    def read(self, slot: int, begin: int, count: int) -> None:
        """Read a piece of a prompt, behind `begin` tokens that are in the cache."""
        tokens = torch.arange(begin, begin + count, device=self._device) % self.shape.vocabulary
        allowed = torch.ones(count, begin + count, device=self._device, dtype=torch.bool).tril(begin)
        positions = torch.arange(begin, begin + count, device=self._device)
        slots = torch.tensor([slot], device=self._device)
        with torch.inference_mode():
            self._forward(tokens[None], slots, positions[None], begin + count, allowed[None, None])

    def decode(self, slots: Sequence[int], contexts: Sequence[int]) -> None:
        """One token of each of these sequences, behind so many."""
        at = torch.tensor(contexts, device=self._device)
        longest = max(contexts) + 1
        allowed = torch.arange(longest, device=self._device)[None] <= at[:, None]
        chosen = torch.tensor(slots, device=self._device)
        with torch.inference_mode():
            self._forward(at[:, None] % self.shape.vocabulary, chosen, at[:, None], longest, allowed[:, None, None])

    def wait(self) -> None:
        """Until the board is done."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def _forward(
        self, tokens: torch.Tensor, slots: torch.Tensor, positions: torch.Tensor, longest: int, allowed: torch.Tensor
    ) -> torch.Tensor:
        """One pass; `tokens` is sequences by tokens. Returns the likeliest next token of each sequence."""
        shape, stream = self.shape, functional.embedding(tokens, self._embedding)
        count, length = tokens.shape
        sizes = [shape.heads * shape.head, shape.groups * shape.head, shape.groups * shape.head]
        for number, layer in enumerate(self._layers):
            normed = functional.rms_norm(stream, (shape.hidden,))
            query, key, value = functional.linear(normed, layer.inward).split(sizes, dim=-1)
            keys, values = self._cache[number]
            keys[slots[:, None], :, positions] = key.view(count, length, shape.groups, shape.head)
            values[slots[:, None], :, positions] = value.view(count, length, shape.groups, shape.head)
            attended = functional.scaled_dot_product_attention(
                query.view(count, length, shape.heads, shape.head).transpose(1, 2),
                keys[slots, :, :longest],
                values[slots, :, :longest],
                attn_mask=allowed,
                enable_gqa=True,
            )
            stream = stream + functional.linear(attended.transpose(1, 2).reshape(count, length, -1), layer.outward)
            gate, up = functional.linear(functional.rms_norm(stream, (shape.hidden,)), layer.gate_and_up).chunk(2, dim=-1)
            stream = stream + functional.linear(functional.silu(gate) * up, layer.down)
        return functional.linear(stream[:, -1], self._vocabulary).argmax(dim=-1)
