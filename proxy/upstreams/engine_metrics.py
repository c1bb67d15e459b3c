"""The token counters of the model servers themselves: what they served past the proxy shows in them and nowhere else.

A background task asks each server's `/metrics` every second or two, never the request path. The page may be long, so it is not
parsed: the few lines wanted are found in it. When a request is counted is the engine's business:

* vLLM (`v1/metrics/stats.py`): a prompt, cached tokens included, with its first output; output with every step.
* SGLang (`observe_one_finished_request`): both when the request is over; cached tokens included.
* llama.cpp (`on_prompt_eval`, `on_prediction`): a prompt with its first token and without what was cached; output at the end.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import aiohttp
import structlog

from ..exchange import Dialect, Upstream
from ..observed import ServedTokens
from ..units import Seconds
from .client import describe

CLOSE_SECONDS: Final[Seconds] = 1.0
"""Between two readings of a server that serves others too."""
USUAL_SECONDS: Final[Seconds] = 2.0
ABSENT_SECONDS: Final[Seconds] = 60.0
"""Until a server that has no such counters is asked again: it may have been started anew, with them."""
MOST_BYTES: Final = 8 * 1024 * 1024
_TIMEOUT: Final = aiohttp.ClientTimeout(total=2.0)
_MODEL: Final = re.compile(rb'[{,](?:model_name|model)="((?:[^"\\]|\\.)*)"')
_WITHOUT_COUNTERS: Final = frozenset({Dialect.OLLAMA, Dialect.OPENAI, Dialect.DEEPSEEK, Dialect.TRANSFORMERS})

log = structlog.get_logger("jevons.upstreams")

Receive = Callable[[tuple[str, ...], ServedTokens, Seconds], bool]
"""Takes the upstreams behind one server, its counts, and when they were read; says whether to look closely."""


@dataclass(frozen=True, slots=True)
class _Family:
    """The names that one engine gives its counters, and when it counts."""

    prompt: bytes
    output: bytes
    cached: bytes | None = None
    is_prompt_fresh: bool = False
    prompt_at_end: bool = False
    output_at_end: bool = False


FAMILIES: Final = (
    _Family(b"vllm:prompt_tokens", b"vllm:generation_tokens", b"vllm:prompt_tokens_cached"),
    _Family(
        b"sglang:prompt_tokens",
        b"sglang:generation_tokens",
        b"sglang:cached_tokens",
        prompt_at_end=True,
        output_at_end=True,
    ),
    _Family(b"llamacpp:prompt_tokens", b"llamacpp:tokens_predicted", is_prompt_fresh=True, output_at_end=True),
)
"""Names without `_total`, which some versions add."""


def read_served(page: bytes, models: Sequence[str] = ()) -> ServedTokens | None:
    """The counts on a page of metrics; None where it has none that are known.

    Series of several engines or ranks are added up. Where some carry one of `models` as their label, those alone count.
    """
    names = {model.encode() for model in models}
    for family in FAMILIES:
        prompt, output = _total(page, family.prompt, names), _total(page, family.output, names)
        if prompt is None and output is None:
            continue
        # A counter that has counted nothing yet may be absent.
        return ServedTokens(
            prompt or 0.0,
            output or 0.0,
            None if family.cached is None else _total(page, family.cached, names),
            is_prompt_fresh=family.is_prompt_fresh,
            prompt_at_end=family.prompt_at_end,
            output_at_end=family.output_at_end,
        )
    return None


def _total(page: bytes, name: bytes, models: set[bytes]) -> float | None:
    """The sum of a counter's series, under its name with `_total` or without; None where there is none."""
    for full in (name + b"_total", name):
        series = list(_series(page, full))
        if series:
            ours = [value for model, value in series if model in models]
            return sum(ours or (value for _, value in series))
    return None


def _series(page: bytes, name: bytes) -> Iterator[tuple[bytes | None, float]]:
    """(model label, value) of each line that is this counter and no other whose name begins alike."""
    at = page.find(name)
    while at >= 0:
        end = page.find(b"\n", at)
        line = page[at:] if end < 0 else page[at:end]
        rest = line[len(name) :]
        if rest[:1] in {b"{", b" ", b"\t"} and (at == 0 or page[at - 1 : at] == b"\n"):
            value = _number(rest.rpartition(b"}")[2].split())
            if value is not None:
                model = _MODEL.search(rest)
                yield (model[1] if model else None), value
        at = page.find(name, at + len(name))


