"""Rows of prompts with the results of several models."""

from __future__ import annotations

import pytest
from routing_rows import row, write_rows

from jevons.proxy.errors import ConfigError
from jevons.proxy.routing.rows import PAIRS, pair_rows, read_pair_option, read_rows


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_rows_are_read(tmp_path, name):
    """Plain and compressed files give the same rows."""
    path = write_rows(tmp_path / name, [row("Why?", direct=0, reasoning=1), {"prompt": "hi", "simple": 1}])
    first, second = read_rows([path])
    assert (first.prompt, first.source, first.split, first.results["small"].tokens) == ("Why?", "own", "dev", 100)
    assert (second.simple, second.results) == (True, {})


def test_every_bad_line_is_named(tmp_path):
    """All problems come at once, each with its file and line."""
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"prompt": "a"}\n{oops\n[]\n{"source": "x"}\n{"prompt": 3}\n{"prompt": "a", "models": {"m": {"correct": 7}}}\n'
        '{"prompt": "a", "models": {"m": {"correct": 1, "completion_tokens": -1}}}\n{"prompt": "a", "models": {"m": {}}}\n'
    )
    with pytest.raises(ConfigError) as caught:
        read_rows([path, tmp_path / "none.jsonl"])
    found = [problem.removeprefix(f"{tmp_path}/") for problem in caught.value.problems]
    assert [problem.split(": ")[0] for problem in found] == [*(f"rows.jsonl:{line}" for line in range(2, 9)), "none.jsonl"]
    assert "`prompt` is missing" in found[2]
    assert "`models.m.correct` must be a number from 0 to 1" in found[4]


def test_a_pair_is_found_by_name_or_by_part(tmp_path):
    """Names may hold colons, and a part of a name will do where it is the part of one only."""
    rows = read_rows([write_rows(tmp_path / "rows.jsonl", [row("Why?", direct=0, reasoning=1)])])
    wanted = ("own", ("small", "thinker:on"))
    assert read_pair_option("own=small:thinker:on", rows) == wanted
    assert read_pair_option("own=SMALL:think", rows) == wanted


@pytest.mark.parametrize("text", ["own", "own=small", "other=small:thinker:on", "own=small:nobody"])
def test_a_pair_that_is_none_is_refused(tmp_path, text):
    """What cannot be a pair is refused with what there is."""
    rows = read_rows([write_rows(tmp_path / "rows.jsonl", [row("Why?", direct=0, reasoning=1)])])
    with pytest.raises(ConfigError, match="--pair"):
        read_pair_option(text, rows)


def test_rows_without_one_of_the_two_are_counted(tmp_path):
    """A row that lacks a result is left out and counted, not guessed."""
    lacking = row("Who?", direct=1, reasoning=1)
    del lacking["models"]["small"]
    rows = read_rows([write_rows(tmp_path / "rows.jsonl", [row("Why?", direct=0, reasoning=1), lacking])])
    pairs, missing = pair_rows(rows, {}, ("small", "thinker:on"))
    assert ([(pair.prompt, pair.gain, pair.is_needed) for pair in pairs], missing) == ([("Why?", 1.0, True)], 1)


def test_a_source_without_a_pair_is_named(tmp_path):
    """Nobody guesses which two models are meant."""
    rows = read_rows([write_rows(tmp_path / "rows.jsonl", [row("Why?", direct=0, reasoning=1)])])
    with pytest.raises(ConfigError, match="own: which two to compare"):
        pair_rows(rows, {})


def test_the_committed_pairs_leave_out_what_may_not_be_passed_on():
    """Each source has a pair of its own, none of them of the models without a licence."""
    assert set(PAIRS) == {"mmlu-pro", "gsm8k", "cruxeval", "math-l5", "reasoning-gym"}
    assert not any("Qwen3" in name for pair in PAIRS.values() for name in pair)
