"""The thinking policy: how much a model thinks that does: not at all, at an effort, or within a budget of tokens.

It says so in the plan; `proxy/upstreams/dialects.py` knows what each server calls it. It comes last of all, since only then
it is known where the request goes. An effort that the caller names is the caller's; a tier that was decided stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from msgspec.structs import replace

from jevons.proxy.exchange import Plan, Reason, Reasoning, Request, Target, Thinking

from .policy import Facts, Verdict

OFF: Final = "off"
EFFORTS: Final = ("low", "medium", "high")
Level: TypeAlias = str | int
"""`off`, an effort, or a budget of tokens."""


class ThinkingPolicy:
    """Sets `level` on whatever thinks, or that of the upstream where `upstreams` names one."""

    name = "thinking"
    is_limit = True

    def __init__(
        self, level: Level | None = None, upstreams: Mapping[str, Level] | None = None, *, repairs_content: bool = False
    ) -> None:
        self._level = level
        self._levels = dict(upstreams or {})
        self._repairs_content = repairs_content

    def decide(self, request: Request, plan: Plan, facts: Facts) -> Verdict:
        """The plan with every candidate's thinking set as far as it was left open."""
        del facts
        candidates = tuple(self._set(target, request) for target in plan.candidates)
        return replace(plan, candidates=candidates).because(Reason(self.name, _word(candidates[0]), ""))

    def _set(self, target: Target, request: Request) -> Target:
        upstream = target.upstream
        level = self._levels.get(upstream.name, self._level)
        if upstream.reasoning is Reasoning.NEVER:
            return target
        if request.reasoning_effort in EFFORTS and target.thinking is not False:
            level = request.reasoning_effort
        if level == OFF and target.thinking is None and upstream.reasoning is Reasoning.SWITCHABLE:
            target = replace(target, thinking=False)
        if target.thinking is False:
            return replace(target, how=Thinking(repairs_content=True)) if self._repairs_content else target
        if level is None or level == OFF:
            return target
        how = Thinking(budget_tokens=level) if isinstance(level, int) else Thinking(effort=level)
        is_on = True if upstream.reasoning is Reasoning.SWITCHABLE else target.thinking
        return replace(target, thinking=is_on, how=how)


def _word(target: Target) -> str:
    if target.thinking is False:
        return OFF
    if target.how is None:
        return "as the server does" if target.upstream.reasoning is not Reasoning.NEVER else "does not think"
    return target.how.effort or f"{target.how.budget_tokens} tokens"
