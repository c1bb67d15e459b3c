"""`jevons route eval`, `compare` and `tune` from the command line."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from routing_rows import many_rows, row, write_rows

from jevons.proxy.cli import main

PAIR = ("--direct", "small", "--reasoning", "thinker:on", "--resamples", "10")


def run(*arguments: object):
    return CliRunner().invoke(main, ["route", *map(str, arguments)])


def test_eval_prints_json_and_a_table(tmp_path):
    """The same figures for programs and for people."""
    path = write_rows(tmp_path / "rows.jsonl.gz", many_rows(40))
    found = json.loads(run("eval", path, "--json", *PAIR).stdout)
    assert found["by_source"]["own"]["apgr"] == found["overall"]["apgr"]
    assert "| score | 40 |" in run("eval", path, "--resamples", "5", "--pair", "own=small:thinker:on").stdout


def test_eval_writes_its_plots(tmp_path):
    """With --out there are a page and a picture for each cost that is known."""
    path = write_rows(tmp_path / "rows.jsonl", many_rows(40))
    assert run("eval", path, "--out", tmp_path / "out", *PAIR).exit_code == 0
    assert {one.name for one in (tmp_path / "out").iterdir()} == {
        "route-eval.md",
        "route-eval-calls.svg",
        "route-eval-tokens.svg",
    }


def test_bad_rows_are_named_and_end_with_two(tmp_path):
    """A broken line is a bad input: exit code 2 and its place."""
    path = tmp_path / "rows.jsonl"
    path.write_text("{\n")
    done = run("eval", path)
    assert done.exit_code == 2
    assert f"{path}:1: not JSON" in done.stderr


def test_nothing_to_judge_fails(tmp_path):
    """Rows of another split than was asked for are no rows."""
    path = write_rows(tmp_path / "rows.jsonl", [row("Why?", direct=0, reasoning=1)])
    done = run("eval", path, "--split", "test", *PAIR)
    assert done.exit_code == 1
    assert "no row of the split test" in done.stderr


def test_compare_trains_on_the_other_split(tmp_path):
    """Baselines learn from train rows and all are judged on dev rows, in one table."""
    path = write_rows(tmp_path / "rows.jsonl", [*many_rows(40), *many_rows(60, seed=2, split="train")])
    done = run("compare", path, *PAIR)
    assert done.exit_code == 0, done.output
    assert {"| score ", "| hashed n-grams ", "| RouteLLM-style ", "| keywords "} <= {
        line[:16] for line in done.stdout.splitlines()
    } | {line[: line.find("|", 1)] for line in done.stdout.splitlines() if line.startswith("|")}


@pytest.mark.parametrize("refits", [False, True])
def test_tune_writes_what_can_be_used(tmp_path, refits):
    """The snippet goes into the configuration; a refitted score goes into a file that eval takes."""
    rows = many_rows(300)
    lines = [{"prompt": one["prompt"], "needs_reasoning": not one["models"]["small"]["correct"]} for one in rows]
    labels, place = write_rows(tmp_path / "labels.jsonl", lines), tmp_path / "mine.json"
    done = run("tune", labels, "--json", "--out", place, *(["--refit"] if refits else []))
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert f"threshold: {found['threshold']:g}" in found["yaml"]
    assert place.exists() is refits
    if refits:
        path = write_rows(tmp_path / "rows.jsonl", rows)
        assert run("eval", path, "--model", place, *PAIR).exit_code == 0


def test_tune_refuses_to_pretend(tmp_path):
    """Too few labels are no ground, and neither are none."""
    labels = write_rows(tmp_path / "labels.jsonl", [{"prompt": "a", "needs_reasoning": 1}])
    done = run("tune", labels)
    assert (done.exit_code, "99 more" in done.stderr) == (1, True)
    assert run("tune").exit_code == 2


def test_a_model_that_is_none_is_refused(tmp_path):
    """A file that is no score is bad input."""
    path = write_rows(tmp_path / "rows.jsonl", many_rows(4))
    (tmp_path / "no.json").write_text("{}")
    assert run("eval", path, "--model", tmp_path / "no.json", *PAIR).exit_code == 2
