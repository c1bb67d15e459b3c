"""Work that is booked as a whole: a prompt as it comes to be known, and replies whose tokens nobody saw arrive."""

from __future__ import annotations

import math
from typing import Final

from ..exchange import Usage
from ..units import Joules, Seconds
from .account import Account, Quantities
from .bypass import Seen
from .engine import Engine

_MOST_TAKEN: Final = 0.9
"""Of an open bin's work, what may be taken back for prompt work that has settled."""
_FEWEST_TO_TIME: Final = 100
"""Tokens of a prompt whose reading says how fast the engine reads."""
PROMPT_DOUBT: Final = 0.25
"""How far, relative, the estimate of a prompt from its text may be off, at the least."""
_UNKNOWN_PROMPT_DOUBT: Final = 0.5
"""The same, and for all prompts alike, as long as the server has counted none."""
_SURE: Final = 2.0
"""Standard deviations."""
_NOTICE_SECONDS: Final[Seconds] = 0.25
"""So long may a token be on its way, and so long may a server take to notice that nobody listens any more."""


class PromptTokens:
    """What is known of one attempt's prompt: an estimate, and how much of it the server has cached, until it counts."""

    def __init__(self, estimate: float, engine: Engine) -> None:
        self.tokens = estimate * engine.tokens_per_estimate.value
        self.fresh = self.tokens * engine.fresh_share.value
        """Those that were not in the server's cache and had to be read."""
        self._estimate = estimate
        self._engine = engine
        self._is_counted = False
        self._is_learned = engine.tokens_per_estimate.is_known
        """Whether any prompt had been counted when this one was estimated."""
        self._waited: Seconds | None = None
        """Until the first token; None before it."""

    def count(self, usage: Usage) -> None:
        """Take the server's counts, where it gave any, and learn from them."""
        if not usage.prompt:
            return
        self._is_counted = True
        engine, expected, length = self._engine, self.fresh, self.tokens
        self.tokens = usage.prompt
        if usage.cached is None:
            self.fresh = usage.prompt * engine.fresh_share.value
        else:
            self.fresh = max(0, usage.prompt - usage.cached)
            if expected > 0.0:
                engine.saw_prompt_error(self.fresh / expected - 1.0, usage.prompt / length - 1.0)
            if self._waited is not None and self.fresh >= _FEWEST_TO_TIME and (seconds := self.seconds) is not None:
                engine.saw_reading(self._waited / seconds)
        engine.saw_prompt(usage.prompt, usage.cached, self._estimate)

    def seen(self, account: Account, output: float, output_doubt: float, backlog: float | None = None) -> Seen:
        """Together with so much output; some servers count the prompt once for each of several answers.

        `backlog`: what the server has decoded and has not arrived, as its rate lets expect; None where it decodes nothing.
        """
        unseen = 0.0
        if account.output is not None:
            output, output_doubt = account.output, 0.0
        elif backlog is not None:
            unseen = backlog + _NOTICE_SECONDS * self._engine.tokens_per_second.value * account.sequences
            unseen = max(0.0, min(unseen, account.most_output * account.sequences - output))
        tokens = self.tokens * account.sequences
        doubt = bias = 0.0
        if not self._is_counted and self._is_learned:
            doubt = tokens * max(PROMPT_DOUBT, _SURE * math.sqrt(self._engine.length_error.value))
        elif not self._is_counted:
            bias = tokens * _UNKNOWN_PROMPT_DOUBT
        return Seen(tokens, self.fresh, output, doubt, output_doubt * output, bias, unseen)

    @property
    def doubt(self) -> float:
        """How far, relative, its work may be off."""
        return 0.0 if self._is_counted else math.sqrt(self._engine.prompt_error.value)

    @property
    def seconds(self) -> Seconds | None:
        """How long the engine takes to read it; None while nothing is known of its speed."""
        return self._engine.seconds_of(self.fresh * self._engine.coefficients.joules_per_prompt_token)

    def read_share(self, waited: Seconds) -> float:
        """How much of it can have been read in so long a wait."""
        self._waited = waited
        seconds = self.seconds
        least = None if seconds is None else seconds * self._engine.reading_pace
        return 1.0 if least is None or least <= waited else waited / least


