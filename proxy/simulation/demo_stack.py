"""What the demo runs on: a simulated GPU, two model servers that share it, and the proxy in front, each a process of its own."""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aiohttp

from ..errors import JevonsError
from ..units import Seconds
from .children import CHILD, addresses_in, first_line, poll_until_ready, stop
from .gpu import SimulatedGpu

START_SECONDS: Final[Seconds] = 30.0
STOP_SECONDS: Final[Seconds] = 10.0
PORTS: Final = (8800, 9464)
"""Those of a real installation, where they are free."""

CONFIG: Final = """\
listen: 127.0.0.1:{listen}
admin: 127.0.0.1:{admin}
drain_seconds: 2
upstreams:
  - {{name: direct-8b, url: "{direct}/v1", model: simulated-8b, devices: ["simulated:{gpu}"]}}
  - {{name: reasoner-8b, url: "{reasoner}/v1", model: simulated-8b-thinking, reasoning: always, devices: ["simulated:{gpu}"]}}
policies:
  - type: rules
    rules:
      - name: proofs
        when: {{keywords: [prove, proof, derive, solve, find all, show that, Induktion, démontre, beweise, demuestra]}}
        to: reasoning
      - name: puzzles
        when: {{keywords: [puzzle, riddle, constraints, schedule, exactly, how many, minimum, always tell, always lie]}}
        to: reasoning
      - name: debugging
        when: {{has: [code], keywords: [bug, debug, deadlock, why, wrong, fails]}}
        to: reasoning
"""
"""The whole configuration of the demo, which prints where it lies so that it can be looked at."""


class DemoStack:
    """The four of them, up within `async with`; `servers` and `main` and `admin` are their addresses."""

    def __init__(self) -> None:
        self.servers: dict[str, str] = {}
        self.main = ""
        self.admin = ""
        self._folder = tempfile.TemporaryDirectory(prefix="jevons-demo-")
        self._processes: list[Process] = []

    @property
    def proxy_pid(self) -> int:
        """The process of the proxy, the last that was started."""
        return self._processes[-1].pid

    @property
    def config_path(self) -> Path:
        """The configuration that the proxy runs with."""
        return Path(self._folder.name) / "config.yaml"

    async def __aenter__(self) -> Self:
        """Start everything and wait until it answers; raises JevonsError where something does not start."""
        try:
            await self._start()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop everything, the proxy first."""
        await self._stop()

    async def _start(self) -> None:
        gpu = Path(self._folder.name) / "gpu0"
        SimulatedGpu.create(gpu).close()
        direct = await self._spawn("simulate", "--gpu", str(gpu), "--model", "simulated-8b")
        reasoner = await self._spawn("simulate", "--gpu", str(gpu), "--model", "simulated-8b-thinking", "--thinks", "always")
        self.servers = {"direct-8b": direct, "reasoner-8b": reasoner}
        listen, admin = (_free(port) for port in PORTS)
        config = CONFIG.format(listen=listen, admin=admin, direct=direct, reasoner=reasoner, gpu=gpu)
        self.config_path.write_text(config)
        line = await self._spawn("serve", "--config", str(self.config_path), "--log-level", "warning")
        self.main, self.admin = addresses_in(line)
        await self._wait_until_ready()

    async def _spawn(self, *arguments: str) -> str:
        """Start one of our own verbs and return the line with which it says that it is up."""
        command = (sys.executable, "-c", CHILD, *arguments)
        # In a session of its own: a Ctrl-C at the terminal is for us, and we stop the three in their order.
        process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, start_new_session=True)
        self._processes.append(process)
        line = await first_line(process, START_SECONDS)
        if not line:
            raise JevonsError(f"`jevons {' '.join(arguments)}` did not start")
        return line

    async def _wait_until_ready(self) -> None:
        try:
            async with asyncio.timeout(START_SECONDS), aiohttp.ClientSession() as session:
                await poll_until_ready(session, self.admin)
        except (TimeoutError, aiohttp.ClientError) as error:
            raise JevonsError(f"the proxy did not become ready: {str(error) or 'no answer in time'}") from error

    async def _stop(self) -> None:
        for process in reversed(self._processes):
            await stop(process, STOP_SECONDS)
        self._folder.cleanup()


def _free(port: int) -> int:
    """The port where nobody listens on it, else 0: the system's choice."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port
