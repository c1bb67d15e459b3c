"""What the checks run on: a model server, simulated or already there, and the proxy in front of it, each a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, fields
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, Final, Self

import aiohttp

from ...errors import JevonsError
from ...exchange import Dialect, Upstream
from ...simulation.children import CHILD, addresses_in, first_line, stop
from ...simulation.gpu import SimulatedGpu
from ...units import Seconds
from ..visits import free_ports

START_SECONDS: Final[Seconds] = 300.0
"""A model of some billion parameters takes its time."""
STOP_SECONDS: Final[Seconds] = 15.0
TAIL_BYTES: Final = 2000
SIMULATED_BATCH: Final = 128
SIMULATED_MODEL: Final = "meta-llama/Llama-3.1-8B-Instruct"

_LIMITS: Final = ("--continuous-batching", "--cb-max-batch-tokens", "512")
"""What it would take by itself for its attention mask is most of the memory."""
_MEMORY: Final = MappingProxyType({"cuda": ("--cb-max-memory-percent", "0.5"), "cpu": ("--cb-max-memory-percent", "0.02")})


class Stack:
    """Our own verbs as processes, from `async with` to its end."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="jevons-bench-")
        self._processes: list[Process] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop everything, the latest first."""
        for process in reversed(self._processes):
            await stop(process, STOP_SECONDS)
        self._folder.cleanup()

    async def start(self, *command: str) -> str:
        """Start a program that says in one line that it is up; gives the line. Raises JevonsError where it does not say so."""
        process = await self._spawn(*command)
        line = await first_line(process, START_SECONDS)
        if not line:
            raise JevonsError(f"`{' '.join(command[-6:])}` did not start; what it says stands above")
        return line

    async def _spawn(self, *command: str, log: IO[bytes] | None = None, environment: Mapping[str, str] | None = None) -> Process:
        """In our folder; what it says goes to `log`, or else its output comes here and its errors go where ours do."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=PIPE,
            stdout=log or PIPE,
            stderr=log,
            env=environment,
            cwd=self._folder.name,
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    async def simulated(self, *, max_batch: int = SIMULATED_BATCH) -> Upstream:
        """A simulated server on a simulated board, that decodes so many sequences in one step at most."""
        gpu = Path(self._folder.name) / "gpu"
        SimulatedGpu.create(gpu).close()
        options = ("--gpu", str(gpu), "--model", SIMULATED_MODEL, "--max-batch", str(max_batch))
        url = await self.start(sys.executable, "-c", CHILD, "simulate", *options)
        return Upstream("bench", f"{url}/v1", SIMULATED_MODEL, devices=(f"simulated:{gpu}",))

    async def torch(self, shape: str) -> Upstream:
        """A model of random weights, computed by plain torch on this host's first NVIDIA board."""
        child = CHILD.replace("jevons.proxy.cli", "jevons.proxy.bench.gpu.torch_server")
        url = await self.start(sys.executable, "-c", child, "--shape", shape)
        return Upstream("bench", f"{url}/v1", shape)

    async def transformers(self, shape: str, *, device: str = "cuda") -> Upstream:
        """`transformers serve` with continuous batching on a model of random weights that is made here; nothing is fetched."""
        folder = Path(self._folder.name)
        offline = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(folder), "TOKENIZERS_PARALLELISM": "false"}
        with (folder / "transformers.log").open("w+b") as log:
            maker = CHILD.replace("jevons.proxy.cli", "jevons.proxy.bench.gpu.random_model")
            options = ("--shape", shape, "--folder", str(folder / shape), "--device", device)
            making = await self._spawn(sys.executable, "-c", maker, *options, log=log, environment=offline)
            if await making.wait():
                raise JevonsError(f"{shape} could not be made: {_tail(log)}")
            port, _ = free_ports()
            program = CHILD.replace("jevons.proxy.cli", "transformers.cli.transformers")
            where = ("--device", device, "--host", "127.0.0.1", "--port", str(port))
            words = (sys.executable, "-c", program, "serve", shape, *_LIMITS, *_MEMORY[device], *where)
            server = await self._spawn(*words, log=log, environment=offline)
            await _wait_until_it_answers(server, f"http://127.0.0.1:{port}/health", log)
        return Upstream("bench", f"http://127.0.0.1:{port}/v1", shape, dialect=Dialect.TRANSFORMERS)

    async def proxy(self, upstream: Upstream) -> tuple[str, str]:
        """The proxy in front of an upstream, with its energy model; gives its two addresses."""
        path = Path(self._folder.name) / "config.yaml"
        path.write_text(write_config(upstream))
        path.chmod(0o600)
        line = await self.start(sys.executable, "-c", CHILD, "serve", "--config", str(path), "--log-level", "error")
        main, admin = addresses_in(line)
        return main, admin


async def _wait_until_it_answers(server: Process, url: str, log: IO[bytes]) -> None:
    """Raises JevonsError with what it has said where it ends, or does not answer in time."""
    deadline = time.monotonic() + START_SECONDS
    async with aiohttp.ClientSession() as session:
        while server.returncode is None and time.monotonic() < deadline:
            with suppress(aiohttp.ClientError):
                async with session.get(url) as reply:
                    if reply.status == HTTPStatus.OK:
                        return
            await asyncio.sleep(0.2)
    raise JevonsError(f"`transformers serve` did not start: {_tail(log)}")


def _tail(log: IO[bytes]) -> str:
    """The end of what a program has said."""
    log.seek(0)
    return log.read()[-TAIL_BYTES:].decode(errors="replace").strip()


def write_config(upstream: Upstream) -> str:
    """A configuration with this upstream alone. JSON is YAML."""
    section: dict[str, object] = {
        "name": upstream.name,
        "url": upstream.base_url,
        "model": upstream.model,
        "dialect": upstream.dialect.value,
        "devices": list(upstream.devices),
    }
    if upstream.coefficients is not None:
        names = [each.name for each in fields(upstream.coefficients)]
        errors = {} if upstream.doubts is None else {"relative_errors": dict(zip(names, upstream.doubts, strict=True))}
        section["energy"] = {**asdict(upstream.coefficients), **errors}
    if upstream.api_key is not None:
        section["api_key"] = upstream.api_key
    config = {"listen": "127.0.0.1:0", "admin": "127.0.0.1:0", "drain_seconds": 1, "upstreams": [section]}
    return json.dumps(config, indent=1) + "\n"
