"""Streamed chat completions of a wanted size, with the time of every chunk."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import msgspec

from ..errors import UpstreamError
from ..exchange import Dialect, Upstream
from ..units import Seconds
from ..upstreams.client import describe

TAKES_IGNORE_EOS: Final = frozenset({Dialect.VLLM, Dialect.SGLANG, Dialect.LLAMA_CPP})
"""Servers that go on to the length asked for, whatever the model would say."""
TAKES_MIN_TOKENS: Final = frozenset({Dialect.VLLM, Dialect.SGLANG})
_TEXTS: Final = ("content", "reasoning", "reasoning_content")
_WORDS: Final = ("time", "year", "name", "week", "hand", "part", "case", "work", "fact", "life", "line", "plan", "area", "city")
"""Of four letters and frequent, so that most tokenizers have one token for each."""


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta = msgspec.field(default_factory=_Delta)


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = msgspec.field(default_factory=list)
    usage: _Usage | None = None


@dataclass(slots=True)
class Stream:
    """One request as its client saw it; times are on the monotonic clock. A stream that was broken off has no token counts."""

    words: int
    """Of its prompt."""
    began: Seconds
    chunks: list[Seconds] = field(default_factory=list)
    """When each piece of output arrived."""
    prompt_tokens: int | None = None
    cached_tokens: int = 0
    completion_tokens: int | None = None
    request_id: str | None = None
    """The proxy's, where one stands in between."""


def write_prompt(words: int) -> str:
    """A prompt of so many words that begins like no other, so that nothing of it is in a server's cache."""
    return " ".join([uuid.uuid4().hex[:8], *(_WORDS[index % len(_WORDS)] for index in range(words - 1))])


def chat_body(model: str, *, words: int, output_tokens: int, dialect: Dialect) -> dict[str, Any]:
    """The body of one request."""
    return {
        "model": model,
        "messages": [{"role": "user", "content": write_prompt(words)}],
        "stream": True,
        "temperature": 0,
        "max_tokens": output_tokens,
        **({} if dialect is Dialect.TRANSFORMERS else {"stream_options": {"include_usage": True}}),
        **({"ignore_eos": True} if dialect in TAKES_IGNORE_EOS else {}),
        **({"min_tokens": output_tokens} if dialect in TAKES_MIN_TOKENS else {}),
    }


@dataclass(frozen=True, slots=True)
class ChatClient:
    """Asks one model server, or the proxy in front of it."""

    session: aiohttp.ClientSession
    upstream: Upstream
    dialect: Dialect

    async def ask(self, stream: Stream, output_tokens: int) -> None:
        """Let one stream run to its end, noting its chunks. Raises UpstreamError where the server does not take it."""
        url = f"{self.upstream.base_url}/chat/completions"
        headers = {"authorization": f"Bearer {self.upstream.api_key}"} if self.upstream.api_key is not None else {}
        waits = self.upstream.timeouts
        timeout = aiohttp.ClientTimeout(sock_connect=waits.connect_seconds, sock_read=waits.first_byte_seconds)
        body = chat_body(self.upstream.model, words=stream.words, output_tokens=output_tokens, dialect=self.dialect)
        try:
            async with self.session.post(url, json=body, headers=headers, timeout=timeout) as response:
                if response.status != HTTPStatus.OK:
                    text = (await response.content.read(400)).decode(errors="replace")
                    raise UpstreamError(f"{url} answers {response.status}: {text}")
                stream.request_id = response.headers.get("x-request-id")
                async for line in response.content:
                    if line.startswith(b"data:"):
                        _note(stream, line[5:].strip(), time.monotonic())
        except (aiohttp.ClientError, TimeoutError) as error:
            raise UpstreamError(f"{url}: {str(error) or describe(error)}") from error


def _note(stream: Stream, data: bytes, now: Seconds) -> None:
    """Take one event."""
    if data == b"[DONE]":
        return
    try:
        chunk = msgspec.json.decode(data, type=_Chunk)
    except msgspec.MsgspecError as error:
        raise UpstreamError(f"an event of the stream cannot be read: {error}") from error
    if any(getattr(choice.delta, name) for choice in chunk.choices for name in _TEXTS):
        stream.chunks.append(now)
    if chunk.usage is not None and chunk.usage.completion_tokens:
        stream.prompt_tokens, stream.completion_tokens = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
        details = chunk.usage.prompt_tokens_details
        stream.cached_tokens = (details.cached_tokens or 0) if details else 0
