"""The live page on the admin listener: its files, which hold no figure, and its events, which do."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from importlib import resources
from typing import Final

from aiohttp import web

from jevons.exporters.live.feed import LiveFeed

from .edge import Handler

MOST_WATCHERS: Final = 32
_ASSETS: Final = {
    "page.js": "text/javascript",
    "page.css": "text/css",
    "chart.js": "text/javascript",
    "uplot.min.js": "text/javascript",
    "uplot.min.css": "text/css",
    "icon.svg": "image/svg+xml",
}
_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}
"""Styles may be inline since the chart library sizes its canvas that way; scripts may not."""

Guard = Callable[[Handler], Callable[[web.Request], Awaitable[web.StreamResponse]]]


class LivePage:
    """`/`, its files under `/live/`, and `/live/events` for whoever may see the metrics."""

    def __init__(self, feed: LiveFeed) -> None:
        self._feed = feed
        self._watchers = 0

    def add_to(self, app: web.Application, guarded: Guard) -> None:
        """Its routes."""
        app.router.add_get("/", self._show)
        app.router.add_get("/live/events", guarded(self._stream))
        app.router.add_get("/live/{name}", self._file)

    async def _show(self, _: web.Request) -> web.StreamResponse:
        return _asset("index.html", "text/html")

    async def _file(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in _ASSETS:
            raise web.HTTPNotFound
        return _asset(name, _ASSETS[name])

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events until the watcher leaves; one too many is told to come back."""
        if self._watchers >= MOST_WATCHERS:
            return web.Response(status=503, headers={"retry-after": "10"}, text="Too many pages are open.")
        reply = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-store"})
        await reply.prepare(request)
        self._watchers += 1
        try:
            async for event in self._feed.events():
                await reply.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        finally:
            self._watchers -= 1
        return reply


def _asset(name: str, content_type: str) -> web.Response:
    body = resources.files("jevons.exporters.live").joinpath("assets", name).read_bytes()
    return web.Response(body=body, headers={**_HEADERS, "content-type": f"{content_type}; charset=utf-8"})
