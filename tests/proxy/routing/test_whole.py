"""Rows through the whole proxy in simulation: whose lengths, whose joules, and the same prompts for everybody."""

import json

import pytest
from routing_rows import row

from jevons.proxy.errors import JevonsError
from jevons.proxy.exchange import Tier
from jevons.proxy.routing.rows import pair_rows, read_rows
from jevons.proxy.routing.whole import Setup, draw_sample, run_rounds

RULES = [{"type": "rules", "rules": [{"name": "proofs", "when": {"keywords": ["prove"]}, "to": "reasoning"}]}]


def pairs_of(tmp_path, rows):
    """As the command reads them."""
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return pair_rows(read_rows([path]), {"own": ("small", "thinker:on")})[0]


def without_lengths(one, *names):
    """The same row, these models' answers not counted."""
    for name in names:
        one["models"][name]["completion_tokens"] = None
    return one


def test_a_sample_has_each_prompt_once_and_the_longest_first(tmp_path):
    """A made-up length is counted as such; a prompt whose direct answer nobody counted is left out."""
    rows = [row(f"Say {number}.", direct=1, reasoning=1) for number in range(6)]
    rows += [rows[0], without_lengths(row("Prove it.", direct=0, reasoning=1), "thinker:on")]
    rows.append(without_lengths(row("Nobody counted.", direct=0, reasoning=1), "small"))
    pairs = pairs_of(tmp_path, rows)
    sample = draw_sample(pairs, 100)
    assert len(sample.pairs) == 7
    assert sample.imputed == 1
    assert (sample.pairs[0].prompt, sample.pairs[0].reasoning.tokens) == ("Prove it.", pytest.approx(490.0))
    assert (sample.cut, draw_sample(pairs, 100, longest=300).cut) == (0, 7)
    assert {pair.reasoning.tokens for pair in draw_sample(pairs, 100, longest=300).pairs} == {300.0}
    assert draw_sample(pairs, 3) == draw_sample(pairs, 3)
    assert len(draw_sample(pairs, 3).pairs) == 3


def test_no_lengths_at_all(tmp_path):
    """There is nothing to simulate."""
    pairs = pairs_of(tmp_path, [without_lengths(row("Say it.", direct=1, reasoning=1), "small")])
    with pytest.raises(JevonsError, match="how long its direct answer is"):
        draw_sample(pairs, 5)


async def test_every_way_of_deciding_asks_the_same(tmp_path):
    """Ours by the policies, random as often as ours, the oracle where it pays; joules are the proxy's and near the truth."""
    rows = [
        row("Prove this.", direct=0, reasoning=1),
        row("Say hello.", direct=1, reasoning=1),
        row("Go.", direct=0, reasoning=1),
    ]
    sample = draw_sample(pairs_of(tmp_path, rows), 10)
    said = []
    found = await run_rounds(sample, Setup({"policies": RULES}, speed=8.0, warm_up_seconds=0.5), said.append)
    calls = {name: sum(one.tier is Tier.REASONING for one in answered) for name, answered in found.items()}
    assert calls == {"ours": 1, "always": 3, "never": 0, "random": 1, "oracle": 2}
    assert {name: sum(one.right for one in answered) for name, answered in found.items() if name != "random"} == {
        "ours": 2.0,
        "always": 3.0,
        "never": 1.0,
        "oracle": 3.0,
    }
    total = {name: sum(one.joules for one in answered) for name, answered in found.items()}
    assert 0.0 < total["never"] < min(total["oracle"], total["always"])
    assert sum(one.truth for one in found["always"]) == pytest.approx(total["always"], rel=0.3)
    assert len(said) == 10


async def test_one_server_for_both(tmp_path):
    """Its thinking is switched by the route: each answer has the length of its kind, and is right where that kind is."""
    rows = [row("Prove this.", direct=0, reasoning=1), row("Say hello.", direct=1, reasoning=0)]
    sample = draw_sample(pairs_of(tmp_path, rows), 10)
    setup = Setup({"policies": RULES}, speed=8.0, warm_up_seconds=0.5, has_one_server=True)
    found = await run_rounds(sample, setup, [].append)
    assert {one.tier: one.right for one in found["ours"]} == {Tier.REASONING: 1.0, Tier.DIRECT: 1.0}
    assert [one.right for one in found["never"]].count(1.0) == [one.right for one in found["always"]].count(1.0) == 1
    assert sum(one.truth for one in found["never"]) < sum(one.truth for one in found["always"])
