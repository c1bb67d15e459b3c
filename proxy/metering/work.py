"""From what passes by to work: the events of one attempt become quantities in its account's bins.

`StreamedWork` sees tokens arrive and books them as they do. `BufferedWork` sees nothing until its reply is complete: it
accrues what the server's rates lead to expect and is put right at its end. Every event is O(1): a chunk within the current
bin only counts up, and the counts move into the account when the bin changes. All times are on the monotonic clock, in order.
"""

from __future__ import annotations

from typing import Protocol

from ..exchange import Usage
from ..units import Seconds
from .account import Account, Quantities
from .engine import Engine


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


class _Correction:
    """Brings what an account was assumed to have done to what the server counted, in bins that are still open."""

    def __init__(self, account: Account, engine: Engine) -> None:
        self._account = account
        self._engine = engine

    def prompt(self, actual: float, span: tuple[Seconds, Seconds]) -> None:
        """Let the prompt tokens sum to `actual`, the difference spread over `span`."""
        account = self._account
        missing = actual - account.settled.prompt - account.open_work().prompt
        if missing > 0:
            account.deposit(*span, Quantities(prompt=missing), self._engine.oldest_open)
            return
        for quantities in account.bins.values():
            removed = min(quantities.prompt, -missing)
            quantities.prompt -= removed
            missing += removed

    def tokens(self, actual: float, now: Seconds) -> None:
        """Let the decoded tokens sum to `actual`: open bins are scaled, or where there are none the last one pays."""
        account = self._account
        open_work = account.open_work()
        wanted = max(0.0, actual - account.settled.tokens)
        if open_work.tokens > 0:
            scale = wanted / open_work.tokens
            for quantities in account.bins.values():
                quantities.tokens *= scale
                quantities.context *= scale
        elif wanted > 0:
            account.deposit(now, now, Quantities(tokens=wanted), self._engine.oldest_open)


