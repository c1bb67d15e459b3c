"""A simulated server as a process of its own: what the demo and the end-to-end tests start."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from ..exchange import Reasoning
from .engine import Engine
from .gpu import SimulatedGpu
from .physics import LLAMA_3_1_8B, Physics
from .quirks import Quirks
from .server import SimulatedServer


@dataclass(frozen=True, slots=True)
class ServingConfig:
    """One simulated server: which GPU file it draws from, which model it plays, and where it listens."""

    gpu: Path
    model: str
    thinks: Reasoning = Reasoning.NEVER
    physics: Physics = LLAMA_3_1_8B
    host: str = "127.0.0.1"
    port: int = 0
    """0: any that is free."""
    max_batch: int = 64
    owned_by: str = "vllm"
    api_key: str | None = None
    quirks: Quirks = field(default_factory=Quirks)


def write_line(line: str) -> None:
    """To standard output, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def serve(config: ServingConfig, *, announce: Callable[[str], None] = write_line) -> None:
    """Serve until SIGTERM or SIGINT; `announce` gets the root of the address as soon as it answers.

    Raises MeterError where the GPU's file cannot be used, OSError where the port cannot.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        with SimulatedGpu(config.gpu) as gpu:
            engine = Engine(config.physics, gpu, max_batch=config.max_batch)
            server = SimulatedServer(
                engine,
                model=config.model,
                thinks=config.thinks,
                quirks=config.quirks,
                owned_by=config.owned_by,
                api_key=config.api_key,
            )
            async with server.running(host=config.host, port=config.port) as url:
                announce(url)
                await stop.wait()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
