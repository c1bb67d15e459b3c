"""The one module that imports litellm, and only when a `Library` is made: that takes seconds and more than 100 MB.

litellm fetches its prices, and more, at import, reads `.env`, logs what it is asked and prints advice: all of it is off here.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from ..errors import JevonsError
from ..exchange import Upstream

INSTALL: Final = "pip install 'jevons[litellm]'"
LEAST: Final = (1, 83, 14)
"""Also after the two malicious releases, 1.82.7 and 1.82.8."""
_ENVIRONMENT: Final = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "CRITICAL",
    "OLLAMA_API_BASE": "none:",  # where it would ask about a model that a server calls by another name; ours say their address
}
_LOGGERS: Final = ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router")
_NO_GATEWAY: Final = {"_skip_mcp_handler": True}
"""litellm runs tools of type `mcp` itself, which no request may have; to look for one it imports a package that is not there."""
_CLOSING_SECONDS: Final = 2.0


def find_problem() -> str | None:
    """Why litellm cannot be used; None where it can. Imports nothing."""
    try:
        found = version("litellm")
    except PackageNotFoundError:
        return f"litellm is not installed: {INSTALL}"
    numbers = tuple(int(part) for part in found.split(".")[:3] if part.isdigit())
    return f"litellm {found} is too old: {INSTALL}" if numbers < LEAST else None


class Library:
    """litellm, imported and made quiet. Of one event loop, in which nothing else should run: parts of it block."""

    def __init__(self) -> None:
        """Raises JevonsError where it is not installed, or too old to be trusted."""
        problem = find_problem()
        if problem is not None:
            raise JevonsError(problem)
        os.environ.update(_ENVIRONMENT)
        import httpx  # noqa: PLC0415 - of litellm's, and slow with it
        import litellm  # noqa: PLC0415 - an extra, and slow to import

        litellm.suppress_debug_info = True
        litellm.drop_params = True
        litellm.turn_off_message_logging = True
        for name in _LOGGERS:
            logger = logging.getLogger(name)
            logger.disabled, logger.propagate = True, False
        self._litellm: Any = litellm
        self._timeout: Any = httpx.Timeout

    def is_priced(self, model: str) -> bool:
        """Whether the list that comes with litellm has a price for a token from there."""
        prices = self._litellm.model_cost
        row = prices.get(model) or prices.get(model.partition("/")[2]) or {}
        return bool(row.get("input_cost_per_token") or row.get("output_cost_per_token"))

    def know(self, model: str) -> None:
        """Put a local model into the list: for one that is not in it litellm asks an Ollama on this machine, at every request."""
        prices, (provider, _, name) = self._litellm.model_cost, model.partition("/")
        if provider in {"ollama", "ollama_chat"} and model not in prices and name not in prices:
            row = {"litellm_provider": provider, "mode": "chat", "input_cost_per_token": 0.0, "output_cost_per_token": 0.0}
            prices[model] = row

    async def ask(
        self, upstream: Upstream, fields: dict[str, Any], give: Callable[[bytes], None], may_go: asyncio.Event
    ) -> float | None:
        """One call: `give` gets the whole reply, or each chunk of a stream, as JSON. Returns its price in USD where known.

        Address, key and model are the configuration's and overrule whatever is in `fields`. Raises what litellm raises, which
        may be anything. Being cancelled closes the connection.
        """
        self.know(upstream.model)
        limits = upstream.timeouts
        seconds = self._timeout(max(limits.first_byte_seconds, limits.idle_seconds), connect=limits.connect_seconds)
        own = {"model": upstream.model, "api_base": upstream.base_url, "api_key": upstream.api_key or "none"}
        once = {"timeout": seconds, "max_retries": 0, "num_retries": 0}
        reply = await self._litellm.acompletion(**{**fields, **own, **once, **_NO_GATEWAY})
        cost: Any = None
        if fields.get("stream"):
            try:
                async for chunk in reply:
                    cost = getattr(getattr(chunk, "usage", None), "cost", None) or cost
                    give(chunk.model_dump_json(exclude_none=True).encode())
                    await may_go.wait()
            finally:
                await reply.aclose()
        else:
            cost = reply._hidden_params.get("response_cost")  # noqa: SLF001 - litellm's documented place for it
            give(reply.model_dump_json(exclude_none=True).encode())
        return float(cost) if cost is not None and self.is_priced(upstream.model) else None

    async def close(self) -> None:
        """Close what it keeps open."""
        async with asyncio.timeout(_CLOSING_SECONDS):
            await self._litellm.close_litellm_async_clients()
