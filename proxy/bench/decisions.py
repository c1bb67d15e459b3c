"""`jevons bench route`: how long a decision takes, by chain and by the length of the prompt. Nothing is sent.

Timed is the CPU of a decision alone, which a busy machine does not lengthen by much: the request has been parsed. The prompts
are the demo's, each as it is and pasted over and over to 100 kB; each is decided on anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any, Final

from jevons.policies.chain import PolicyChain
from jevons.policies.policy import Facts

from ..config_file import parse_config
from ..exchange import Endpoint, Reasoning, Request, Upstream
from ..policy_factory import make_chain
from ..simulation.workload import load_questions
from ..wire.parsing import parse

LONG_CHARACTERS: Final = 100_000
ROUNDS: Final = 25
_MICROSECONDS: Final = 1e6

_RULES: Final = """
  - type: rules
    rules:
      - {name: proofs, when: {keywords: [prove, proof, derive, theorem, step by step]}, to: reasoning}
      - {name: errors, when: {has: [code], keywords: [debug, deadlock, traceback, segfault]}, to: reasoning}
      - {name: counting, when: {regex: "how many .* are there"}, to: reasoning}"""
_ALL: Final = """
  - {type: session}
  - {type: budget, budgets: [{name: day, joules: 1e9}]}
  - {type: thinking, level: low}
  - {type: escalate}
  - {type: fallback}"""
_UPSTREAMS: Final = """
upstreams:
  - {name: chat, url: "http://chat/v1", model: a}
  - {name: thinker, url: "http://thinker/v1", model: b, reasoning: always}
policies:"""
CHAINS: Final[Mapping[str, str]] = {
    "rules": _RULES,
    "rules, difficulty": _RULES + "\n  - {type: difficulty}",
    "all": _RULES + "\n  - {type: difficulty}" + _ALL,
}
"""The policies of each chain, in YAML."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Microseconds of many decisions of one chain about prompts of one kind."""

    chain: str
    prompts: str
    decisions: int
    median_us: float
    p99_us: float

    def as_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {
            "chain": self.chain,
            "prompts": self.prompts,
            "decisions": self.decisions,
            "median_us": round(self.median_us, 2),
            "p99_us": round(self.p99_us, 2),
        }


def measure(rounds: int = ROUNDS) -> list[Timing]:
    """Every chain on every kind of prompt."""
    texts = [question.text for question in load_questions()]
    kinds = {
        "the demo's": [_request(text) for text in texts],
        "100 kB": [_request((text + " ") * (LONG_CHARACTERS // (len(text) + 1))) for text in texts],
    }
    upstreams = [Upstream("chat", "http://chat/v1", "a"), Upstream("thinker", "http://thinker/v1", "b", Reasoning.ALWAYS)]
    facts = Facts(upstreams={upstream.name: upstream for upstream in upstreams})
    return [
        _time(name, kind, make_chain(parse_config(_UPSTREAMS + policies)), requests, facts, rounds)
        for name, policies in CHAINS.items()
        for kind, requests in kinds.items()
    ]


def _time(name: str, kind: str, chain: PolicyChain, requests: Sequence[Request], facts: Facts, rounds: int) -> Timing:
    taken: list[float] = []
    for _ in range(rounds):
        for request in requests:
            before = time.thread_time()
            chain.decide(request, facts)
            taken.append((time.thread_time() - before) * _MICROSECONDS)
    return Timing(name, kind, len(taken), median(taken), quantiles(taken, n=100)[-1])


def _request(text: str) -> Request:
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": text}]}).encode()
    return parse(Endpoint.CHAT, "application/json", body, request_id="bench", headers={}, started_at=time.time())


def render(timings: Sequence[Timing]) -> str:
    """A table in Markdown."""
    rows = [f"| {one.chain} | {one.prompts} | {one.decisions} | {one.median_us:,.1f} | {one.p99_us:,.1f} |" for one in timings]
    head = "| chain | prompts | decisions | median, microseconds | 99th percentile |\n|---|---|---|---|---|"
    return "\n".join([head, *rows])
