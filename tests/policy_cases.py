"""Requests and upstreams for the tests of the policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jevons.policies.policy import Facts
from jevons.proxy.exchange import Endpoint, Prompt, Reasoning, Request, Upstream


class NoBody:
    """A body that policies never look into."""

    content_type = "application/json"

    def encode(self, model: str, changes: Mapping[str, object]) -> bytes:
        """What it was asked to send."""
        return f"{model} {changes}".encode()


def request(text: str = "", *, tokens: int = 10, has: frozenset[str] = frozenset(), **fields: Any) -> Request:
    """A chat request to `auto` whose last user turn is `text`."""
    given = {"id": "r1", "endpoint": Endpoint.CHAT, "body": NoBody(), "model": "auto", "started_at": 0.0}
    return Request(**{**given, "prompt": Prompt(text, text, tokens=tokens, has=has), **fields})


def upstream(name: str, reasoning: str = "never", **fields: Any) -> Upstream:
    """An upstream whose model is called `<name>-model`."""
    given = {"name": name, "base_url": f"http://{name}/v1", "model": f"{name}-model", "reasoning": Reasoning(reasoning)}
    return Upstream(**{**given, **fields})


def facts(*upstreams: Upstream, **fields: Any) -> Facts:
    """What is known, with these upstreams in this order."""
    return Facts(upstreams={each.name: each for each in upstreams}, **fields)


CHAT = upstream("chat")
THINKER = upstream("thinker", "always")
HYBRID = upstream("hybrid", "switchable")
PAIR = facts(CHAT, THINKER)
