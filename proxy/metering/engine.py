"""What is known of one model server: its energy model, who is decoding on it, and the rates it has shown.

Everything here is learned from traffic that passed by; nothing is asked of the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from ..exchange import Coefficients
from ..units import Joules, Seconds, Watts
from .account import Account
from .bins import BinnedIntegral
from .bypass import BypassWork, Seen
from .chunking import Chunking
from .fitting import TABLE_DOUBT, Fit
from .hindsight import Hindsight
from .meter import Device

if TYPE_CHECKING:
    from .work import Work

_FORGETTING: Final = 0.1
"""The share of all that was seen that every further observation replaces."""
_OF_PROMPTS: Final = 0.03
"""Prompts differ from each other more than an engine from itself a little later."""
_OF_OTHERS: Final = 0.005
"""Per bin: of some fifty seconds with others about."""
_STARTING_TOKENS_PER_SECOND: Final = 30.0
"""Of one sequence, until the first is seen. It only shapes a buffered reply in time; the total is corrected at its end."""
_STARTING_PROMPT_ERROR: Final = 0.04
_WORST_PROMPT_ERROR: Final = 1.0
CPU_SCOPE: Final = "cpu"
"""Of a device that is the host's processors and memory."""
_FASTER: Final = 0.5
_SLOWER: Final = 0.005
"""Of the way to what a prompt's reading took: a wait may hold a queue, so only a short one says much."""
_LEAST_GUESSED: Final = 1.3
"""Tokens per chunk: with fewer, a server splits or holds back characters and guesses nothing."""
_SAME_STEP_SECONDS: Final = 0.002
"""Replies that come so close together were done by one step."""


class Learned:
    """A ratio of two sums that forgets: what weighs more counts more, and the latest most.

    It is asked for far more often than it is told of anything, and hence kept as `value`.
    """

    __slots__ = ("_amount", "_forgetting", "_per", "_start", "is_known", "value")

    def __init__(self, start: float, *, forgetting: float = _FORGETTING) -> None:
        self.value = self._start = start
        """The ratio."""
        self.is_known = False
        """Whether anything has been seen."""
        self._amount = self._per = 0.0
        self._forgetting = forgetting

    def see(self, amount: float, per: float = 1.0) -> None:
        """Take one more observation: so much of the one for so much of the other."""
        before, forgetting = self._amount, self._forgetting
        self._amount = amount = before + (amount - forgetting * before)
        before = self._per
        self._per = per = before + (per - forgetting * before)
        if per > 0.0:
            self.value = amount / per
            self.is_known = True

    @property
    def start(self) -> float:
        """What it is taken to be until something has been seen."""
        return self._start

    @start.setter
    def start(self, start: float) -> None:
        self._start = start
        if not self.is_known:
            self.value = start


