"""The examples of docs/examples, each as its reader would run it, against the real proxy; where its package is installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

import pytest
from jevons_process import PATIENCE_SECONDS
from source_tree import ROOT

EXAMPLES = ROOT / "docs" / "examples"
INSTALL_SECONDS = 100.0
FRAMEWORKS = ROOT / ".venv-examples" / "bin" / "python"


def run(proxy, *command, cwd=None):
    """What the example prints; it must end well."""
    environment = {**os.environ, "JEVONS_URL": f"{proxy.main}/v1", "NO_COLOR": "1"}
    done = subprocess.run(
        list(map(str, command)), env=environment, cwd=cwd, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_openai_python(proxy):
    """A reply's energy, a stream's, and the final total of both by model."""
    lines = run(proxy, sys.executable, EXAMPLES / "openai_python.py").splitlines()
    assert [line.split(":")[0] for line in lines] == ["one reply", "a stream", "both, final", "by model"]
    assert "requests=2, unknown=0" in lines[2]
    assert "is_final=True" in lines[2]
    assert "'simulated'" in lines[2]
    assert lines[3].count("Consumption(requests=1") == 2


@pytest.mark.skipif(not FRAMEWORKS.exists(), reason="their packages are not installed: `make test-examples`")
@pytest.mark.parametrize("example", ["langchain_chat.py", "llama_index_chat.py"])
def test_frameworks(proxy, example):
    """They keep the energy that came with the usage."""
    said = run(proxy, FRAMEWORKS, EXAMPLES / example)
    assert "'joules'" in said
    assert "'simulated'" in said


@pytest.mark.skipif(shutil.which("curl") is None, reason="no `curl` on this machine")
def test_curl(proxy):
    """The headers, and the record by its id."""
    said = run(proxy, "sh", EXAMPLES / "curl.sh")
    assert "x-jevons-energy-joules: " in said.lower()
    assert json.loads(said[said.index("{") :])["energy"]["status"] == "final"


@pytest.mark.timeout(INSTALL_SECONDS + PATIENCE_SECONDS)
@pytest.mark.skipif(shutil.which("npm") is None, reason="no `npm` on this machine")
def test_openai_node(proxy, tmp_path):
    """A reply's energy and a stream's, by the package from its registry."""
    try:
        command = ["npm", "install", "--no-audit", "--no-fund", "openai@6"]
        installed = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip("the package did not install in time")
    if installed.returncode != 0:
        pytest.skip("the package cannot be installed here")
    shutil.copy(EXAMPLES / "openai_node.mjs", tmp_path)
    replies = [json.loads(line) for line in run(proxy, "node", "openai_node.mjs", cwd=tmp_path).splitlines()]
    assert len(replies) == 2
    assert all(energy["method"] in {"simulated", None} for energy in replies)
    assert {"joules", "low", "high", "status"} <= replies[0].keys()