def book_missing_prompt(
    account: Account, engine: Engine, actual: float, span: tuple[Seconds, Seconds], *, steps: float = 0.0
) -> None:
    """Let the prompt tokens sum to `actual`: more are spread over `span`, fewer are taken back from open bins.

    What has settled was paid too dearly then, and others too little: in the open bins the account's work counts for less.
    `steps` are spread over `span` as well.
    """
    settled, prompt, late = account.settled, 0.0, 0.0
    for quantities in account.bins.values():
        prompt += quantities.prompt
        late += quantities.late
    missing = actual - settled.prompt - settled.late - prompt - late
    if missing > 0 or steps:
        work = Quantities(steps, 0.0, 0.0, missing if missing > 0 else 0.0)
        account.deposit(span[0], span[1], work, engine.oldest_open)
    if missing > 0:
        return
    for quantities in account.bins.values():
        removed = min(max(0.0, quantities.prompt), -missing)
        quantities.prompt -= removed
        missing += removed
    if missing < 0.0:
        _take_back(account, engine, -missing * engine.coefficients.joules_per_prompt_token)


def _take_back(account: Account, engine: Engine, joules: Joules) -> None:
    """Let an account's open bins count for so much less: predicted joules, in the unit of prompt tokens."""
    each = engine.coefficients.joules_per_prompt_token
    most = {index: _MOST_TAKEN * quantities.joules(engine.coefficients) for index, quantities in account.bins.items()}
    total = sum(most.values())
    if total > 0.0 and each > 0.0:
        share = min(1.0, joules / total)
        for index, own in most.items():
            account.bins[index].late -= share * own / each


def book_tokens(account: Account, engine: Engine, tokens: float, prompt: float, span: tuple[Seconds, Seconds]) -> None:
    """Decode so many more tokens, evenly over `span`, each in a step with those who decoded then."""
    begin, end = span
    steps = tokens * engine.step_shares.mean(begin, end)
    context = prompt + (account.settled.tokens + tokens / 2) / account.sequences
    account.deposit(begin, end, Quantities(steps, tokens, tokens * context), engine.oldest_open)


def book_late_tokens(account: Account, engine: Engine, prompt: PromptTokens, seen: Seen, now: Seconds) -> None:
    """An attempt is given up at `now`: what its server usually decodes for it until it has noticed is its work too."""
    tokens = seen.output_unseen * engine.bypass.late_share
    if tokens > 0.0:
        seconds = tokens / (engine.tokens_per_second.value * account.sequences)
        context = tokens * (prompt.tokens + (seen.output + tokens / 2) / account.sequences)
        work = Quantities(steps=tokens * engine.step_share, tokens=tokens, context=context)
        account.deposit(now, now + seconds, work, engine.oldest_open)


def book_reply(account: Account, engine: Engine, prompt: PromptTokens, tokens: float, span: tuple[Seconds, Seconds]) -> None:
    """A whole reply: what has not settled of its prompt is read up to `span`, of its tokens decoded within."""
    settled, (read, end) = account.settled, span
    if account.started // account.width == end // account.width >= engine.oldest_open and not account.bins:
        # In a single bin, which is open: nothing has settled, and nothing is to be spread.
        share = engine.step_shares.mean(account.started, end)
        context = prompt.tokens + tokens / 2 / account.sequences
        work = Quantities(tokens * share + share, tokens, tokens * context, float(prompt.fresh))
        account.bins[int(end // account.width)] = work
        return
    begin = min(end, max(read, engine.oldest_open * account.width))
    book_tokens(account, engine, max(0.0, tokens - settled.tokens), prompt.tokens, (begin, end))
    steps = engine.step_shares.mean(account.started, read) if settled.steps == 0.0 else 0.0
    book_missing_prompt(account, engine, prompt.fresh, (account.started, read), steps=steps)
    if settled.tokens > tokens:
        paid = Quantities(settled.steps, settled.tokens, settled.context).joules(engine.coefficients)
        _take_back(account, engine, paid * (1.0 - tokens / settled.tokens))
