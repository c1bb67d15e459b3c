"""The rules by Prometheus's own tool: that it takes them, and that each alert fires when it should and not else."""

from __future__ import annotations

import shutil
import subprocess

import pytest
import yaml
from source_tree import ROOT

RULES = ROOT / "exporters" / "rules"
HERE = ROOT / "tests" / "exporters" / "rules"

pytestmark = pytest.mark.skipif(shutil.which("promtool") is None, reason="no `promtool` on this machine")


def promtool(*arguments):
    """Its exit code and what it said."""
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["recording.yaml", "alerts.yaml"])
def test_promtool_takes_the_rules(name):
    """`promtool check rules`."""
    code, said = promtool("check", "rules", RULES / name)
    assert code == 0, said
    assert "SUCCESS" in said


def test_the_rules_do_what_they_say():
    """`promtool test rules` over series of days that the test makes up."""
    code, said = promtool("test", "rules", HERE / "rules_test.yaml")
    assert code == 0, said


def test_every_alert_and_record_is_tried():
    """None is left out of that."""
    names = set()
    for path in (RULES / "recording.yaml", RULES / "alerts.yaml"):
        for group in yaml.safe_load(path.read_text())["groups"]:
            names |= {rule.get("alert") or rule["record"] for rule in group["rules"]}
    tests = (HERE / "rules_test.yaml").read_text()
    assert sorted(name for name in names if name not in tests) == []
