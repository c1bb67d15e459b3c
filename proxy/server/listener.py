"""Bound sockets: how a listener opens, and how it drains."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from ..address import Address
from ..errors import JevonsError
from ..units import Seconds
from .connection import FastConnection, FastPath
from .head import HEAD_LIMIT_BYTES, HEADERS_LIMIT

BACKLOG: Final = 1024
DRAIN_POLL_SECONDS: Final[Seconds] = 0.02
CUT_OFF_SECONDS: Final[Seconds] = 0.05
"""How long what is in flight may go on when its time is up; aiohttp takes 0 for no limit."""


class Listener:
    """One bound socket with its application. Leaving it stops accepting and lets what is in flight finish until the deadline.

    The waiting is done here and not by aiohttp, which gives every connection its timeout twice. With `fast`, connections
    begin on the fast path, which hands those over to aiohttp that are not for it.
    """

    def __init__(
        self,
        app: web.Application,
        address: Address,
        *,
        drain_seconds: Seconds,
        fast: Callable[[Callable[[], asyncio.Protocol]], FastPath] | None = None,
        tls: ssl.SSLContext | None = None,
        is_shared: bool = False,
    ) -> None:
        """`is_shared`: other processes of ours accept on the same address (SO_REUSEPORT)."""
        self._runner = web.AppRunner(
            app,
            access_log=None,
            auto_decompress=False,  # a compressed body is refused, and not by aiohttp
            handler_cancellation=True,
            shutdown_timeout=CUT_OFF_SECONDS,
            max_line_size=HEAD_LIMIT_BYTES,
            max_field_size=HEAD_LIMIT_BYTES,
            max_headers=HEADERS_LIMIT,
            handle_signals=False,
        )
        self._address = address
        self._drain_seconds = drain_seconds
        self._make_fast = fast
        self._tls = tls
        self._is_shared = is_shared
        self._fast: set[FastConnection] = set()
        self._server: asyncio.Server | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        """Bind."""
        await self._runner.setup()
        try:
            self._server = await asyncio.get_running_loop().create_server(
                self._protocol_factory(),
                self._address.host,
                self._address.port,
                backlog=BACKLOG,
                ssl=self._tls,
                reuse_port=self._is_shared or None,
            )
        except OSError as error:
            await self._runner.cleanup()
            raise JevonsError(f"cannot listen on {self._address}: {_why(error)}") from error
        host, port = self._server.sockets[0].getsockname()[:2]
        scheme = "http" if self._tls is None else "https"
        self.url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
        return self

    def _protocol_factory(self) -> Callable[[], asyncio.Protocol]:
        slow = self._runner.server
        if slow is None:
            raise RuntimeError("the runner has not been set up")
        if self._make_fast is None:
            return slow
        path = self._make_fast(slow)
        self._fast = path.connections
        return lambda: FastConnection(path)

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop; without a deadline's wait where something has gone wrong."""
        if self._server is not None:
            self._server.close()
        try:
            if kind is None:
                await self._drain()
        finally:
            for connection in list(self._fast):
                connection.abort()
            await self._runner.cleanup()

    async def _drain(self) -> None:
        server = self._runner.server
        await asyncio.sleep(0)  # what was accepted just now gets to its handler, and is no idle connection
        for connection in list(self._fast):
            connection.drain_and_close()
        if server is not None:
            server.pre_shutdown()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._drain_seconds):
                while self._fast or (server is not None and server.connections):  # noqa: ASYNC110 - aiohttp does not say when
                    await asyncio.sleep(DRAIN_POLL_SECONDS)


def _why(error: OSError) -> str:
    """What the system says, without the address: uvloop and asyncio put one into the message."""
    if error.errno is None or error.errno <= 0:  # a host name that does not resolve has numbers of its own
        return (error.strerror or str(error)).lower()
    return os.strerror(error.errno).lower()
