"""A real `transformers serve` on random weights, and the real jevons in front of it, once for all tests of this folder."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from jevons.proxy.simulation.gpu import SimulatedGpu

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping

SCRIPTS = Path(sys.executable).parent
MODEL_SCRIPT = Path(__file__).with_name("tiny_model.py")
START_SECONDS = 90.0
STOP_SECONDS = 20.0
LOG_TAIL_CHARACTERS = 6000
LOGS = pytest.StashKey[dict[str, Path]]()


@dataclass(frozen=True)
class Server:
    """A process that answers HTTP on loopback."""

    port: int
    model: str
    admin_port: int = 0

    @property
    def base_url(self) -> str:
        """What an OpenAI client is given."""
        return f"http://127.0.0.1:{self.port}/v1"


def free_port() -> int:
    """A port nobody listens on at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def answers(port: int, path: str) -> bool:
    """Whether GET `path` gives 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@contextlib.contextmanager
def running(
    command: list[str], log: Path, health: tuple[int, str], environment: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Runs a server from when `health` (port, path) answers until the block ends; its output goes to `log`."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env={**os.environ, **(environment or {})})
    try:
        deadline = time.monotonic() + START_SECONDS
        while not answers(*health):
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"{command[0]} did not start:\n{tail(log)}")
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def tail(log: Path) -> str:
    """The end of a log."""
    return log.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:]


@pytest.fixture(scope="session")
def transformers_program(request: pytest.FixtureRequest) -> str:
    """The `transformers` command of this environment."""
    program = shutil.which("transformers", path=str(SCRIPTS))
    if program is None:
        reason = "needs the extra [realserver]: `make test-real` installs it"
        if request.config.getoption("markexpr") == "realserver":
            pytest.fail(reason)
        pytest.skip(reason)
    return program


@pytest.fixture(scope="session")
def model_server(
    transformers_program: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Server]:
    """`transformers serve` with continuous batching on a model made here."""
    folder = tmp_path_factory.mktemp("transformers")
    model, cache, log = folder / "tiny-model", folder / "cache", folder / "server.log"
    cache.mkdir()
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache), "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    made = subprocess.run(
        [sys.executable, str(MODEL_SCRIPT), str(model)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **offline},
    )
    assert made.returncode == 0, made.stderr
    port = free_port()
    # Without the two limits it takes its key-value cache and attention mask from most of the machine's memory.
    limits = ["--continuous-batching", "--cb-max-memory-percent", "0.02", "--cb-max-batch-tokens", "512"]
    command = [transformers_program, "serve", str(model), *limits, "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    logs(request.config)["transformers serve"] = log
    with running(command, log, (port, "/health"), offline):
        server = Server(port, str(model))
        make_greedy(server)
        yield server


def make_greedy(server: Server) -> None:
    """With continuous batching the first request's sampling holds for all: after a greedy one, every answer can be repeated."""
    body = {"model": server.model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "temperature": 0}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=START_SECONDS)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
        assert connection.getresponse().status == http.client.OK


def serve(name: str, model_server: Server, folder: Path, request: pytest.FixtureRequest, **upstream: object) -> Iterator[Server]:
    """The real `jevons serve` in front of the model server; `upstream` is laid over its entry in the configuration."""
    port, admin_port = free_port(), free_port()
    entry = {"name": "tiny", "url": model_server.base_url, "model": model_server.model, "reasoning": "switchable", **upstream}
    config = {"listen": f"127.0.0.1:{port}", "admin": f"127.0.0.1:{admin_port}", "upstreams": [entry], "drain_seconds": 2}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    log = folder / "jevons.log"
    logs(request.config)[name] = log
    command = [str(SCRIPTS / "jevons"), "serve", "--config", str(folder / "config.yaml")]
    with running(command, log, (admin_port, "/readyz")):
        yield Server(port, model_server.model, admin_port)


@pytest.fixture(scope="session")
def jevons(model_server: Server, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Server]:
    """The proxy with a simulated GPU, which draws its idle power whatever the model server does on the CPU."""
    folder = tmp_path_factory.mktemp("jevons")
    with SimulatedGpu.create(folder / "gpu") as gpu:
        yield from serve("jevons", model_server, folder, request, devices=[f"simulated:{gpu.path}"])


@pytest.fixture(scope="session")
def unmetered_jevons(
    model_server: Server, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Server]:
    """The proxy whose upstream names a device that this machine does not have: nothing can be measured."""
    absent = "GPU-00000000-0000-0000-0000-000000000000"
    folder = tmp_path_factory.mktemp("unmetered")
    yield from serve("jevons without a device", model_server, folder, request, devices=[absent])


def logs(config: pytest.Config) -> dict[str, Path]:
    """Where each server of this run writes."""
    return config.stash.setdefault(LOGS, {})


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what the servers said."""
    report = yield
    if report.failed:
        report.sections += [(f"log of {name}", tail(path)) for name, path in logs(item.config).items() if path.exists()]
    return report
