"""Tests of `jevons bench soak`: a short one, whole, with the real proxy."""

from __future__ import annotations

import json

from click.testing import CliRunner

from jevons.proxy.bench.cli import bench


def test_a_short_soak_loses_nothing(tmp_path):
    """Every kind of request is answered as it should be; the results are written, and say that the servers are simulated."""
    done = CliRunner().invoke(bench, ["soak", "--minutes", "0.07", "--streams", "60", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    run = json.loads((tmp_path / "soak.json").read_text())
    assert run["is_sound"]
    assert run["simulated"]
    assert run["lost"] == {}
    assert run["answers"]["stream of the burst"] == {"ok": 60}
    assert run["requests"] > 100
    assert {"stream", "whole", "bad body"} <= run["answers"].keys()
    assert "**simulated**" in (tmp_path / "soak.md").read_text()
    assert "0 requests lost" in done.output


def test_bad_options_are_refused():
    """By name."""
    done = CliRunner().invoke(bench, ["soak", "--minutes", "0"])
    assert done.exit_code == 2
    assert "--minutes" in done.output
