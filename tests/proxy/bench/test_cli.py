"""`jevons bench proxy` from the command line."""

import json
import os

import pytest
from click.testing import CliRunner

from jevons.proxy.bench.cli import bench
from jevons.proxy.errors import JevonsError

TWO_CORES = pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="the bench refuses to run on one core")


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """Runs the verb with a cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return lambda *arguments: CliRunner().invoke(bench, ["proxy", *arguments])


@TWO_CORES
def test_the_whole_of_it(invoke, tmp_path):
    """It builds, measures, and writes data, page and plot, with the command that does the same again; JSON goes to programs."""
    out = tmp_path / "results"
    wanted = ["--only", "jevons-pinned", "--workload", "calm", "--workload", "request"]
    done = invoke("--rounds", "1", "--seconds", "1", *wanted, "--out", str(out), "--json")
    assert done.exit_code == 0, done.output
    assert "round 1 of 1: jevons, model pinned, no meter" in done.stderr
    assert {path.name for path in out.iterdir()} == {"proxy.json", "proxy.md", "proxy.svg"}
    assert (out / "proxy.json").read_text() == done.stdout
    data = json.loads(done.stdout)
    assert data["command"] == f"jevons bench proxy --rounds 1 --seconds 1 {' '.join(wanted)}"
    assert set(data["table"]["jevons-pinned"]) >= {"request", "added-p50", "memory", "start"}
    assert "# What a proxy costs" in (out / "proxy.md").read_text()
    assert "](proxy.svg)" in (out / "proxy.md").read_text()


def test_an_unknown_workload_is_refused(invoke):
    """The message lists those that there are."""
    done = invoke("--workload", "tea")
    assert done.exit_code == 2
    assert "'tea' is none of calm," in done.stderr


@TWO_CORES
def test_an_unknown_subject_is_refused(invoke):
    """It is an error of ours, which the command line tells as such."""
    done = invoke("--only", "tea")
    assert isinstance(done.exception, JevonsError)
    assert "nothing called 'tea'" in str(done.exception)


def test_help_needs_nothing(invoke):
    """It says what the verb does without building anything."""
    done = invoke("--help")
    assert done.exit_code == 0
    assert "Measure what a proxy costs" in done.stdout
