"""The `jevons` command as real processes, for the end-to-end tests; the fixtures that start them are in `e2e/conftest.py`."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from source_tree import ROOT

from jevons.proxy.scraping import FRESH

COMMAND = (str(Path(sys.executable).with_name("jevons")),)
"""As the installation made it."""
T = TypeVar("T")

PATIENCE_SECONDS = 30.0
"""How long anything may take that must happen at all: nothing is expected to be that slow."""
CHAT_MODEL = "meta-llama/Llama-3.1-8B-Instruct"
THINKER_MODEL = "Qwen/QwQ-32B"


@dataclass
class Process:
    """One that runs, or has run."""

    popen: subprocess.Popen[str]
    errors_path: Path
    line: str
    """The first that it said."""
    started_seconds: float
    """How long that took."""

    @property
    def urls(self) -> list[str]:
        """The addresses in that line, without `/v1`."""
        return [url.removesuffix("/v1") for url in re.findall(r"https?://[^\s,]+", self.line)]

    @property
    def main(self) -> str:
        """Where it listens first."""
        return self.urls[0]

    @property
    def admin(self) -> str:
        """Where it listens second."""
        return self.urls[1]

    @property
    def errors(self) -> str:
        """What it has written to standard error."""
        return self.errors_path.read_text()

    @property
    def logs(self) -> list[dict[str, Any]]:
        """The same, where every line is JSON."""
        return [json.loads(line) for line in self.errors.splitlines()]

    def wait(self) -> int:
        """Its exit code, once it has one."""
        return self.popen.wait(PATIENCE_SECONDS)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        self.popen.send_signal(number)
        return self.wait()


class Processes:
    """Starts processes, and ends those that are left over."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Process] = []

    def start(
        self,
        *arguments: str | Path,
        command: tuple[str, ...] = COMMAND,
        env: dict[str, str] | None = None,
        says: bool = True,
        output: int | None = None,
    ) -> Process:
        """Start one and wait for its first line; `says=False` does not wait, nor does it with an `output` for both streams."""
        errors_path = self._folder / f"errors-{len(self._started)}"
        began = time.monotonic()
        with errors_path.open("w") as errors:
            popen = subprocess.Popen(
                [*command, *map(str, arguments)],
                env={**os.environ, **(env or {})},
                stdout=subprocess.PIPE if output is None else output,
                stderr=errors if output is None else output,
                text=True,
            )
        process = Process(popen, errors_path, "", 0.0)
        self._started.append(process)
        if says and output is None:
            process.line = self._read_line(process)
            process.started_seconds = time.monotonic() - began
        return process

    @staticmethod
    def _read_line(process: Process) -> str:
        stdout = process.popen.stdout
        assert stdout is not None
        readable, _, _ = select.select([stdout], [], [], PATIENCE_SECONDS)
        line = stdout.readline() if readable else ""
        assert line, f"it did not start: {process.errors}"
        return line

    def close(self) -> None:
        """Kill what still runs."""
        for process in reversed(self._started):
            process.popen.kill()
            process.popen.wait()
            if process.popen.stdout is not None:
                process.popen.stdout.close()


def run_jevons(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run one verb to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def shipped_config(*, chat: str, thinker: str, devices: str = "all", drain_seconds: float = 30.0) -> str:
    """The shipped config.yaml with its addresses, its devices and its deadline replaced, and nothing else."""
    text = (ROOT / "config.yaml").read_text()
    changes = {
        "listen: 127.0.0.1:8800 ": "listen: 127.0.0.1:0 ",
        "admin: 127.0.0.1:9464 ": "admin: 127.0.0.1:0 ",
        "url: http://127.0.0.1:8000/v1\n": f"url: {chat}/v1\n    devices: [{devices!r}]\n",
        "url: http://127.0.0.1:8001/v1\n": f"url: {thinker}/v1\n    devices: [{devices!r}]\n",
        "drain_seconds: 30 ": f"drain_seconds: {drain_seconds} ",
    }
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def get(url: str, *, key: str | None = None) -> tuple[int, Any]:
    """Status and JSON (or text) of a GET."""
    return _ask("GET", url, None, key)


def post(url: str, body: Any, *, key: str | None = None) -> tuple[int, Any]:
    """Status and JSON (or text) of a POST of JSON."""
    return _ask("POST", url, body, key)


def _ask(method: str, url: str, body: Any, key: str | None) -> tuple[int, Any]:
    address, _, path = url.removeprefix("http://").partition("/")
    headers = {**FRESH, **({"authorization": f"Bearer {key}"} if key else {})}
    sent = None if body is None else json.dumps(body).encode()
    with closing(http.client.HTTPConnection(address, timeout=PATIENCE_SECONDS)) as connection:
        connection.request(method, f"/{path}", sent, headers if sent is None else {**headers, "content-type": "application/json"})
        reply = connection.getresponse()
        answer = reply.read()
        is_json = reply.headers["content-type"].startswith("application/json")
        return reply.status, json.loads(answer) if is_json else answer.decode()


def until(ask: Callable[[], T | None]) -> T:
    """Ask again and again until the answer is true; fails where none comes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        answer = ask()
        if answer:
            return answer
        time.sleep(0.02)
    raise AssertionError(f"it did not come about: {ask}")


def final_record(main: str, request_id: str, *, key: str | None = None) -> dict[str, Any]:
    """The record of a request, once its energy is final."""

    def ask() -> dict[str, Any] | None:
        status, record = get(f"{main}/v1/energy/{request_id}", key=key)
        assert status == 200, record
        return record if record["energy"]["status"] == "final" else None

    return until(ask)
