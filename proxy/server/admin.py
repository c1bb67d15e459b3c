"""The admin listener: metrics, health, readiness, the live page. Loopback unless the operator says otherwise."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from ..errors import Unauthorized
from .edge import Handler, answer, bearer_of, new_request_id
from .live import LivePage


class Metrics(Protocol):
    """Whoever renders the metrics."""

    def take(self) -> Callable[[str], tuple[bytes, str]]:
        """One snapshot. What comes back renders it for an Accept header, as the page and its content type, in any thread."""
        ...


class Admin:
    """The handlers of the admin listener."""

    def __init__(
        self,
        *,
        metrics: Metrics,
        health: Callable[[], dict[str, object]],
        is_ready: Callable[[], bool],
        token: str | None,
        before_shown: Callable[[], Awaitable[None]] | None = None,
        page: LivePage | None = None,
    ) -> None:
        self._metrics = metrics
        self._health = health
        self._is_ready = is_ready
        self._token = token
        self._before_shown = before_shown
        self._page = page

    def app(self) -> web.Application:
        """The aiohttp application. Probes and the page's files need no token; figures do where one is set."""
        app = web.Application()
        app.router.add_get("/metrics", self._guarded(self._render))
        app.router.add_get("/healthz", self._report_health)
        app.router.add_get("/readyz", self._report_readiness)
        if self._page is not None:
            self._page.add_to(app, self._guarded)
        return app

    def _guarded(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def guarded(request: web.Request) -> web.StreamResponse:
            given = bearer_of(request.headers).encode("utf-8", "surrogateescape")
            if self._token is not None and not hmac.compare_digest(given, self._token.encode()):
                headers = {"www-authenticate": "Bearer"}
                return answer(Unauthorized("The admin token is missing or wrong.", headers=headers), new_request_id())
            return await handler(request)

        return guarded

    async def _render(self, request: web.Request) -> web.StreamResponse:
        """Taken in one turn of the loop, and rendered off it: a page of many series would hold up every stream."""
        render = self._metrics.take()
        if self._before_shown is not None:
            await self._before_shown()
        body, content_type = await asyncio.to_thread(render, request.headers.get("accept", ""))
        return web.Response(body=body, headers={"content-type": content_type})

    async def _report_health(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(self._health())

    async def _report_readiness(self, _: web.Request) -> web.StreamResponse:
        is_ready = self._is_ready()
        return web.json_response({"ready": is_ready}, status=200 if is_ready else 503)
