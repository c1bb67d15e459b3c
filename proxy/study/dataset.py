"""From raw lines to figures per prompt, per arm and per pair of arms. Pure."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..units import Joules, Seconds, Watts
from .bootstrap import RESAMPLES, Interval, log_ratio_of_totals, mean, studentised
from .decomposition import PromptPair
from .raw import Raw, Reply


@dataclass(frozen=True, slots=True)
class Cell:
    """One arm's answers to one prompt at one level: means over the repetitions."""

    prompt: str
    category: str
    joules: Joules
    tokens: float
    visible_tokens: float | None
    words: float | None
    seconds: Seconds | None
    score: float | None


@dataclass(frozen=True, slots=True)
class ArmFigures:
    """One arm at one level; ratios are of totals, intervals over prompts."""

    arm: str
    level: int
    prompts: int
    replies: int
    joules: Interval
    """Per response."""
    per_token: Interval
    tokens: Interval
    words: float | None
    reasoning_share: float | None
    """Of the completion's tokens; None where it is not known of every answer."""
    watts: Watts | None
    """Attributed to the arm while it answers: its joules over the time in which its requests, so many at once, took place."""
    seconds: float | None
    bounds: tuple[float, float] | None
    """Sum of the replies' own `low` and `high` over their joules: how far the measurement itself can be trusted."""
    score: float | None
    joules_per_right: Joules | None
    """All joules over the sum of scores, of the prompts that have one; None where nothing was right."""
    methods: frozenset[str]


@dataclass(slots=True)
class Dataset:
    """The usable answers of a study, by arm and level."""

    raw: Raw
    _by_arm: dict[tuple[str, int], list[Reply]] = field(default_factory=lambda: defaultdict(list), init=False)

    def __post_init__(self) -> None:
        """Sort the replies."""
        for reply in self.raw.replies.values():
            if reply.is_usable:
                self._by_arm[reply.arm, reply.level].append(reply)

    @property
    def arms(self) -> list[str]:
        """Those that have answers, in the study's order."""
        present = {arm for arm, _ in self._by_arm}
        listed = self.raw.header.study.get("arms")
        names = [one["name"] for one in listed] if isinstance(listed, list) else []
        return [name for name in names if name in present] + sorted(present - set(names))

    @property
    def levels(self) -> list[int]:
        """Of concurrency, rising."""
        return sorted({level for _, level in self._by_arm})

    @property
    def baseline(self) -> str:
        """The arm that others are compared with; the first that has answers, where it has none."""
        named = self.raw.header.study.get("baseline")
        return str(named) if named in self.arms else self.arms[0]

    @property
    def methods(self) -> frozenset[str]:
        """Where the joules come from."""
        return frozenset(reply.method for replies in self._by_arm.values() for reply in replies if reply.method)

    def replies(self, arm: str, level: int) -> Sequence[Reply]:
        """One arm's usable answers at one level."""
        return self._by_arm.get((arm, level), [])

    def cells(self, arm: str, level: int) -> dict[str, Cell]:
        """The same by prompt."""
        grouped: dict[str, list[Reply]] = defaultdict(list)
        for reply in self.replies(arm, level):
            grouped[reply.prompt].append(reply)
        return {prompt: self._cell(replies) for prompt, replies in grouped.items()}

    def pairs(self, first: str, second: str, level: int, *, category: str | None = None) -> list[PromptPair]:
        """The prompts that both arms answered, in the order of the first."""
        return pair_cells(self.cells(first, level), self.cells(second, level), category=category)

    def categories(self) -> list[str]:
        """Of the prompts that were answered, in the order they were met."""
        return list(dict.fromkeys(cell.category for (arm, level) in self._by_arm for cell in self.cells(arm, level).values()))

    def figures(self, arm: str, level: int, *, resamples: int = RESAMPLES) -> ArmFigures | None:
        """One arm at one level; None where it has no answers."""
        replies, cells = self.replies(arm, level), list(self.cells(arm, level).values())
        if not replies:
            return None
        joules = sum(reply.joules or 0.0 for reply in replies)
        seconds = [reply.seconds for reply in replies if reply.seconds]
        rate = studentised([(cell.tokens, cell.joules) for cell in cells], log_ratio_of_totals, resamples=resamples)
        bounded = [reply for reply in replies if reply.low is not None and reply.high is not None]
        score, per_right = self._quality(replies)
        return ArmFigures(
            arm=arm,
            level=level,
            prompts=len(cells),
            replies=len(replies),
            joules=studentised([cell.joules for cell in cells], mean, resamples=resamples),
            per_token=rate.mapped(math.exp),
            tokens=studentised([cell.tokens for cell in cells], mean, resamples=resamples),
            words=_mean(cell.words for cell in cells),
            reasoning_share=_reasoning_share(replies),
            watts=joules / (sum(seconds) / level) if len(seconds) == len(replies) else None,
            seconds=_mean(cell.seconds for cell in cells),
            bounds=(sum(reply.low or 0.0 for reply in bounded) / joules, sum(reply.high or 0.0 for reply in bounded) / joules)
            if len(bounded) == len(replies)
            else None,
            score=score,
            joules_per_right=per_right,
            methods=frozenset(reply.method for reply in replies if reply.method),
        )

    def score_of(self, reply: Reply) -> float | None:
        """By the prompt's check, else by the judge."""
        judged = self.raw.judgements.get(reply.key)
        return reply.score if reply.score is not None else judged.score if judged is not None else None

    def _quality(self, replies: Sequence[Reply]) -> tuple[float | None, Joules | None]:
        scored = [(reply, score) for reply in replies if (score := self.score_of(reply)) is not None]
        if not scored:
            return None, None
        right = sum(score for _, score in scored)
        return right / len(scored), sum(reply.joules or 0.0 for reply, _ in scored) / right if right else None

    def _cell(self, replies: Sequence[Reply]) -> Cell:
        visible = [tokens for reply in replies if (tokens := visible_tokens(reply)) is not None]
        return Cell(
            prompt=replies[0].prompt,
            category=replies[0].category,
            joules=statistics.fmean(reply.joules or 0.0 for reply in replies),
            tokens=statistics.fmean(reply.completion_tokens or 0 for reply in replies),
            visible_tokens=statistics.fmean(visible) if len(visible) == len(replies) else None,
            words=_mean(reply.words for reply in replies),
            seconds=_mean(reply.seconds for reply in replies),
            score=_mean(self.score_of(reply) for reply in replies),
        )


def pair_cells(first: dict[str, Cell], second: dict[str, Cell], *, category: str | None = None) -> list[PromptPair]:
    """The prompts in both."""
    return [
        PromptPair(
            prompt,
            cell.category,
            (cell.joules, other.joules),
            (cell.tokens, other.tokens),
            (cell.visible_tokens, other.visible_tokens),
        )
        for prompt, cell in first.items()
        if (other := second.get(prompt)) is not None and category in {None, cell.category}
    ]


def visible_tokens(reply: Reply) -> int | None:
    """The completion without its thinking; None where it is not known how much that was. None seen and none counted is 0."""
    reasoning = 0 if reply.reasoning_tokens is None and reply.reasoning_words == 0 else reply.reasoning_tokens
    if reply.completion_tokens is None or reasoning is None:
        return None
    return reply.completion_tokens - reasoning


def _reasoning_share(replies: Sequence[Reply]) -> float | None:
    if any(visible_tokens(reply) is None for reply in replies):
        return None
    return sum(reply.reasoning_tokens or 0 for reply in replies) / sum(reply.completion_tokens or 0 for reply in replies)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.fmean(known) if known else None
