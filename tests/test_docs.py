"""The documentation keeps its word: configurations that it shows can be run, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from source_tree import ROOT, project_files

from jevons.proxy.config_file import parse_config
from jevons.proxy.keys import new_key

PAGES = [path for path in project_files() if path.suffix == ".md"]
YAML_BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
CONFIGURATIONS = [
    pytest.param(found[1], id=f"{page}:{(ROOT / page).read_text().count(chr(10), 0, found.start()) + 1}")
    for page in PAGES
    for found in YAML_BLOCK.finditer((ROOT / page).read_text())
    if "upstreams:" in found[1]
]


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_the_configurations_shown_can_be_run(text: str, tmp_path: Path) -> None:
    """Every configuration that a page shows is one that jevons takes."""
    _, line = new_key("alice", "laptop")
    (tmp_path / "keys.yaml").write_text(line)
    config = parse_config(text, folder=tmp_path, environment={})
    assert config.upstreams


def test_pages_show_configurations() -> None:
    """There are such configurations: the test above does not pass for want of any."""
    assert {"README.md", "docs/operating.md"} <= {str(parameter.id).split(":")[0] for parameter in CONFIGURATIONS}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    """Every link to a file of the project names one that is there."""
    targets = [found[1] for found in LINK.finditer((ROOT / page).read_text())]
    local = [target for target in targets if not re.match(r"[a-z]+:", target)]
    assert [target for target in local if not (ROOT / page.parent / target).exists()] == []
