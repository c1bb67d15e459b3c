"""Which model servers run on this machine, and what kind each one is: found out by asking them, never by more than GET.

Every wait and every answer is bounded, since whatever listens on a well-known port is a stranger.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import msgspec

from ..exchange import Dialect, Reasoning
from ..units import Seconds

USUAL_PORTS: Final = (8000, 30000, 8080, 11434, 1234)
"""Where vLLM and `transformers serve`, SGLang, llama.cpp, Ollama and LM Studio listen by default."""

VERSION_HEADER: Final = "x-jevons-version"
MAX_REPLY_BYTES: Final = 1_048_576
TIMEOUT_SECONDS: Final = 3.0

OWNERS: Final[Mapping[str, Dialect]] = {
    "vllm": Dialect.VLLM,
    "sglang": Dialect.SGLANG,
    "llamacpp": Dialect.LLAMA_CPP,
    "library": Dialect.OLLAMA,
    "deepseek": Dialect.DEEPSEEK,
    "openai": Dialect.OPENAI,
    "openai-internal": Dialect.OPENAI,
    "system": Dialect.OPENAI,
}
"""What `owned_by` in the list of models gives away."""

HOSTS: Final[Mapping[str, Dialect]] = {"api.deepseek.com": Dialect.DEEPSEEK, "api.openai.com": Dialect.OPENAI}

PROBES: Final[tuple[tuple[str, str, Dialect], ...]] = (
    ("/get_model_info", "model_path", Dialect.SGLANG),
    ("/props", "default_generation_settings", Dialect.LLAMA_CPP),
    ("/api/version", "version", Dialect.OLLAMA),
    ("/version", "version", Dialect.VLLM),
)
"""A path, a key of the JSON object found there, and what that gives away; the first that holds wins."""

TRANSFORMERS_ONLY: Final = "/load_model"
TRANSFORMERS_PATHS: Final = frozenset(
    {"/v1/chat/completions", "/v1/responses", "/v1/audio/transcriptions", "/v1/models", "/health"}
)
"""`transformers serve` names itself nowhere; its OpenAPI page lists these, and in later releases the one above."""

NO_CHAT: Final = r"embed|rerank|reward|guard|whisper|\bbge\b|\basr\b|\btts\b"
"""In the name of a model that does not chat."""

REASONING_BY_NAME: Final[tuple[tuple[str, Reasoning], ...]] = (
    (NO_CHAT, Reasoning.NEVER),
    (r"non-?think|no-?think|non-?reason", Reasoning.NEVER),
    (r"\bthink|reasoning|reasoner|deepseek-?r1|\br1\b|^o[134]\b|qwq|qvq|magistral|gpt-oss|marco-o1|skywork-o1", Reasoning.ALWAYS),
    (r"openthinker|deepscaler|deepcoder|exaone-deep|glm-z1|minimax-m[12]", Reasoning.ALWAYS),
    (r"deepseek-?v3\.[12]", Reasoning.SWITCHABLE),
    (r"granite-?3\.[23]|smollm3|glm-4\.[567]|hunyuan-a13b|exaone-4", Reasoning.SWITCHABLE),
    (r"qwen-?3.*(instruct|coder|base)", Reasoning.NEVER),
    (r"qwen-?3", Reasoning.SWITCHABLE),
)
"""Searched in this order in a model's name, lower case and without its organisation; a guess that a configuration overrules."""


@dataclass(frozen=True, slots=True)
class FoundModel:
    """One model that a server lists. `context_tokens` is None where it does not say."""

    name: str
    context_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """One model server. `base_url` ends in `/v1`."""

    base_url: str
    dialect: Dialect
    models: tuple[FoundModel, ...]


class _Model(msgspec.Struct):
    """An entry of the list; only its name is sure to be what it should."""

    id: str
    owned_by: object = None
    max_model_len: object = None
    meta: object = None


class _ModelList(msgspec.Struct):
    data: list[_Model]


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    is_ours: bool
    body: bytes


