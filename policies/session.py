"""The session policy: a conversation keeps its tier and only moves up, until it has been idle.

A conversation is known by `x-jevons-session`, or by what it holds. Clients send the whole of it with every turn, so that
what stands before its last answer is, to the letter, what the last request held: its hash finds that request's tier. All of
the text is hashed, and the tenant with it: two conversations share a tier only as long as they are the same.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from hashlib import blake2b
from typing import Final

from jevons.proxy.exchange import Plan, Reason, Record, Request, Tier
from jevons.proxy.units import Seconds

from .caller import CallerPolicy
from .policy import PINNED, Facts, Verdict

CAPACITY: Final = 10_000
IDLE_SECONDS: Final[Seconds] = 1800.0


class Sessions:
    """The conversations that have been reasoned about, newest last; those idle for longest are forgotten first.

    Only a tier above the lowest need be remembered, so that direct conversations take no memory.
    """

    def __init__(self, capacity: int = CAPACITY, clock: Callable[[], Seconds] = time.monotonic) -> None:
        self._capacity = capacity
        self._clock = clock
        self._seen: OrderedDict[bytes, Seconds] = OrderedDict()

    def __len__(self) -> int:
        return len(self._seen)

    def reasons(self, key: bytes, idle_seconds: Seconds) -> bool:
        """Whether this conversation has got to reasoning, and not been idle since for so long."""
        seen = self._seen.get(key)
        return seen is not None and self._clock() - seen < idle_seconds

    def remember(self, key: bytes) -> None:
        """It has, now."""
        self._seen[key] = self._clock()
        self._seen.move_to_end(key)
        while len(self._seen) > self._capacity:
            self._seen.popitem(last=False)


class SessionPolicy:
    """Moves a request up to the tier of its conversation. The caller's own word on this request stands."""

    name = "session"
    is_limit = True

    def __init__(self, sessions: Sessions | None = None, idle_seconds: Seconds = IDLE_SECONDS) -> None:
        self._sessions = Sessions() if sessions is None else sessions
        self._idle_seconds = idle_seconds

    def decide(self, request: Request, plan: Plan, facts: Facts) -> Verdict:
        """The reasoning tier, where the conversation has it and the plan has not."""
        if plan.candidates[0].tier is Tier.REASONING:
            return plan.because(Reason(self.name, "reasoning already", ""))
        key = _key_of_last(request)
        if key is None or not self._sessions.reasons(key, self._idle_seconds):
            return plan.because(Reason(self.name, "new or direct so far", ""))
        decisive = plan.decisive
        if plan.decision == PINNED or (decisive is not None and decisive.policy == CallerPolicy.name):
            return plan.because(Reason(self.name, "the caller's word stands", ""))
        target = facts.tier_target(Tier.REASONING)
        if target is None:
            return plan.because(Reason(self.name, "nobody serves reasoning", ""))
        return plan.sent_to((target,), Reason(self.name, "keeps its tier", Tier.REASONING), Tier.REASONING)

    def admitted(self, request: Request, plan: Plan, facts: Facts) -> None:
        """Where this turn is reasoned about, so is the next. A turn that the caller lowered leaves the rest as it was."""
        del facts
        last = _key_of_last(request)
        is_up = last is not None and self._sessions.reasons(last, self._idle_seconds)
        if is_up or plan.candidates[0].tier is Tier.REASONING:
            for key in _keys_of_next(request):
                self._sessions.remember(key)

    def settled(self, record: Record) -> None:
        """Nothing more is to be learned from how it ended."""
        del record


def _key_of_last(request: Request) -> bytes | None:
    """What this conversation was remembered under at its last turn; None at its first."""
    if request.session is not None:
        return _digest("session", request.tenant, request.session)
    if request.prompt.answered > 0:
        return _digest("text", request.tenant, request.prompt.conversation[: request.prompt.answered])
    return None


def _keys_of_next(request: Request) -> Iterator[bytes]:
    """What the next turn will look under."""
    if request.session is not None:
        yield _digest("session", request.tenant, request.session)
    elif request.prompt.conversation:
        yield _digest("text", request.tenant, request.prompt.conversation)


def _digest(*parts: str) -> bytes:
    return blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=16).digest()
