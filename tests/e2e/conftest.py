"""The stack of the end-to-end tests: two simulated model servers on one simulated GPU, and the proxy in front of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from jevons_process import CHAT_MODEL, THINKER_MODEL, Process, Processes, shipped_config

from jevons.proxy.simulation.gpu import SimulatedGpu


@dataclass
class Models:
    """The two model servers and their GPU."""

    chat: Process
    thinker: Process
    gpu: Path

    def config(self, **changes: float) -> str:
        """The shipped configuration, in front of these."""
        return shipped_config(chat=self.chat.main, thinker=self.thinker.main, devices=f"simulated:{self.gpu}", **changes)


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Models]:
    """Both servers, for the whole session."""
    folder = tmp_path_factory.mktemp("models")
    gpu = folder / "gpu"
    SimulatedGpu.create(gpu).close()
    processes = Processes(folder)
    try:
        chat = processes.start("simulate", "--gpu", gpu, "--model", CHAT_MODEL)
        thinker = processes.start("simulate", "--gpu", gpu, "--model", THINKER_MODEL, "--thinks", "always")
        yield Models(chat, thinker, gpu)
    finally:
        processes.close()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    """Starts what a test needs; it ends with the test."""
    started = Processes(tmp_path)
    yield started
    started.close()


Serve = Callable[..., Process]


@pytest.fixture
def serve(models: Models, processes: Processes, tmp_path: Path) -> Serve:
    """Start a proxy for one test: `serve(drain_seconds=1)`, or `serve(text)` with a configuration of its own."""

    def start(text: str | None = None, env: dict[str, str] | None = None, **changes: float) -> Process:
        config = tmp_path / "config.yaml"
        config.write_text(models.config(**changes) if text is None else text)
        return processes.start("serve", "--config", config, env=env)

    return start


@pytest.fixture(scope="session")
def proxy(models: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A proxy for the whole session, for tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("proxy")
    config = folder / "config.yaml"
    config.write_text(models.config())
    processes = Processes(folder)
    try:
        yield processes.start("serve", "--config", config)
    finally:
        processes.close()
