"""`jevons explain`: the decision on one prompt, with every policy's word, and nothing sent."""

from __future__ import annotations

import json
import time

from jevons.policies.policy import Facts, Reject

from .config import Config, to_upstreams
from .exchange import Endpoint
from .policy_factory import make_chain
from .wire.parsing import parse


def explain_prompt(config: Config, prompt: str, *, model: str, tier: str) -> dict[str, object]:
    """What would happen to a chat completion with this one user turn.

    Raises BadRequest where the proxy would not take it: a tier that is none, a prompt that is no Unicode.
    """
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": prompt}]}).encode()
    request = parse(
        Endpoint.CHAT,
        "application/json",
        body,
        request_id="explain",
        headers={"x-jevons-tier": tier},
        started_at=time.time(),
    )
    facts = Facts(upstreams={upstream.name: upstream for upstream in to_upstreams(config)})
    decision = make_chain(config).decide(request, facts)
    error = decision.verdict.error.message if isinstance(decision.verdict, Reject) else None
    return {
        "decision": decision.word,
        "route": decision.plan.route or None,
        "candidates": [
            {"upstream": target.upstream.name, "model": target.upstream.model, "thinking": target.thinking}
            for target in decision.plan.candidates
        ],
        "words": [{"policy": reason.policy, "word": reason.word, "to": reason.to or None} for reason in decision.words],
        "prompt": {"tokens": request.prompt.tokens, "has": sorted(request.prompt.has)},
        "error": error,
    }


def render(report: dict[str, object]) -> str:
    """The same for people."""
    lines = [
        f"{word['policy']:>12}  {word['word']}" + (f" → {word['to']}" if word["to"] else "") for word in _rows(report["words"])
    ]
    for place, target in enumerate(_rows(report["candidates"]), start=1):
        lines.append(f"{'goes to' if place == 1 else 'else':>12}  {target['upstream']} ({target['model']})")
    if report["error"] is not None:
        lines.append(f"{'refused':>12}  {report['error']}")
    return "\n".join(lines)


def _rows(value: object) -> list[dict[str, object]]:
    return value if isinstance(value, list) else []
