"""The work of attempts whose tokens nobody sees arrive: replies that come whole, and prompts without an answer.

`BufferedWork` accrues what the server's rates lead to expect, and is put right when the reply is there. `PromptWork` is booked
when it is done.
"""

from __future__ import annotations

import math
from typing import Final

from ..exchange import Usage
from ..units import Seconds
from .account import Account, Quantities
from .booking import PromptTokens, book_late_tokens, book_reply, book_tokens
from .bypass import Seen
from .engine import Engine

_OUTPUT_DOUBT: Final = 0.5
"""How far, relative, what is expected of an answer may be off while nothing of it is there."""


class BufferedWork:
    """The work of a reply that arrives whole: expected while it lasts, corrected when it is there."""

    def __init__(self, account: Account, engine: Engine, prompt_estimate: float) -> None:
        self.account = account
        self._engine = engine
        self._prompt = PromptTokens(prompt_estimate, engine)
        self._accrued_until: Seconds = account.started
        """Infinite once the reply is there."""
        self._prefill_seconds = self._prompt.seconds or 0.0
        account.prompt_doubt = self._prompt.doubt
        account.is_seen = False
        engine.enter(account.sequences, account.started)

    def chunks(self, now: Seconds, count: int) -> None:
        """A reply that arrives whole has no chunks."""

    def accrue(self, until: Seconds) -> None:
        """Book what the server's rates lead to expect up to `until`."""
        if until <= self._accrued_until:
            return
        account, engine = self.account, self._engine
        begin, self._accrued_until = self._accrued_until, until
        prefilled = account.started + self._prefill_seconds
        if begin < prefilled:
            end = min(until, prefilled)
            share = (end - begin) / self._prefill_seconds
            work = Quantities(prompt=self._prompt.fresh * share, steps=engine.step_shares.mean(begin, end) * share)
            account.deposit(begin, end, work, engine.oldest_open)
        begin = max(begin, prefilled)
        if begin < until:
            tokens = engine.tokens_per_second.value * account.sequences * (until - begin)
            book_tokens(account, engine, tokens, self._prompt.tokens, (begin, until))

    def finish(self, now: Seconds, usage: Usage) -> None:
        """Replace what was expected in open bins by what the server counted."""
        account, engine = self.account, self._engine
        if account.ended is not None:
            return
        self._prompt.count(usage)
        account.prompt_doubt = self._prompt.doubt
        account.output = None if usage.is_estimated else usage.completion
        prefilled = min(now, account.started + self._prefill_seconds)
        if usage.is_estimated or usage.completion is None:
            account.flags.add("tokens_estimated")
        if usage.completion is None:
            tokens = engine.tokens_per_second.value * account.sequences * (now - prefilled)
        else:
            tokens = max(0.0, usage.completion - account.sequences)
            if tokens and now > prefilled:
                engine.tokens_per_second.see(tokens / account.sequences / (now - prefilled))
        account.bins.clear()
        self._accrued_until = math.inf
        book_reply(account, engine, self._prompt, tokens, (prefilled, now))

    def seen(self, now: Seconds) -> Seen:
        """What the server's rates lead to expect by now, until it has counted."""
        account, tokens = self.account, 0.0
        if account.output is None:
            seconds = max(0.0, now - account.started - self._prefill_seconds)
            tokens = self._engine.tokens_per_second.value * account.sequences * seconds
        return self._prompt.seen(account, tokens, _OUTPUT_DOUBT, 0.0)

    def end(self, now: Seconds) -> None:
        """Leave the batch; a reply that never came pays for what was expected of it until now."""
        self.accrue(now)
        self._accrued_until = math.inf
        if self.account.output is None:
            book_late_tokens(self.account, self._engine, self._prompt, self.seen(now), now)
        self._engine.leave(self.account.sequences, now)


class PromptWork:
    """The work of an attempt that reads a prompt and decodes nothing: embeddings, rerank."""

    def __init__(self, account: Account, engine: Engine, prompt_estimate: float) -> None:
        self.account = account
        self._engine = engine
        self._prompt = PromptTokens(prompt_estimate, engine)
        self._is_booked = False
        engine.read(1, account.started)

    def chunks(self, now: Seconds, count: int) -> None:
        """Vectors and scores are no chunks."""

    def seen(self, now: Seconds) -> Seen:  # noqa: ARG002 - the protocol's; a prompt is what it is
        """The prompt, and no output."""
        return self._prompt.seen(self.account, 0.0, 0.0)

    def accrue(self, until: Seconds) -> None:
        """Prompts are read one after the other: where this one was in the queue shows only when it is done."""

    def finish(self, now: Seconds, usage: Usage) -> None:
        """It was read since the engine was done with those before it, each step bearing all who wait."""
        if self._is_booked:
            return
        self._prompt.count(usage)
        self._book(1.0, max(self.account.started, self._engine.read_prompt(now)), now)

    def _book(self, share: float, begin: Seconds, now: Seconds) -> None:
        self._is_booked = True
        steps = self._engine.read_shares.mean(begin, now)
        work = Quantities(prompt=self._prompt.fresh * share, steps=steps * share)
        self.account.deposit(begin, now, work, self._engine.oldest_open)

    def end(self, now: Seconds) -> None:
        """Without a reply only the part of the prompt that can have been read is charged."""
        if not self._is_booked:
            self._book(self._prompt.read_share(now - self.account.started), self.account.started, now)
        self._engine.read(-1, now)
