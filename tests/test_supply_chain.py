"""Guards of what is installed: few direct dependencies, the lock agrees with them, everything in it has its hashes."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from source_tree import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DIRECT = [Requirement(text) for text in PROJECT["dependencies"]]
LOCK = (ROOT / "requirements.lock").read_text()
PINNED = {name.lower().replace("_", "-"): version for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", LOCK, re.MULTILINE)}
MOST_DIRECT = 15
LEAST = {"aiohttp": "3.14.3"}
"""Releases before these have known holes that a request or a hostile server reaches."""


def test_few_direct_dependencies():
    """Each is one more to trust."""
    assert len(DIRECT) <= MOST_DIRECT


@pytest.mark.parametrize("requirement", DIRECT, ids=lambda requirement: requirement.name)
def test_the_lock_has_what_is_asked_for(requirement):
    """In a release that the project takes; else run `make lock`."""
    assert requirement.specifier.contains(PINNED[requirement.name.lower()])


def test_everything_locked_has_its_hashes():
    """So that `pip --require-hashes` installs the very files that were locked; and no host is named."""
    blocks = re.split(r"^(?=[\w.-]+==)", LOCK, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(re.findall(r"^[\w.-]+==", LOCK, re.MULTILINE)) > 20
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert "://" not in LOCK
    assert "index" not in LOCK


@pytest.mark.parametrize(("name", "version"), LEAST.items())
def test_nothing_with_known_holes_is_taken(name, version):
    """Neither by the lock nor by whoever installs without it."""
    assert Version(PINNED[name]) >= Version(version)
    [requirement] = [each for each in DIRECT if each.name == name]
    assert not requirement.specifier.contains(f"{Version(version).major}.0.0")


def test_the_image_installs_the_lock():
    """With hashes, and then the project without asking for anything more."""
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes --requirement requirements.lock" in dockerfile
    assert "--no-deps ." in dockerfile
    assert re.search(r"^USER \d+:\d+$", dockerfile, re.MULTILINE)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no `systemd-analyze` on this machine")
def test_the_unit_is_a_sandbox():
    """By systemd's own measure, of which 10 is open to everything."""
    command = ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(ROOT / "docs" / "jevons.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    exposure = re.search(r"Overall exposure level for jevons.service: ([\d.]+)", done.stdout)
    assert exposure, done.stdout + done.stderr
    assert float(exposure[1]) < 2.0