@dataclass(frozen=True, slots=True)
class _Asker:
    """Asks one server, and takes what it answers with care."""

    session: aiohttp.ClientSession
    timeout_seconds: Seconds
    api_key: str | None = None

    async def get(self, url: str) -> _Reply | None:
        """What `url` answers; None where nobody does in time, in HTTP, or within the size allowed."""
        headers = {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}
        timeout = aiohttp.ClientTimeout(total=self.timeout_seconds)
        body = bytearray()
        try:
            async with self.session.get(url, headers=headers, timeout=timeout, allow_redirects=False) as response:
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > MAX_REPLY_BYTES:
                        return None
                return _Reply(response.status, VERSION_HEADER in response.headers, bytes(body))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None

    async def object_at(self, url: str) -> Mapping[str, Any]:
        """The JSON object at `url`; an empty one where there is none."""
        reply = await self.get(url)
        if reply is None or reply.status != HTTPStatus.OK:
            return {}
        try:
            return msgspec.json.decode(reply.body, type=dict[str, Any])
        except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
            return {}


async def detect_servers(
    session: aiohttp.ClientSession,
    ports: Sequence[int] = USUAL_PORTS,
    *,
    host: str = "127.0.0.1",
    timeout_seconds: Seconds = TIMEOUT_SECONDS,
) -> list[Found]:
    """The servers that list their models on `ports`, in that order; jevons itself is passed over."""
    asker = _Asker(session, timeout_seconds)
    found = await asyncio.gather(*(_detect_server(asker, f"http://{host}:{port}/v1") for port in ports))
    return [server for server in found if server is not None]


async def detect_dialect(
    session: aiohttp.ClientSession, base_url: str, *, api_key: str | None = None, timeout_seconds: Seconds = TIMEOUT_SECONDS
) -> Dialect:
    """What kind of server answers at `base_url`: OPENAI where it is none that is known, AUTO while it cannot say."""
    host = urlsplit(base_url).hostname or ""
    if host in HOSTS:
        return HOSTS[host]
    asker = _Asker(session, timeout_seconds, api_key)
    reply = await asker.get(f"{base_url}/models")
    if reply is None or reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:  # llama.cpp answers 503 while it loads a model
        return Dialect.AUTO
    if reply.is_ours:
        return Dialect.OPENAI
    return await _dialect(asker, base_url, _models(reply))


def guess_reasoning(model: str) -> Reasoning:
    """Whether a model of this name thinks, as far as names tell."""
    name = _bare(model)
    return next((kind for pattern, kind in REASONING_BY_NAME if re.search(pattern, name)), Reasoning.NEVER)


def can_chat(model: str) -> bool:
    """Whether a model of this name answers prompts, rather than embedding, ranking or transcribing them."""
    return re.search(NO_CHAT, _bare(model)) is None


def _bare(model: str) -> str:
    return model.lower().rsplit("/", 1)[-1].replace("_", "-")


async def _detect_server(asker: _Asker, base_url: str) -> Found | None:
    reply = await asker.get(f"{base_url}/models")
    if reply is None or reply.is_ours:
        return None
    models = {model.id: FoundModel(model.id, _context_tokens(model)) for model in _models(reply) if model.id.strip()}
    if not models:
        return None
    return Found(base_url, await _dialect(asker, base_url, _models(reply)), tuple(models.values()))


async def _dialect(asker: _Asker, base_url: str, models: Sequence[_Model]) -> Dialect:
    """By what the list of models says, else by what only one kind of server has; the probes run at once."""
    for model in models:
        dialect = OWNERS.get(str(model.owned_by))
        if dialect is not None:
            return dialect
    root = base_url.removesuffix("/v1")
    paths = ["/openapi.json", *(path for path, _, _ in PROBES)]
    pages = await asyncio.gather(*(asker.object_at(root + path) for path in paths))
    page_at = dict(zip(paths, pages, strict=True))
    for path, key, dialect in PROBES:
        if key in page_at[path]:
            return dialect
    return Dialect.TRANSFORMERS if _is_transformers(page_at["/openapi.json"]) else Dialect.OPENAI


def _is_transformers(openapi: Mapping[str, Any]) -> bool:
    paths = openapi.get("paths")
    if not isinstance(paths, dict) or "/v1/chat/completions" not in paths:
        return False
    return TRANSFORMERS_ONLY in paths or ("/v1/responses" in paths and paths.keys() <= TRANSFORMERS_PATHS)


def _models(reply: _Reply) -> list[_Model]:
    try:
        return msgspec.json.decode(reply.body, type=_ModelList).data if reply.status == HTTPStatus.OK else []
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return []


def _context_tokens(model: _Model) -> int | None:
    meta = model.meta if isinstance(model.meta, dict) else {}
    sizes = (model.max_model_len, meta.get("n_ctx"))
    return next((size for size in sizes if isinstance(size, int) and size > 0), None)
