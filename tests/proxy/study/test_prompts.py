"""The shipped prompts, and files of one's own."""

from pathlib import Path

import pytest

from jevons.proxy.errors import ConfigError
from jevons.proxy.study.prompts import load_prompts, parse_prompts, prompts_hash


def test_the_article_set_is_forty_in_six_categories():
    """Forty prompts, the article's own among them, of which the exact kinds carry a check."""
    prompts = load_prompts("article", Path())
    assert len(prompts) == 40
    assert {prompt.category for prompt in prompts} == {"ethics", "everyday", "writing", "mathematics", "logic", "code"}
    assert prompts[0].text == "Is it okay to lie to protect someone's feelings?"
    assert sum(prompt.check is not None for prompt in prompts) >= 15


def test_the_task_families_are_even():
    """Six prompts of each of four families."""
    prompts = load_prompts("tasks", Path())
    assert [prompt.category for prompt in prompts[::6]] == ["extractive", "classification", "generation", "reasoning"]
    assert len(prompts) == 24


def test_fewer_are_spread_evenly():
    """A limit takes from every part of the set."""
    few = load_prompts("article", Path(), limit=6)
    assert len({prompt.category for prompt in few}) >= 4


def test_a_file_is_read(tmp_path):
    """A line needs an id and a text; empty lines are skipped."""
    (tmp_path / "mine.jsonl").write_text('{"id": "a", "text": "Hi"}\n\n{"id": "b", "text": "Ho", "category": "songs"}\n')
    assert [prompt.category for prompt in load_prompts("mine.jsonl", tmp_path)] == ["all", "songs"]


def test_every_bad_line_is_named(tmp_path):
    """All problems at once, each with its line."""
    text = b'{"id": "a", "text": "Hi"}\n{"id": "a", "text": "Ho"}\n{"id": "c"}\nnonsense\n{"id": "d", "text": "x", "colour": 1}\n'
    with pytest.raises(ConfigError) as caught:
        parse_prompts(text, "mine.jsonl")
    assert [problem.split(":")[1] for problem in caught.value.problems] == ["2", "3", "4", "5"]
    with pytest.raises(ConfigError, match="no prompts"):
        parse_prompts(b"\n", "mine.jsonl")
    with pytest.raises(ConfigError, match="shipped sets are article, tasks"):
        load_prompts("absent.jsonl", tmp_path)


def test_the_hash_is_of_the_prompts_and_not_of_their_order():
    """Another word changes it, another order does not."""
    prompts = load_prompts("article", Path())
    assert prompts_hash(prompts) == prompts_hash(prompts[::-1])
    assert prompts_hash(prompts) != prompts_hash(prompts[1:])
