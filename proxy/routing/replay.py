"""`jevons route replay`: what another configuration would have done with the requests of the past. Nothing is sent.

Each request is decided about anew, in the order of their times, by the configuration's own policies with a memory of their own.
Where it would have gone as it did, its joules are what they were; else they are the mean of the answers that came from there, and
are said to be imputed. A prompt that was not kept cannot be read by a rule: such a request is taken to meet a rule of the same
name, and is else decided on what is known, or not at all.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any, Final

from msgspec.structs import replace

from jevons.policies.budget import Balances
from jevons.policies.chain import PolicyChain
from jevons.policies.policy import Facts
from jevons.policies.session import Sessions

from ..config import Config, to_upstreams
from ..exchange import Attempt, Endpoint, Energy, Outcome, Plan, Record, Request, Target, Tier, Upstream, Usage
from ..identity import Identity
from ..policy_factory import Memory, make_chain
from ..wire.parsing import parse
from .past import Past

CALLER: Final = "caller"
RULES: Final = "rules"
READERS_OF_TEXT: Final = frozenset({RULES, "difficulty", "gain"})
UNKNOWN: Final = "unknown"
NOWHERE: Final = "refused"

Gain = Callable[[Request], float | None]
"""The probability that reasoning gets right what a direct answer gets wrong; None where that is not known."""


@dataclass(slots=True)
class Sums:
    """What came of some of the requests."""

    requests: int = 0
    moved: int = 0
    unknown: int = 0
    without_prompt: int = 0
    refused: int = 0
    joules_before: float = 0.0
    joules_after: float = 0.0
    imputed: int = 0
    joules_unknown: int = 0
    """Requests of which one of the two figures is not known: they are in neither sum."""
    quality: list[float] = field(default_factory=list)
    """The change in the probability of a right answer, where a prompt tells it."""

    def as_json(self) -> dict[str, Any]:
        """Counts, joules, and the predicted change in the share of right answers, null where nothing is known of it."""
        known = self.requests - self.joules_unknown
        return {
            "requests": self.requests,
            "moved": self.moved,
            "refused": self.refused,
            "unknown": self.unknown,
            "without_prompt": self.without_prompt,
            "joules": {
                "before": self.joules_before if known else None,
                "after": self.joules_after if known else None,
                "imputed_requests": self.imputed,
                "requests_left_out": self.joules_unknown,
            },
            "predicted_quality_change": fmean(self.quality) if self.quality else None,
        }


class _Clock:
    """The time of the request that is being replayed."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class _Averages:
    """What answers have cost in the past, by upstream and tier."""

    def __init__(self, rows: Sequence[Past], upstreams: dict[str, Upstream]) -> None:
        joules, per_token = defaultdict[tuple[str, Tier], list[float]](list), defaultdict[str, list[float]](list)
        tokens = defaultdict[tuple[str, Tier], list[float]](list)
        for row in rows:
            key = (row.upstream, tier_of(row, upstreams.get(row.upstream)))
            if row.joules is not None:
                joules[key].append(row.joules)
            if row.completion_tokens:
                tokens[key].append(row.completion_tokens)
                if row.joules is not None:
                    per_token[row.upstream].append(row.joules / row.completion_tokens)
        self.joules = {key: fmean(values) for key, values in joules.items()}
        self.facts = Facts(
            upstreams=upstreams,
            joules_per_token={name: fmean(values) for name, values in per_token.items()},
            completion_tokens={key: fmean(values) for key, values in tokens.items()},
        )


def tier_of(row: Past, upstream: Upstream | None) -> Tier:
    """What a request got: as it was recorded, or as its upstream and its tokens tell."""
    if row.tier is not None:
        return row.tier
    if row.reasoning_tokens or upstream is None:
        return Tier.REASONING if row.reasoning_tokens else Tier.DIRECT
    return Target(upstream).tier if upstream.reasoning != "switchable" else Tier.DIRECT


def replay(rows: Sequence[Past], config: Config, gain: Gain | None = None) -> dict[str, Any]:
    """The report: all together, by tenant, and the routes that changed. Raises ConfigError as reading upstreams does."""
    upstreams = {upstream.name: upstream for upstream in to_upstreams(config)}
    averages, clock = _Averages(rows, upstreams), _Clock()
    chain = make_chain(config, Memory(Sessions(clock=clock), Balances(clock)))
    rules = {rule.name: rule.to for section in config.policies if section.type == RULES for rule in getattr(section, "rules", ())}
    overall, tenants = Sums(), defaultdict[str, Sums](Sums)
    routes = Counter[tuple[str, str]]()
    for row in rows:
        clock.now = row.started_at
        target = _decide(row, chain, averages, rules)
        before = _place(row.upstream, tier_of(row, upstreams.get(row.upstream)))
        after = target if isinstance(target, str) else _place(target.upstream.name, target.tier)
        if after not in {before, UNKNOWN}:
            routes[before, after] += 1
        for sums in (overall, tenants[row.tenant]):
            _add(sums, row, before, target, averages, gain)
    moved = [{"from": before, "to": after, "requests": count} for (before, after), count in routes.most_common()]
    by_tenant = {tenant: sums.as_json() for tenant, sums in sorted(tenants.items())}
    return {"overall": overall.as_json(), "by_tenant": by_tenant, "routes_moved": moved}


