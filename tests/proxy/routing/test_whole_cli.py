"""`jevons bench routing` on the command line."""

import json

from click.testing import CliRunner
from routing_rows import row, write_rows
from source_tree import ROOT

from jevons.proxy.cli import main


def rows():
    """Of a source whose two models are named by default."""
    made = []
    for prompt in ("Prove that this is so.", "Say hello."):
        one = row(prompt, direct=1, reasoning=1, source="gsm8k")
        names = {"small": "Meta-Llama-3.1-70B-Instruct", "thinker:on": "o1-mini-2024-09-12"}
        made.append({**one, "models": {names[name]: result for name, result in one["models"].items()}})
    return made


def test_a_folder_by_the_shipped_configuration(tmp_path):
    """All files of rows in it; the results are written as JSON, page and plot, and printed as JSON."""
    folder = tmp_path / "rows"
    folder.mkdir()
    write_rows(folder / "a.jsonl.gz", rows()[:1])
    write_rows(folder / "b.jsonl", rows()[1:])
    (folder / "notes.txt").write_text("not rows")
    names = [
        "bench",
        "routing",
        str(folder),
        "--config",
        str(ROOT / "config.yaml"),
        "--out",
        str(tmp_path / "out"),
        "--speed",
        "8",
        "--concurrency",
        "2",
    ]
    ran = CliRunner().invoke(main, [*names, "--json"])
    assert ran.exit_code == 0, ran.output
    found = json.loads(ran.stdout)
    assert (found["prompts"], found["imputed"], found["concurrency"]) == (2, None, 2)
    assert "--concurrency 2`" in (tmp_path / "out" / "route-simulated.md").read_text()
    assert found["overall"]["ours"]["calls"] == 0.5
    assert json.loads((tmp_path / "out" / "route-simulated.json").read_text()) == found
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"route-simulated.{kind}" for kind in ("json", "md", "svg")}


def test_what_cannot_be_read(tmp_path):
    """A bad line is named, and a configuration that cannot be run."""
    path = tmp_path / "rows.jsonl"
    path.write_text("{}\n")
    config = str(ROOT / "config.yaml")
    bad = CliRunner().invoke(main, ["bench", "routing", str(path), "--config", config])
    assert bad.exit_code == 2
    assert "rows.jsonl:1" in bad.output
    broken = tmp_path / "broken.yaml"
    broken.write_text("policies: 3\n")
    assert CliRunner().invoke(main, ["bench", "routing", str(write_rows(path, rows())), "--config", str(broken)]).exit_code == 2
