from __future__ import annotations

import subprocess
import sys

from source_tree import ROOT

from jevons.exporters.catalogue import CATALOGUE
from jevons.exporters.metrics_page import metrics_page


def test_the_committed_page_is_the_generated_one():
    """`docs/metrics.md` is what the catalogue makes of itself; after a change run `make docs`."""
    assert (ROOT / "docs" / "metrics.md").read_text() == metrics_page()


def test_the_page_lists_every_metric_once():
    """Each metric has one row."""
    page = metrics_page()
    for metric in CATALOGUE:
        assert page.count(f"| `{metric.name}` | {metric.kind} |") == 1


def test_the_module_prints_the_page():
    """Run as a program it prints the page and nothing else."""
    program = [sys.executable, "-W", "error", "-m", "jevons.exporters.metrics_page"]
    assert subprocess.run(program, check=True, capture_output=True, text=True).stdout == metrics_page()
