"""The training script, run on a handful of rows."""

from __future__ import annotations

import os
import subprocess
import sys

from routing_rows import many_rows, write_rows
from source_tree import ROOT

from jevons.policies.score.trees import read_trees
from jevons.proxy.routing.rows import PAIRS

SCRIPTS = ROOT / "training"
DIRECT, REASONING = PAIRS["gsm8k"]


def python(*arguments: str) -> str:
    """What a Python program beside the scripts prints."""
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, *arguments], check=True, capture_output=True, text=True, env=environment).stdout


def test_it_writes_a_score_that_can_be_walked(tmp_path):
    """From rows and prompts to an artefact, the same on every run."""
    rows = many_rows(80, split="train", source="gsm8k")
    for one in rows:
        one["models"] = {DIRECT: one["models"]["small"], REASONING: one["models"]["thinker:on"]}
    write_rows(tmp_path / "gsm8k.jsonl.gz", [*rows, {"prompt": "hello", "simple": 1, "split": "train"}])
    texts = []
    for name in ("first.json", "second.json"):
        python(str(SCRIPTS / "train_difficulty.py"), "--data", str(tmp_path), "--out", str(tmp_path / name))
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1]
    assert read_trees(texts[0]).note["examples"] > 80


def test_results_without_a_licence_are_left_out():
    """A row that only such models have answered has no label."""
    program = (
        "from train_difficulty import label; from jevons.proxy.routing.rows import Result, Row\n"
        "direct, reasoning = Result(0, None, False, 0), Result(1, None, True, 1)\n"
        "for names in (('Qwen3-8B:nothink', 'Qwen3-8B:think'), ('a', 'b')):\n"
        "    print(label(Row('x', 'gsm8k', 'train', dict(zip(names, (direct, reasoning))), None, '')))\n"
    )
    assert python("-c", program).split() == ["None", "1.0"]


def test_variants_are_seeded_and_keep_the_request():
    """The same dice give the same typos, which change few words."""
    program = (
        "import random; from variants import VARIANTS\n"
        "text = 'Please summarise this letter about the garden for my neighbour'\n"
        "for vary in VARIANTS.values():\n"
        "    once, again = (vary(text, random.Random(3)) for _ in range(2))\n"
        "    assert once == again != text\n"
        "print(sum(a != b for a, b in zip(VARIANTS['typos'](text, random.Random(3)).split(), text.split())))\n"
    )
    assert int(python("-c", program)) in {1, 2}


def test_the_measuring_script_explains_itself():
    """It can be started, and says what it takes."""
    assert "--data" in python(str(SCRIPTS / "measure_difficulty.py"), "--help")
