"""The admin listener: metrics, health, readiness, the live page. Loopback unless the operator says otherwise."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable

import structlog
from aiohttp import web

from ..errors import Unauthorized
from .edge import Handler, answer, bearer_of, new_request_id
from .live import LivePage
from .scrapes import Metrics, Scrapes, wants_fresh

log = structlog.get_logger("jevons.admin")


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
        self._scrapes = Scrapes(metrics, before_shown=before_shown)
        self._health = health
        self._is_ready = is_ready
        self._token = token
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
        is_fresh = wants_fresh(request.headers.get("cache-control", ""))
        try:
            body, content_type = await self._scrapes.page(request.headers.get("accept", ""), is_fresh=is_fresh)
        except Exception as error:  # the guard: whatever a metric's fault is, who scrapes is told of it
            log.exception("metrics cannot be rendered")
            return web.Response(status=500, text=f"The metrics cannot be rendered: {type(error).__name__}: {error}\n")
        return web.Response(body=body, headers={"content-type": content_type})

    async def _report_health(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(self._health())

    async def _report_readiness(self, _: web.Request) -> web.StreamResponse:
        is_ready = self._is_ready()
        return web.json_response({"ready": is_ready}, status=200 if is_ready else 503)