class StreamedWork:
    """The work of a streamed reply."""

    def __init__(self, account: Account, engine: Engine, prompt_estimate: float) -> None:
        self.account = account
        self._engine = engine
        self._estimate = prompt_estimate
        self._prompt = prompt_estimate * engine.tokens_per_estimate.value
        self._prompt_span: tuple[Seconds, Seconds] | None = None
        self._edge: Seconds = 0.0
        """The end of the current bin; 0 until the first token."""
        self._last: Seconds = account.started
        self._chunks = 0
        self._steps = 0.0
        self._seen_chunks = 0
        self._decoded = 0.0
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
            self._first(now)
        self._flush()
        self._deposit(self._last, now, count, count * self._engine.step_share)
        self._edge = (now // self.account.width + 1) * self.account.width
        self._last = now

    def _first(self, now: Seconds) -> None:
        """The prompt was processed in the tail of the wait: the queue before it costs nothing."""
        engine = self._engine
        engine.waiting.pop(self.account, None)
        engine.enter(self.account.sequences, now)
        self._book_prompt(self._prompt, now)
        self._last = now

    def _book_prompt(self, tokens: float, now: Seconds) -> None:
        prefill = Quantities(prompt=tokens, steps=self._engine.step_share)
        seconds = self._engine.seconds_of(prefill.joules(self._engine.coefficients))
        begin = self.account.started if seconds is None else max(self.account.started, now - seconds)
        self._prompt_span = (begin, now)
        self.account.deposit(begin, now, prefill, self._engine.oldest_open)

    def _flush(self) -> None:
        if self._chunks:
            middle = self._edge - self.account.width / 2
            self._deposit(middle, middle, self._chunks, self._steps)
            self._chunks, self._steps = 0, 0.0

    def _deposit(self, begin: Seconds, end: Seconds, chunks: int, steps: float) -> None:
        tokens = chunks * self._engine.tokens_per_chunk.value
        context = self._prompt + (self._decoded + tokens / 2) / self.account.sequences
        work = Quantities(steps=steps, tokens=tokens, context=tokens * context)
        self.account.deposit(begin, end, work, self._engine.oldest_open)
        self._decoded += tokens
        self._seen_chunks += chunks

    def accrue(self, until: Seconds) -> None:
        """Move the current counts into the account where their bin is about to settle."""
        if self._edge and self._edge <= until:
            self._flush()

    def finish(self, now: Seconds, usage: Usage) -> None:
        """Put prompt and tokens right, and learn from the difference."""
        self._flush()
        correction = _Correction(self.account, self._engine)
        if usage.prompt is not None:
            self._engine.saw_prompt(usage.prompt, self._estimate)
            if self._prompt_span is not None:
                correction.prompt(max(0, usage.prompt - (usage.cached or 0)), self._prompt_span)
        if usage.completion:
            if abs(usage.completion - self._decoded) > max(1.0, 0.02 * usage.completion):
                self.account.flags.add("chunk_tokens")
            self._engine.saw_chunks(usage.completion, self._seen_chunks)
            correction.tokens(usage.completion, now)
        if usage.is_estimated:
            self.account.flags.add("tokens_estimated")

    def end(self, now: Seconds) -> None:
        """Leave the batch; without a first token only the part of the prompt that can have been processed is charged."""
        self._flush()
        if self._edge:
            self._engine.leave(self.account.sequences, now)
        elif self._engine.waiting.pop(self.account, None) is not None or self._prompt_span is None:
            seconds = self._engine.seconds_of(self._prompt * self._engine.coefficients.joules_per_prompt_token)
            waited = now - self.account.started
            share = 1.0 if not seconds else min(1.0, waited / seconds)
            self._book_prompt(self._prompt * share, now)


class BufferedWork:
    """The work of a reply that arrives whole: expected while it lasts, corrected when it is there."""

    def __init__(self, account: Account, engine: Engine, prompt_estimate: float, *, decodes: bool) -> None:
        self.account = account
        self._engine = engine
        self._estimate = prompt_estimate
        self._prompt = prompt_estimate * engine.tokens_per_estimate.value
        self._decodes = decodes
        self._accrued_until: Seconds = account.started
        seconds = engine.seconds_of(self._prompt * engine.coefficients.joules_per_prompt_token)
        self._prefill_seconds = seconds or 0.0
        self._has_ended = False
        if decodes:
            engine.enter(account.sequences, account.started)

    def chunks(self, now: Seconds, count: int) -> None:
        """A reply that arrives whole has no chunks."""

    def accrue(self, until: Seconds) -> None:
        """Book what the server's rates lead to expect up to `until`."""
        if self._has_ended or until <= self._accrued_until:
            return
        begin, self._accrued_until = self._accrued_until, until
        prefilled = self.account.started + self._prefill_seconds
        if begin < prefilled:
            end = min(until, prefilled)
            share = (end - begin) / self._prefill_seconds
            self.account.deposit(begin, end, Quantities(prompt=self._prompt * share), self._engine.oldest_open)
        if self._decodes and until > prefilled:
            begin = max(begin, prefilled)
            tokens = self._engine.tokens_per_second.value * self.account.sequences * (until - begin)
            self._book_tokens(begin, until, tokens)

    def _book_tokens(self, begin: Seconds, end: Seconds, tokens: float) -> None:
        engine = self._engine
        step_share = engine.step_shares.mean(begin, end)
        decoded = self.account.settled.tokens + tokens / 2
        context = self._prompt + decoded / self.account.sequences
        work = Quantities(steps=tokens * step_share, tokens=tokens, context=tokens * context)
        self.account.deposit(begin, end, work, engine.oldest_open)

    def finish(self, now: Seconds, usage: Usage) -> None:
        """Replace what was expected in open bins by what the server counted."""
        account, engine = self.account, self._engine
        open_from = max(account.started, engine.oldest_open * account.width)
        prefilled = min(now, account.started + self._prefill_seconds)
        if usage.prompt is not None:
            engine.saw_prompt(usage.prompt, self._estimate)
            self._prompt = max(0, usage.prompt - (usage.cached or 0))
        account.bins.clear()
        self._accrued_until = now
        missing = self._prompt - account.settled.prompt
        if missing > 0:
            begin, end = (account.started, prefilled) if self._decodes else (max(open_from, now - self._prefill_seconds), now)
            account.deposit(begin, max(begin, end), Quantities(prompt=missing), engine.oldest_open)
        if not self._decodes:
            return
        if usage.completion is None:
            tokens = engine.tokens_per_second.value * account.sequences * max(0.0, now - max(prefilled, open_from))
            account.flags.add("tokens_estimated")
        else:
            tokens = max(0.0, usage.completion - account.settled.tokens)
            if now > prefilled and usage.completion > 1:
                engine.tokens_per_second.see(usage.completion / account.sequences / (now - prefilled))
        self._book_tokens(min(now, max(prefilled, open_from)), now, tokens)

    def end(self, now: Seconds) -> None:
        """Leave the batch; a reply that never came pays for what was expected of it until now."""
        self.accrue(now)
        self._has_ended = True
        if self._decodes:
            self._engine.leave(self.account.sequences, now)