def _number(words: Sequence[bytes]) -> float | None:
    """The value, before the timestamp that may follow; None where it is no count."""
    try:
        value = float(words[0])
    except (IndexError, ValueError):
        return None
    return value if math.isfinite(value) and value >= 0.0 else None


def metrics_url(base_url: str) -> str:
    """Where the server of an API address has its metrics: beside `/v1`, not below it."""
    return base_url.removesuffix("/v1") + "/metrics"


class EngineMetrics:
    """Reads the counters of all servers in the background.

    Args:
        session: To ask with.
        upstreams: Those whose servers are asked; several at one address are one server.
        receive: Takes what was read.
        dialect: What kind of server an upstream is; kinds that have no such counters are not asked.
        clock: That of the attribution.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        upstreams: Sequence[Upstream],
        receive: Receive,
        *,
        dialect: Callable[[str], Dialect],
        clock: Callable[[], Seconds] = time.monotonic,
    ) -> None:
        self._session = session
        self._receive = receive
        self._dialect = dialect
        self._clock = clock
        self._servers: dict[str, list[Upstream]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self.problems: dict[str, str | None] = {}
        """By upstream: why its server's counters are not known; None where they are. Absent until it has been asked."""
        self.use(upstreams)

    def use(self, upstreams: Sequence[Upstream]) -> None:
        """Ask the servers of these, and of no others, from now on."""
        before = set(self._servers)
        self._servers.clear()
        for upstream in upstreams:
            if upstream.dialect is Dialect.LITELLM:
                self.problems[upstream.name] = "a provider has none"
                continue
            self._servers.setdefault(metrics_url(upstream.base_url), []).append(upstream)
        if self._tasks is not None:
            for url in self._servers.keys() - before:
                self._tasks.create_task(self._follow(url))

    async def run(self) -> None:
        """Ask all of them again and again, each at its own pace, until cancelled."""
        async with asyncio.TaskGroup() as self._tasks:
            for url in self._servers:
                self._tasks.create_task(self._follow(url))

    async def check(self) -> None:
        """Ask all of them once, at the same time."""
        await asyncio.gather(*(self.ask(url) for url in self._servers))

    async def _follow(self, url: str) -> None:
        while url in self._servers:
            pause_seconds = await self.ask(url)
            await asyncio.sleep(pause_seconds)

    async def ask(self, url: str) -> Seconds:
        """Ask one server once; returns how long to wait until the next time."""
        upstreams = self._servers[url]
        if all(self._dialect(upstream.name) in _WITHOUT_COUNTERS for upstream in upstreams):
            self._note(upstreams, "this kind of server has no token counters")
            return ABSENT_SECONDS
        try:
            status, page, at = await self._get(url, upstreams[0].api_key)
        except TimeoutError:
            return self._note(upstreams, "no answer in time")
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            return self._note(upstreams, describe(error))
        served = read_served(page, [upstream.model for upstream in upstreams]) if status == HTTPStatus.OK else None
        if served is None:
            reason = "no token counters at /metrics" if status == HTTPStatus.OK else f"/metrics answers {status}"
            self._note(upstreams, reason)
            return ABSENT_SECONDS
        self._note(upstreams, None)
        is_close = self._receive(tuple(upstream.name for upstream in upstreams), served, at)
        return CLOSE_SECONDS if is_close else USUAL_SECONDS

    async def _get(self, url: str, api_key: str | None) -> tuple[int, bytes, Seconds]:
        headers = {"accept": "text/plain", **({"authorization": f"Bearer {api_key}"} if api_key is not None else {})}
        page = bytearray()
        async with self._session.get(url, headers=headers, allow_redirects=False, timeout=_TIMEOUT) as response:
            at = self._clock()
            async for block in response.content.iter_any():
                page += block
                if len(page) > MOST_BYTES:
                    del page[page.rfind(b"\n") + 1 :]  # whole lines only: half a number is a wrong one
                    break
            return response.status, bytes(page), at

    def _note(self, upstreams: Sequence[Upstream], reason: str | None) -> Seconds:
        for upstream in upstreams:
            if self.problems.get(upstream.name, "") != reason:
                self.problems[upstream.name] = reason
                log.info("engine metrics", upstream=upstream.name, read=reason is None, reason=reason)
        return USUAL_SECONDS
