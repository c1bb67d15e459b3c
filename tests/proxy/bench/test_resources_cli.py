"""`jevons bench memory` and `jevons bench blocking` from the command line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from jevons.proxy.bench.cli import bench
from jevons.proxy.bench.processes import tree

pytestmark = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="the bench refuses to run on one core")


def test_memory_as_json(tmp_path, monkeypatch):
    """For programs, with progress beside it, and as files."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = CliRunner().invoke(bench, ["memory", "--requests", "1", "--streams", "5", "--json", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["streams"] == 5
    assert json.loads((tmp_path / "out" / "memory.json").read_text()) == json.loads(done.stdout)
    assert "`jevons bench memory --requests 1 --streams 5`" in (tmp_path / "out" / "memory.md").read_text()
    assert "requests:" in done.stderr


def test_blocking_as_a_table(tmp_path, monkeypatch):
    """One row for each kind."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = CliRunner().invoke(bench, ["blocking", "--rounds", "1", "--seconds", "0.3"])
    assert done.exit_code == 0, done.output
    assert "a line of 10 MB" in done.stdout


def test_terminated_it_leaves_nothing_running(tmp_path):
    """A supervisor's SIGTERM stops the proxy, the model server and the load that a bench has started."""
    command = [sys.executable, "-c", "from jevons.proxy.cli import main; main()", "bench", "memory", "--requests", "9000000"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert any("requests" in line for line in process.stderr)
        started = [Path(f"/proc/{pid}/exe") for pid in tree(process.pid)]
        assert len(started) >= 3
        process.terminate()
        process.communicate()
    assert process.returncode == 128 + signal.SIGTERM
    assert not [program for program in started if program.exists()]
