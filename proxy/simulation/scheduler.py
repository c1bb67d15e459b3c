"""Continuous batching, step by step, with the true energy of every request: the yardstick that attribution is held against.

It shares no code with the attribution: it knows each step from the inside, where the proxy sees tokens arrive. Pure: `step`
says what happens next and how long it takes, and whoever calls it lets the time pass.

A step serves every sequence that decodes, one token each, and fills what is left of its token budget with prompt chunks: those
begun first, then those that wait, while the batch has room (as vLLM does). The chunk that ends a prompt gives the first token.
For a cost that is "fixed + additive" the Shapley value is `F/|S| + m_i`: that is each sequence's true share.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..units import Joules, Seconds, Watts
from .physics import Physics


@dataclass(frozen=True, slots=True)
class Work:
    """What one sequence asks of the engine. No output tokens: prompt work only, as embeddings are."""

    prompt_tokens: int
    output_tokens: int
    cached_tokens: int = 0

    def __post_init__(self) -> None:
        """Refuse what no engine could do."""
        if self.prompt_tokens < 1 or self.output_tokens < 0 or not 0 <= self.cached_tokens < self.prompt_tokens:
            raise ValueError(f"impossible work: {self}")


@dataclass(frozen=True, slots=True)
class Speculation:
    """Speculative decoding: each step guesses so many tokens ahead of every sequence and checks them, wrong ones included."""

    draft_tokens: int
    acceptance: float
    """The chance that a guess is right, given that all before it were."""
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what is no speculation."""
        if self.draft_tokens < 1 or not 0 <= self.acceptance <= 1:
            raise ValueError(f"impossible speculation: {self}")


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the engine: how long, how many joules (idle power included), whose, and what came of it."""

    seconds: Seconds
    joules: Joules
    shares: dict[int, Joules]
    """By sequence; they sum to `joules`."""
    emitted: tuple[int, ...]
    """The sequences that have one more token when the step ends; under speculation one may stand here several times."""
    finished: tuple[int, ...]
    """The sequences that are done then."""
    parts: tuple[tuple[int, int, int], ...] = ()
    """By sequence: its id, the prompt tokens read (0: it decodes a token), and its context before the step."""


@dataclass(slots=True)
class _Sequence:
    id: int
    request_id: str
    work: Work
    prompt_left: int
    decoded: int = 0

    @property
    def context_tokens(self) -> int:
        return self.work.prompt_tokens + self.decoded

    @property
    def in_cache(self) -> int:
        """Tokens that steps before have read or decoded."""
        return self.context_tokens - self.prompt_left


@dataclass(frozen=True, slots=True)
class _Part:
    """What one sequence does in one step: read some of its prompt, or decode one token where that is 0."""

    sequence: _Sequence
    prompt_tokens: int = 0


@dataclass(slots=True)
class Scheduler:
    """The state of one engine between steps."""

    physics: Physics
    idle_watts: Watts
    limit_watts: Watts
    max_batch: int = 64
    max_step_tokens: int = 2048
    max_truths: int = 65536
    """How many requests' truths are kept, the latest."""
    speculation: Speculation | None = None

    truth: dict[str, Joules] = field(default_factory=dict, init=False)
    """True joules by request id, over all of its sequences, so far."""
    steps: int = field(default=0, init=False)
    joules: Joules = field(default=0.0, init=False)
    """Of all steps so far."""
    prompt_tokens: int = field(default=0, init=False)
    output_tokens: int = field(default=0, init=False)
    _running: dict[int, _Sequence] = field(default_factory=dict, init=False)
    _waiting: deque[_Sequence] = field(default_factory=deque, init=False)
    _held: dict[int, _Sequence] = field(default_factory=dict, init=False)
    _next_id: int = field(default=0, init=False)
    _dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        """Refuse a batch that one step could not decode."""
        if not 0 < self.max_batch * self._positions <= self.max_step_tokens:
            raise ValueError("a step's tokens must suffice for the whole batch")
        self._dice = random.Random(self.speculation.seed if self.speculation else 0)  # noqa: S311 - a simulation's dice

    @property
    def _positions(self) -> int:
        """The tokens that a step computes for a sequence that decodes."""
        return 1 + (self.speculation.draft_tokens if self.speculation else 0)

    @property
    def running(self) -> int:
        """Sequences in the batch."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Sequences in the queue, those that will never leave it included."""
        return len(self._waiting) + len(self._held)

    def submit(self, request_id: str, work: Work, *, is_held: bool = False) -> int:
        """Queue a sequence; `is_held` keeps it in the queue until it is cancelled. Returns its id."""
        sequence = _Sequence(self._next_id, request_id, work, work.prompt_tokens - work.cached_tokens)
        self._next_id += 1
        self.truth.setdefault(request_id, 0.0)
        while len(self.truth) > self.max_truths:
            del self.truth[next(iter(self.truth))]
        if is_held:
            self._held[sequence.id] = sequence
        else:
            self._waiting.append(sequence)
        return sequence.id

    def cancel(self, sequence_id: int) -> bool:
        """Take a sequence out, wherever it is; False where it is no longer there."""
        if self._running.pop(sequence_id, None) or self._held.pop(sequence_id, None):
            return True
        for sequence in self._waiting:
            if sequence.id == sequence_id:
                self._waiting.remove(sequence)
                return True
        return False

    def step(self) -> Step | None:
        """Do one step and charge it; None where there is nothing to do."""
        parts = list(self._compose())
        if not parts:
            return None
        seconds, joules, shares = self._cost(parts)
        for sequence_id, share in shares.items():
            request_id = self._running[sequence_id].request_id
            if request_id in self.truth:
                self.truth[request_id] += share
        done = tuple((part.sequence.id, part.prompt_tokens, part.sequence.in_cache) for part in parts)
        emitted, finished = self._advance(parts)
        self.steps += 1
        self.joules += joules
        return Step(seconds, joules, shares, emitted, finished, done)

    def _compose(self) -> Iterator[_Part]:
        """Who takes part in the next step; admits from the queue."""
        budget = self.max_step_tokens
        for sequence in self._running.values():
            if not sequence.prompt_left:
                budget -= self._positions
                yield _Part(sequence)
        for sequence in self._running.values():
            if sequence.prompt_left and budget > 0:
                chunk = min(sequence.prompt_left, budget)
                budget -= chunk
                yield _Part(sequence, chunk)
        while self._waiting and budget > 0 and len(self._running) < self.max_batch:
            sequence = self._waiting.popleft()
            self._running[sequence.id] = sequence
            chunk = min(sequence.prompt_left, budget)
            budget -= chunk
            yield _Part(sequence, chunk)

    def _cost(self, parts: list[_Part]) -> tuple[Seconds, Joules, dict[int, Joules]]:
        """The step's time and energy and everyone's share; at the power limit it takes longer, never more power."""
        physics = self.physics
        marginal = {
            part.sequence.id: physics.prefill_joules(part.prompt_tokens)
            if part.prompt_tokens
            else self._decode_joules(part.sequence.context_tokens)
            for part in parts
        }
        marginal_joules = sum(marginal.values())
        joules = physics.energy.fixed_joules_per_step + marginal_joules
        seconds = physics.step_seconds(
            sequences=sum(1 if part.prompt_tokens else self._positions for part in parts),
            context_tokens=sum(part.sequence.context_tokens for part in parts if not part.prompt_tokens),
            prompt_tokens=sum(part.prompt_tokens for part in parts),
        )
        seconds = max(seconds, joules / self.limit_watts)
        joules = max(joules, self.idle_watts * seconds)
        fixed_share = (joules - marginal_joules) / len(parts)
        return seconds, joules, {sequence_id: fixed_share + own for sequence_id, own in marginal.items()}

    def _decode_joules(self, context_tokens: int) -> Joules:
        """One sequence's decode in one step: what is guessed is computed whether or not it is kept; the context is read once."""
        guessed = self._positions - 1
        return self.physics.decode_joules(context_tokens) + guessed * self.physics.energy.joules_per_token

    def _accepted(self) -> int:
        """How many tokens a decode step gives."""
        accepted = 1
        if self.speculation is not None:
            while accepted <= self.speculation.draft_tokens and self._dice.random() < self.speculation.acceptance:
                accepted += 1
        return accepted

    def _advance(self, parts: list[_Part]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Where everyone stands once the step has ended."""
        emitted: list[int] = []
        finished: list[int] = []
        for part in parts:
            sequence = part.sequence
            sequence.prompt_left -= part.prompt_tokens
            self.prompt_tokens += part.prompt_tokens
            if sequence.prompt_left:
                continue
            tokens = 1 if part.prompt_tokens else self._accepted()
            tokens = min(tokens, sequence.work.output_tokens - sequence.decoded)
            sequence.decoded += tokens
            self.output_tokens += tokens
            emitted += [sequence.id] * tokens
            if sequence.decoded == sequence.work.output_tokens:
                finished.append(sequence.id)
                del self._running[sequence.id]
        return tuple(emitted), tuple(finished)
