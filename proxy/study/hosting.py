"""The proxy that a study measures through: one that runs already, one of the study's own, or the demo's simulated stack."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from ..errors import JevonsError
from ..simulation.children import CHILD, addresses_in, first_line, poll_until_ready, stop
from ..simulation.demo_stack import START_SECONDS, STOP_SECONDS, DemoStack
from .proxy_link import ProxyLink
from .study_file import Study


@asynccontextmanager
async def linked(study: Study) -> AsyncIterator[ProxyLink]:
    """A link to the study's proxy, which ends with the block where the study had started it. Raises JevonsError."""
    section = study.section
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        if section.proxy is not None:
            key, token = section.proxy.api_key, section.proxy.admin_token
            yield ProxyLink(
                session,
                section.proxy.base_url,
                section.proxy.admin,
                api_key=key.get_secret_value() if key else None,
                admin_token=token.get_secret_value() if token else None,
            )
        elif section.simulated:
            async with DemoStack() as stack:
                yield ProxyLink(session, stack.main, stack.admin)
        else:
            async with hosted(study.upstreams or [], study.folder) as (main, admin):
                link = ProxyLink(session, main, admin)
                await _wait_until_ready(session, admin)
                yield link


@asynccontextmanager
async def hosted(upstreams: list[dict[str, Any]], folder: Path) -> AsyncIterator[tuple[str, str]]:
    """A proxy of one's own in front of these upstreams, as its two addresses; `${NAME}` in them is for the proxy to fill in."""
    config = proxy_config(upstreams)
    with tempfile.TemporaryDirectory(prefix="jevons-study-") as temporary:
        path = Path(temporary) / "config.yaml"
        path.write_text(yaml.safe_dump(_with_absolute_files(config, folder)))
        process = await _spawn("serve", "--config", str(path), "--log-level", "warning")
        try:
            addresses = addresses_in(await first_line(process, START_SECONDS))
            if len(addresses) != 2:  # noqa: PLR2004 - the main and the admin listener
                raise JevonsError("the study's proxy did not start: its own message stands above")
            yield addresses[0], addresses[1]
        finally:
            await stop(process, STOP_SECONDS)


def proxy_config(upstreams: list[dict[str, Any]]) -> dict[str, Any]:
    """The configuration of a study's own proxy. Every arm pins its model, so that it matters little what `auto` means."""
    config: dict[str, Any] = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "drain_seconds": 2, "upstreams": upstreams}
    return {**config, "default": upstreams[0]["name"]} if upstreams and "name" in upstreams[0] else config


def _with_absolute_files(config: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same, with key files sought beside the study and not beside a configuration that is elsewhere."""
    upstreams = [
        {**one, "api_key_file": str((folder / one["api_key_file"]).resolve())}
        if isinstance(one.get("api_key_file"), str)
        else one
        for one in config["upstreams"]
    ]
    return {**config, "upstreams": upstreams}


async def _spawn(*arguments: str) -> Process:
    # In a session of its own: a Ctrl-C at the terminal is for the study, which then stops the proxy.
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, *arguments, stdin=PIPE, stdout=PIPE, start_new_session=True
    )


async def _wait_until_ready(session: aiohttp.ClientSession, admin: str) -> None:
    """Raises JevonsError where no upstream answers in time."""
    try:
        async with asyncio.timeout(START_SECONDS):
            await poll_until_ready(session, admin)
    except (TimeoutError, aiohttp.ClientError) as error:
        raise JevonsError("none of the study's upstreams answers") from error
