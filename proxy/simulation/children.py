"""Our own verbs as processes of ours: how one is started, says where it listens, becomes ready, and is stopped."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import Process
from contextlib import suppress
from typing import Final

import aiohttp

from ..units import Seconds

CHILD: Final = """\
import os, signal, threading

def follow():
    os.read(0, 1)
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=follow, daemon=True).start()

from jevons.proxy.cli import main

main()
"""
"""One of our own verbs in a process that ends when its standard input does, that is when we do, however that comes about."""


async def first_line(process: Process, within_seconds: Seconds) -> str:
    """The line with which it says that it is up; empty where it says none in time."""
    if process.stdout is None:
        return ""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_seconds):
            return (await process.stdout.readline()).decode().strip()
    return ""


def addresses_in(line: str) -> list[str]:
    """The addresses in such a line, without `/v1`: of a proxy, the main and the admin listener."""
    return [word.removesuffix("/v1") for word in line.replace(",", " ").split() if word.startswith("http")]


async def poll_until_ready(session: aiohttp.ClientSession, admin: str) -> None:
    """Until a proxy says that an upstream of its can be used; whoever asks knows how long to wait."""
    while True:
        async with session.get(f"{admin}/readyz") as reply:
            if reply.ok:
                return
        await asyncio.sleep(0.05)


async def stop(process: Process, within_seconds: Seconds) -> None:
    """Ask it to end, and make it where it does not in time; one that has ended is left alone."""
    if process.returncode is None:
        process.terminate()
        try:
            async with asyncio.timeout(within_seconds):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