class Engine:
    """One upstream as the attribution sees it.

    Args:
        name: The upstream's.
        coefficients: Its energy model.
        devices: The ids of the devices it runs on.
        bin_seconds: The width of a bin.
        starting_watts: The power to reckon with until some has been seen; None is unknown.
        doubt: How far off, relative, the ratios of the energy model's terms may be.
    """

    learns = True
    """Whether its energy model follows what is measured."""
    is_estimated = False
    """Nothing can be read: what its work is predicted to cost is all there is to say."""
    oldest_open = 0
    """The first bin that has not settled."""
    steps_per_chunk = 1
    """Steps of a sequence that its server sends as one chunk."""
    reading_pace = 1.0
    """The least time that a prompt took, over what the energy model and the mean power lead to expect; never above 1."""

    def __init__(
        self,
        name: str,
        coefficients: Coefficients,
        devices: tuple[str, ...],
        *,
        bin_seconds: Seconds,
        starting_watts: Watts | None = None,
        doubt: float = TABLE_DOUBT,
    ) -> None:
        self.name = name
        self.coefficients = coefficients
        self.fit = Fit(coefficients, doubt=doubt)
        self.prompts_of_others = Learned(0.0, forgetting=_OF_OTHERS)
        """Of all that is done while others are about, reading their prompts."""
        self.hindsight = Hindsight()  # of replies that nobody sees arrive
        self.devices = self.boards = devices
        self.shares = dict.fromkeys(devices, 1.0 / max(1, len(devices)))
        """By device: how much of the engine's work is on it. `boards` are those without the host's processors."""
        self.works: dict[Work, None] = {}
        """In flight, or with unsettled bins; in order of their beginning."""
        self.waiting: dict[Account, Seconds] = {}
        """Streamed and without a first token: they hold their bins open, the oldest first."""
        self.bypass = BypassWork(bin_seconds)
        """What others do on it."""
        self.decoding = 0
        """Sequences in the decode batch."""
        self.reading = 0
        """Attempts in flight that only read a prompt."""
        self.step_share = 1.0
        """1/N: what one sequence bears of a step's fixed part."""
        self.step_shares = BinnedIntegral(bin_seconds, 1.0)
        self.read_shares = BinnedIntegral(bin_seconds, 1.0)
        """The same for attempts that only read a prompt, which are taken to be in one step."""
        self.price = Learned(1.0)
        """Measured over predicted joules of work that has settled."""
        self.busy_watts = Learned(starting_watts or 0.0)
        self.tokens_per_chunk = Learned(1.0)
        self.chunking = Chunking()
        self.tokens_per_estimate = Learned(1.0, forgetting=_OF_PROMPTS)
        """Prompt tokens as counted by the server, over our estimate from the text."""
        self.prompt_error = Learned(_STARTING_PROMPT_ERROR, forgetting=_OF_PROMPTS)
        """The mean square of the relative error of what a prompt's work was expected to be, and of its length alone."""
        self.length_error = Learned(_STARTING_PROMPT_ERROR, forgetting=_OF_PROMPTS)
        self.fresh_share = Learned(1.0)
        """Of a prompt's tokens, those that were not in the server's cache."""
        self.tokens_per_second = Learned(_STARTING_TOKENS_PER_SECOND)
        """Of one sequence."""
        self._read: tuple[Seconds, Seconds] = (0.0, 0.0)
        """When prompts without an answer were last done, and when those before them."""

    def place(self, devices: Iterable[Device], starting_watts: Watts) -> None:
        """Run on these from now on; `starting_watts` is what they are taken to draw until that has been seen.

        Its boards have an equal part of its work each, the host's processors see all of it.
        """
        known = list(devices)
        self.devices = tuple(device.id for device in known)
        self.boards = tuple(device.id for device in known if device.scope != CPU_SCOPE) or self.devices
        self.shares = {name: 1.0 / len(self.boards) if name in self.boards else 1.0 for name in self.devices}
        self.busy_watts.start = starting_watts

    def seen(self, now: Seconds) -> list[Seen]:
        """The tokens of its attempts in flight."""
        return [work.seen(now) for work in self.works if work.account.ended is None]

    def enter(self, sequences: int, now: Seconds) -> None:
        """Sequences join the decode batch."""
        self._resize(self.decoding + sequences, now)

    def leave(self, sequences: int, now: Seconds) -> None:
        """Sequences leave the decode batch."""
        self._resize(self.decoding - sequences, now)

    def _resize(self, decoding: int, now: Seconds) -> None:
        self.decoding = decoding
        self.step_shares.advance(now)
        self.step_shares.value = self.step_share = 1.0 / decoding if decoding > 1 else 1.0

    def read(self, attempts: int, now: Seconds) -> None:
        """So many attempts more, or less, are in flight that only read a prompt."""
        self.reading += attempts
        self.read_shares.change(now, 1.0 / max(1, self.reading))

    def forget(self, index: int) -> None:
        """That bin has settled."""
        self.step_shares.take(index)
        self.read_shares.take(index)

    def read_prompt(self, now: Seconds) -> Seconds:
        """A prompt without an answer is done; returns when the step before the one that did it had ended."""
        last, before = self._read
        if now - last > _SAME_STEP_SECONDS:
            last, before = now, last
        self._read = (last, before)
        return before

    def seconds_of(self, joules: Joules) -> Seconds | None:
        """How long the engine takes over predicted joules of work, at the power it was seen to draw."""
        watts = self.busy_watts.value
        return joules * self.price.value / watts if watts > 0.0 else None

    def saw_chunks(self, tokens: float, chunks: float, sequences: int) -> None:
        """Learn how many tokens and steps a chunk stands for, from a finished stream."""
        self.tokens_per_chunk.see(tokens, chunks)
        self.chunking.see(tokens, chunks, sequences)
        if self.steps_per_chunk != self.chunking.steps_per_chunk:
            # What was learned from steps that were counted differently is not of this engine.
            self.steps_per_chunk = self.chunking.steps_per_chunk
            self.fit = Fit(self.fit.start, doubt=self.fit.doubt)
            self.coefficients = self.fit.start

    @property
    def is_guessing(self) -> bool:
        """Whether a chunk is what a step has guessed right, now more and now less: speculative decoding."""
        return self.chunking.is_uneven and self.tokens_per_chunk.value >= _LEAST_GUESSED

    @property
    def length_doubt_share(self) -> float:
        """Of the variance of uncounted prompt work, what comes of guessing lengths: the rest is expected, and not noise."""
        return min(1.0, self.length_error.value / self.prompt_error.value) if self.prompt_error.value > 0.0 else 0.0

    def saw_prompt_error(self, error: float, length_error: float) -> None:
        """Learn how far, relative, the expected work of prompts is off, and their length, from one that was counted."""
        self.prompt_error.see(min(_WORST_PROMPT_ERROR, error**2))
        self.length_error.see(min(_WORST_PROMPT_ERROR, length_error**2))

    def saw_reading(self, pace: float) -> None:
        """Learn how fast prompts are read: at more than mean power, by a model whose terms may be off."""
        gain = _FASTER if pace < self.reading_pace else _SLOWER
        self.reading_pace += gain * (min(pace, 1.0) - self.reading_pace)

    def saw_prompt(self, tokens: float, cached: float | None, estimate: float) -> None:
        """Learn how our estimate of prompt tokens relates to the server's count, and how many of them it has cached."""
        if estimate >= 1.0:
            self.tokens_per_estimate.see(tokens, estimate)
        if cached is not None:
            self.fresh_share.see(max(0.0, tokens - cached), tokens)
