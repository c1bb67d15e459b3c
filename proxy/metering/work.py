"""From what passes by to work: the events of one attempt become quantities in its account's bins.

A stream's tokens are booked as they arrive. Every event is O(1): a chunk within the current bin only counts up, and the counts
move into the account when the bin changes. The step that ends a prompt gives the first token of a sequence, so that decoding
begins with the second. All times are on the monotonic clock, in order; what comes after the end of an attempt is ignored.
"""

from __future__ import annotations

import math
from typing import Final, Protocol

from ..exchange import Usage
from ..units import Seconds
from .account import Account, Quantities
from .booking import PromptTokens, book_late_tokens, book_missing_prompt, book_reply
from .bypass import Seen
from .engine import Engine

_NOTED_ERROR: Final = 0.02
"""By how much, relative, the tokens taken from chunks may be off before it is said."""
_FEWEST_CHUNKS_FOR_A_RATE: Final = 4
_OUTPUT_DOUBT: Final = 0.1
"""How far, relative, the tokens taken from chunks may be off while the server has not counted them."""
_STEADY: Final = 0.9
"""Of the rate within a bin, what a stream keeps up over longer, while prompts are read in between: who is slower is behind."""


class Work(Protocol):
    """What an attempt tells metering while it goes on."""

    account: Account

    def chunks(self, now: Seconds, count: int) -> None:
        """So many chunks of generated output arrived."""
        ...

    def finish(self, now: Seconds, usage: Usage) -> None:
        """The server's own counts are known: put right what was assumed, within the bins that are open."""
        ...

    def end(self, now: Seconds) -> None:
        """Nothing more is done for it: the upstream has closed, or was closed."""
        ...

    def accrue(self, until: Seconds) -> None:
        """Bins that end at `until` or before are about to settle: bring all work done by then into the account."""
        ...

    def seen(self, now: Seconds) -> Seen:
        """Its tokens, as far as it has got."""
        ...


