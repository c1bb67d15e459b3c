"""The configuration for servers that were found rather than written down."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from .config import Config
from .config_checks import RESERVED_NAMES
from .exchange import Reasoning, Tier
from .upstreams.detection import Found, FoundModel, can_chat, guess_reasoning

MAX_MODELS: Final = 64
MAX_NAME: Final = 48


def config_from_detection(servers: Sequence[Found]) -> Config:
    """One upstream for each model of each server, all else by default; raises ValueError where there is none.

    Models that do not chat (embeddings, rerankers) come last, so that no tier means one of them while there is another.
    """
    models = [(server, model) for server in servers for model in server.models][:MAX_MODELS]
    if not models:
        raise ValueError("no model servers to configure")
    models.sort(key=lambda pair: not can_chat(pair[1].name))
    names = _names([model.name for _, model in models])
    upstreams = [_upstream(name, server, model) for name, (server, model) in zip(names, models, strict=True)]
    chatting = [upstream for upstream in upstreams if can_chat(upstream["model"])] or upstreams
    default = Tier.REASONING if all(upstream["reasoning"] is Reasoning.ALWAYS for upstream in chatting) else Tier.DIRECT
    return Config.model_validate({"upstreams": upstreams, "default": default.value})


def _upstream(name: str, server: Found, model: FoundModel) -> dict[str, Any]:
    return {
        "name": name,
        "url": server.base_url,
        "model": model.name,
        "reasoning": guess_reasoning(model.name),
        "dialect": server.dialect,
        "context_tokens": model.context_tokens,
    }


def _names(models: Iterable[str]) -> list[str]:
    """A label for each model, made of its name: short, unlike every other, and no model's name but its own."""
    models = list(models)
    taken = RESERVED_NAMES | set(models)
    names: list[str] = []
    for model in models:
        label = re.sub(r"[^a-z0-9._:-]+", "-", model.lower().rstrip("/").rsplit("/", 1)[-1])[:MAX_NAME].strip("-._:") or "model"
        name, number = label, 1
        while name in names or (name in taken and not (name == model and name not in RESERVED_NAMES)):
            number += 1
            name = f"{label}-{number}"
        names.append(name)
    return names