def _decide(row: Past, chain: PolicyChain, averages: _Averages, rules: dict[str, str]) -> Target | str:
    """Where it would go; `unknown` where that cannot be told, `refused` where it would go nowhere."""
    upstream = averages.facts.upstreams.get(row.upstream)
    if row.decision == "pinned" or row.policy == CALLER:
        thinking = None
        if upstream is not None and upstream.reasoning == "switchable":
            thinking = tier_of(row, upstream) is Tier.REASONING
        return Target(upstream, thinking) if upstream is not None else UNKNOWN
    if row.prompt is None and row.policy == RULES and row.word in rules:
        return averages.facts.target(rules[row.word]) or UNKNOWN
    if row.prompt is None and row.policy in READERS_OF_TEXT:
        return UNKNOWN
    request = _request(row)
    verdict = chain.decide(request, averages.facts).verdict
    if not isinstance(verdict, Plan):
        return NOWHERE
    chain.admit(request, verdict, averages.facts)
    target = verdict.candidates[0]
    energy = Energy(_joules_after(row, target, averages, upstream))
    attempts = (Attempt(target.upstream.name, Outcome.OK, Usage(), energy),)
    chain.settle(Record(row.request_id, row.tenant, Endpoint.CHAT, row.started_at, energy=energy, attempts=attempts))
    return target


def _request(row: Past) -> Request:
    """The request as far as it is known: one user turn, with the tokens that the server counted."""
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": row.prompt or ""}]}).encode()
    asked = parse(
        Endpoint.CHAT,
        "application/json",
        body,
        request_id=row.request_id,
        identity=Identity(row.tenant),
        headers={},
        started_at=row.started_at,
    )
    return replace(asked, prompt=replace(asked.prompt, tokens=row.prompt_tokens or asked.prompt.tokens))


def _joules_after(row: Past, target: Target, averages: _Averages, upstream: Upstream | None) -> float | None:
    if (target.upstream.name, target.tier) == (row.upstream, tier_of(row, upstream)):
        return row.joules
    return averages.joules.get((target.upstream.name, target.tier))


def _add(sums: Sums, row: Past, before: str, target: Target | str, averages: _Averages, gain: Gain | None) -> None:
    sums.requests += 1
    sums.without_prompt += row.prompt is None
    if isinstance(target, str):
        sums.unknown += target == UNKNOWN
        sums.refused += target == NOWHERE
        sums.joules_unknown += 1
        return
    upstream = averages.facts.upstreams.get(row.upstream)
    is_moved = _place(target.upstream.name, target.tier) != before
    after = _joules_after(row, target, averages, upstream)
    sums.moved += is_moved
    if after is None or row.joules is None:
        sums.joules_unknown += 1
    else:
        sums.joules_before += row.joules
        sums.joules_after += after
        sums.imputed += is_moved
    was = tier_of(row, upstream)
    p_gain = gain(_request(row)) if gain is not None and row.prompt is not None else None
    if p_gain is not None:
        sums.quality.append(0.0 if target.tier is was else p_gain if target.tier is Tier.REASONING else -p_gain)


def _place(upstream: str, tier: Tier) -> str:
    return f"{upstream} ({tier})"


def render(report: dict[str, Any]) -> str:
    """The same for people."""
    lines = [*_lines("all", report["overall"])]
    for tenant, sums in report["by_tenant"].items():
        lines += _lines(tenant, sums)
    lines += [f"  {row['requests']:>8}  {row['from']} -> {row['to']}" for row in report["routes_moved"]]
    return "\n".join(lines)


def _lines(name: str, sums: dict[str, Any]) -> Iterable[str]:
    joules, quality = sums["joules"], sums["predicted_quality_change"]
    told = f"{sums['moved']} moved, {sums['refused']} refused, {sums['unknown']} cannot be told"
    yield f"{name}: {sums['requests']} requests, {told}"
    if joules["before"]:
        change = joules["after"] / joules["before"] - 1.0
        yield (
            f"  joules {joules['before']:,.0f} -> {joules['after']:,.0f} ({change:+.0%}), "
            f"of {joules['imputed_requests']} imputed, {joules['requests_left_out']} requests left out"
        )
    if quality is not None:
        yield f"  right answers, as predicted by the difficulty score: {quality:+.1%}"