class StreamedWork:
    """The work of a streamed reply."""

    def __init__(self, account: Account, engine: Engine, prompt_estimate: float) -> None:
        self.account = account
        self._engine = engine
        self._prompt = PromptTokens(prompt_estimate, engine)
        self._prompt_span: tuple[Seconds, Seconds] | None = None
        """When the prompt was read; None until it is booked."""
        self._read_share = 1.0
        """Of the prompt that was expected, as much as can have been read in the time."""
        self._edge: Seconds = 0.0
        """The end of the current bin; 0 until the first token, its time until the second, infinite after the end."""
        self._entered: Seconds = 0.0
        self._last: Seconds = account.started
        self._chunks = 0
        self._steps = 0.0
        self._due_steps = 0
        """Of the first tokens."""
        self._seen_chunks = 0
        self._seen_tokens = 0.0
        account.prompt_doubt = self._prompt.doubt
        engine.waiting[account] = account.started

    def chunks(self, now: Seconds, count: int) -> None:
        """Count chunks that arrived; within a bin nothing more is done."""
        if now < self._edge:
            self._chunks += count
            self._steps += count * self._engine.step_share
            self._last = now
        else:
            self._cross(now, count)

    def _cross(self, now: Seconds, count: int) -> None:
        """Enter another bin. Chunks that arrive across the edge were decoded on both sides of it."""
        if self._edge == 0.0:
            self._first(now, count)
            return
        self._learn_rate()
        self._flush()
        self._deposit(self._last, now, count, (count + self._due_steps) * self._engine.step_share)
        self._due_steps = 0
        self._edge = (now // self.account.width + 1) * self.account.width
        self._entered = self._last = now

    def _first(self, now: Seconds, count: int) -> None:
        """The first tokens come from the step that ended the prompt; only what comes with them beyond that was decoded.

        Others may have had their first token from the same step and be told of right after this one: who bears it with whom
        is clear when the second token comes.
        """
        engine = self._engine
        engine.waiting.pop(self.account, None)
        engine.enter(self.account.sequences, now)
        held = min((engine.steps_per_chunk - 1) / engine.tokens_per_second.value, (now - self.account.started) / 2)
        self._book_prompt(now - held)
        decoded = max(0, count - self.account.sequences)
        self._seen_chunks = self._due_steps = count - decoded
        self._seen_tokens = self._seen_chunks * engine.tokens_per_chunk.value
        self._deposit(now, now, decoded, decoded * engine.step_share)
        if engine.steps_per_chunk > 1:
            merged = (count - decoded) * (engine.tokens_per_chunk.value - 1.0)
            work = Quantities(tokens=merged, context=merged * self._prompt.tokens)
            self.account.deposit(now - held, now, work, engine.oldest_open)
        self._edge = self._last = self._entered = now

    def _book_prompt(self, now: Seconds) -> None:
        """The prompt was read in the tail of the wait: the queue before it costs nothing, and it cannot exceed the wait."""
        started, seconds = self.account.started, self._prompt.seconds
        self._read_share = self._prompt.read_share(now - started)
        self._prompt_span = (started if seconds is None else max(started, now - seconds), now)
        work = Quantities(prompt=self._prompt.fresh * self._read_share)
        self.account.deposit(*self._prompt_span, work, self._engine.oldest_open)

    def _flush(self) -> None:
        if self._chunks:
            middle = self._edge - self.account.width / 2
            self._deposit(middle, middle, self._chunks, self._steps)
            self._chunks, self._steps = 0, 0.0

    def _learn_rate(self) -> None:
        seconds = self._last - self._entered
        if self._chunks >= _FEWEST_CHUNKS_FOR_A_RATE and seconds > 0:
            tokens = self._chunks * self._engine.tokens_per_chunk.value
            self._engine.tokens_per_second.see(tokens / self.account.sequences / seconds)

    def _deposit(self, begin: Seconds, end: Seconds, chunks: int, steps: float) -> None:
        """Spread decoded chunks evenly over the time from `begin` to `end`; once per stream and bin, and hence written out."""
        account, engine = self.account, self._engine
        tokens = chunks * engine.tokens_per_chunk.value
        steps *= engine.steps_per_chunk
        context = tokens * (self._prompt.tokens + (self._seen_tokens + tokens / 2) / account.sequences)
        self._seen_tokens += tokens
        self._seen_chunks += chunks
        width, oldest_open = account.width, engine.oldest_open
        first, last = int(begin // width), int(end // width)
        if last > first + 1:
            account.deposit(begin, end, Quantities(steps, tokens, context), oldest_open)
            return
        after = (end - last * width) / (end - begin) if last > first else 1.0
        if after < 1.0:
            account.decode(max(first, oldest_open), steps * (1 - after), tokens * (1 - after), context * (1 - after))
        account.decode(max(last, oldest_open), steps * after, tokens * after, context * after)

    def accrue(self, until: Seconds) -> None:
        """Move the current counts into the account where their bin is about to settle."""
        if self._edge <= until:
            self._flush()

    def finish(self, now: Seconds, usage: Usage) -> None:
        """Put prompt and tokens right, and learn from the difference."""
        account = self.account
        if account.ended is not None:
            return
        self._flush()
        self._prompt.count(usage)
        account.prompt_doubt = self._prompt.doubt
        account.output = None if usage.is_estimated else usage.completion
        if usage.is_estimated:
            account.flags.add("tokens_estimated")
        # What was counted from the chunks themselves says nothing new of them.
        completion = 0 if usage.is_estimated else usage.completion or 0
        decoded = max(0, completion - account.sequences)
        if self._prompt_span is None:
            if completion:
                # A reply that was to be streamed and came whole, or in chunks of a kind that is not known.
                self._prompt_span = (account.started, min(now, account.started + (self._prompt.seconds or 0.0)))
                book_reply(account, self._engine, self._prompt, decoded, (self._prompt_span[1], now))
            return
        if usage.prompt:
            known = 1.0 if usage.cached is not None else self._read_share
            book_missing_prompt(account, self._engine, self._prompt.fresh * known, self._prompt_span)
        if completion and self._seen_chunks:
            if abs(completion - self._seen_tokens) > max(1.0, _NOTED_ERROR * completion):
                account.flags.add("chunk_tokens")
            if not self._engine.is_guessing:  # what was guessed wrong was computed too: a step costs the same
                self._correct_tokens(decoded, now)
            self._engine.saw_chunks(completion, self._seen_chunks, account.sequences)

    def seen(self, now: Seconds) -> Seen:
        """What has arrived, and what may be on its way; the prompt as it is estimated until the server counts it."""
        tokens = self._seen_tokens + self._chunks * self._engine.tokens_per_chunk.value
        backlog = 0.0
        if self._prompt_span is not None and tokens > 0.0:
            rate = self._engine.tokens_per_second.value * self.account.sequences
            behind = _STEADY * (now - self._prompt_span[1]) * rate - tokens
            backlog = max(0.0, behind, (now - self._last) * rate)
        return self._prompt.seen(self.account, tokens, _OUTPUT_DOUBT, backlog)

    def _correct_tokens(self, actual: float, now: Seconds) -> None:
        """Let the decoded tokens sum to `actual`: open bins are scaled, or where there are none the last one pays."""
        account = self.account
        open_tokens = account.open_work().tokens
        wanted = max(0.0, actual - account.settled.tokens)
        if open_tokens > 0:
            for quantities in account.bins.values():
                quantities.tokens *= wanted / open_tokens
                quantities.context *= wanted / open_tokens
        elif wanted > 0:
            work = Quantities(tokens=wanted, context=wanted * self._prompt.tokens)
            account.deposit(now, now, work, self._engine.oldest_open)

    def end(self, now: Seconds) -> None:
        """Leave the batch; without a first token only the part of the prompt that can have been read is charged."""
        self._flush()
        self._deposit(now, now, 0, self._due_steps * self._engine.step_share)
        if self._edge:
            book_late_tokens(self.account, self._engine, self._prompt, self.seen(now), now)
        self._engine.waiting.pop(self.account, None)
        if self._edge:
            self._engine.leave(self.account.sequences, now)
        elif self._prompt_span is None:
            self._book_prompt(now)
        self._edge = math.inf
