"""Whether litellm may be used, and that it keeps quiet."""

import logging
import subprocess
import sys

import pytest
from litellm_provider import needs_litellm

from jevons.proxy.errors import JevonsError
from jevons.proxy.upstreams import litellm_library
from jevons.proxy.upstreams.litellm_library import Library, find_problem


@pytest.mark.parametrize(
    ("version", "word"),
    [("1.82.7", "too old"), ("1.82.8", "too old"), ("1.83.13", "too old"), ("1.83.14", None), ("2.0.0", None)],
)
def test_malicious_and_old_releases_are_never_imported(monkeypatch, version, word):
    """They are refused by what their metadata say."""
    monkeypatch.setattr(litellm_library, "version", lambda _: version)
    problem = find_problem()
    assert (problem is None) if word is None else (word in problem)


def test_an_absent_one_is_named_with_the_command(monkeypatch):
    """The reason tells what to install."""

    def absent(name):
        raise litellm_library.PackageNotFoundError(name)

    monkeypatch.setattr(litellm_library, "version", absent)
    assert find_problem() == "litellm is not installed: pip install 'jevons[litellm]'"
    with pytest.raises(JevonsError, match="not installed"):
        Library()


def test_importing_the_module_imports_no_litellm():
    """Only a `Library` does."""
    code = "import sys, jevons.proxy.upstreams.litellm_leg; sys.exit('litellm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


QUIET = """
import socket, sys
def refuse(self, address): sys.exit(f"connects to {address}")
socket.socket.connect = refuse
from jevons.proxy.upstreams.litellm_library import Library
library = Library()
assert library.is_priced("openai/gpt-4o-mini") and not library.is_priced("ollama_chat/mine:8b")
"""


@needs_litellm
def test_its_import_fetches_and_prints_nothing():
    """No connection, no word; the prices that come with it are there."""
    done = subprocess.run([sys.executable, "-c", QUIET], check=False, capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_litellm
def test_its_loggers_are_off():
    """What it would log are prompts."""
    Library()
    assert all(logging.getLogger(name).disabled for name in ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router"))
