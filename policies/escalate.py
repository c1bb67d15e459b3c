"""The escalate policy: a direct answer that will not do is not given out, and reasoning gets its turn.

It sees whole replies only: what has begun to stream cannot be taken back. The joules of the answer that was thrown away stay
with the request, as its first attempt. It happens once: what reasoning makes of it is what the client gets.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final

from jevons.proxy.exchange import Request, Target, Tier

from .answer import Answer
from .schema_check import first_fault

LENGTH: Final = "length"
REFUSAL: Final = "refusal"
JSON: Final = "json"
TOOLS: Final = "tools"
SIGNALS: Final = (LENGTH, REFUSAL, JSON, TOOLS)

REFUSALS: Final = (
    "i'm sorry, but i can't",
    "i'm sorry, but i cannot",
    "i am sorry, but i can",
    "i cannot help",
    "i can't help",
    "i can't assist",
    "i cannot assist",
    "i'm unable to",
    "i am unable to",
)
"""How refusals begin in English; the operator's own may be given instead."""
ROOM_TOKENS: Final = 1024
"""A client's own limit below this is what cut the answer short, and would cut reasoning shorter."""
_OPENING_CHARACTERS: Final = 200


class EscalatePolicy:
    """Names what is wrong with a direct answer: one of the signals in `on`, or tokens that the model was unsure of."""

    name = "escalate"

    def __init__(
        self, on: Sequence[str] = SIGNALS, *, mean_logprob_below: float | None = None, refusals: Sequence[str] = REFUSALS
    ) -> None:
        self._on = frozenset(on)
        self._mean_logprob_below = mean_logprob_below
        self._refusals = tuple(refusal.casefold() for refusal in refusals)

    def review(self, request: Request, target: Target, answer: Answer) -> str:
        """The signal; empty where the answer will do, or where it was reasoned about already."""
        return "" if target.tier is Tier.REASONING else next(self._signals(request, answer), "")

    def _signals(self, request: Request, answer: Answer) -> Iterator[str]:
        if LENGTH in self._on and answer.finish_reason == LENGTH and (request.max_tokens or ROOM_TOKENS) >= ROOM_TOKENS:
            yield LENGTH
        if REFUSAL in self._on and self._is_refusal(answer):
            yield REFUSAL
        if JSON in self._on and _has_wrong_json(answer):
            yield JSON
        if TOOLS in self._on and _has_wrong_call(answer):
            yield TOOLS
        least = self._mean_logprob_below
        if least is not None and answer.mean_logprob is not None and answer.mean_logprob < least:
            yield f"logprob {answer.mean_logprob:.2f}"

    def _is_refusal(self, answer: Answer) -> bool:
        opening = answer.text[:_OPENING_CHARACTERS].strip().replace("\u2019", "'").casefold()
        return answer.refusal is not None or opening.startswith(self._refusals)


def _has_wrong_json(answer: Answer) -> bool:
    """Whether JSON was asked for, and what came is none or not as the schema says. Calls of tools come instead of it."""
    if not answer.wants_json or answer.tool_calls:
        return False
    try:
        value = json.loads(answer.text)
    except (ValueError, RecursionError):
        return True
    return answer.schema is not None and first_fault(value, answer.schema) != ""


def _has_wrong_call(answer: Answer) -> bool:
    """Whether a call names no tool there is, or its arguments are not as that tool's schema says."""
    for call in answer.tool_calls:
        if answer.tools and call.name not in answer.tools:
            return True
        try:
            arguments = json.loads(call.arguments or "{}")
        except (ValueError, RecursionError):
            return True
        if first_fault(arguments, answer.tools.get(call.name, {})):
            return True
    return False
