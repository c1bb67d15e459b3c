"""Which model servers are there, and what kind each is: asked by a cheap GET, never by an inference."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import aiohttp
import structlog

from ..exchange import Dialect, Upstream
from ..units import Seconds
from .client import describe
from .detection import detect_dialect
from .litellm_library import find_problem

CHECK_SECONDS: Final = 5.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=5.0)

log = structlog.get_logger("jevons.upstreams")


class Health:
    """The last known state of every upstream. Any HTTP answer means up: it is the network that is asked about."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        upstreams: Sequence[Upstream],
        *,
        check_seconds: Seconds = CHECK_SECONDS,
        on_up: Callable[[str], None] | None = None,
    ) -> None:
        """`upstreams`: every server. `on_up` is called with the name of each that answers, every time that it does."""
        self._session = session
        self._upstreams = upstreams
        self._check_seconds = check_seconds
        self._on_up = on_up
        self._problems: dict[str, str | None] = {}
        self._dialects: dict[str, Dialect] = {u.name: u.dialect for u in upstreams if u.dialect is not Dialect.AUTO}

    @property
    def problems(self) -> Mapping[str, str | None]:
        """By upstream: why it cannot be used; None where it can. Absent where it has not been asked yet."""
        return self._problems

    @property
    def is_ready(self) -> bool:
        """Whether at least one upstream can be used."""
        return any(problem is None for problem in self._problems.values())

    def dialect(self, upstream: str) -> Dialect:
        """What kind of server it is: as configured, or as found out; AUTO until then."""
        return self._dialects.get(upstream, Dialect.AUTO)

    @property
    def dialects(self) -> Mapping[str, Dialect]:
        """By upstream, of those that are known."""
        return self._dialects

    def hear(self, problems: Mapping[str, str | None], dialects: Mapping[str, Dialect]) -> None:
        """Another process of ours has asked."""
        self._problems.clear()  # others hold on to it
        self._problems.update(problems)
        self._dialects.clear()
        self._dialects.update(dialects)
        for name, problem in problems.items():
            if problem is None and self._on_up is not None:
                self._on_up(name)

    async def run(self) -> None:
        """Ask all of them again and again until cancelled."""
        while True:
            await self.check()
            await asyncio.sleep(self._check_seconds)

    async def check(self) -> None:
        """Ask all of them once, at the same time; one that a reload has taken away is forgotten."""
        await asyncio.gather(*[self._check(upstream) for upstream in self._upstreams])
        for name in self._problems.keys() - {upstream.name for upstream in self._upstreams}:
            del self._problems[name]

    async def _check(self, upstream: Upstream) -> None:
        problem = await self._ask(upstream)
        if self._problems.get(upstream.name, "") != problem:
            log.info("upstream changed", upstream=upstream.name, up=problem is None, reason=problem)
        self._problems[upstream.name] = problem
        if problem is None and self._on_up is not None:
            self._on_up(upstream.name)
        if problem is None and upstream.name not in self._dialects:
            dialect = await detect_dialect(self._session, upstream.base_url, api_key=upstream.api_key)
            if dialect is not Dialect.AUTO:
                self._dialects[upstream.name] = dialect
                log.info("dialect found", upstream=upstream.name, dialect=dialect.value)

    async def _ask(self, upstream: Upstream) -> str | None:
        if upstream.dialect is Dialect.LITELLM:
            return find_problem()  # a provider is not asked: there is no question that all of them answer for nothing
        headers = {"authorization": f"Bearer {upstream.api_key}"} if upstream.api_key is not None else {}
        try:
            async with self._session.get(upstream.base_url + "/models", headers=headers, allow_redirects=False, timeout=_TIMEOUT):
                return None
        except TimeoutError:
            return "no answer in time"
        except (aiohttp.ClientError, OSError, UnicodeError) as error:
            return describe(error)
