"""Trains the difficulty score that jevons ships: `python training/train_difficulty.py --data DIR`.

DIR holds the labelled rows that docs/difficulty.md names; the prompts of training/prompts/train.jsonl are added. The result
is the same on every run: the seed is fixed, and no clock is read. Models whose figures may not be passed on are left out.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import fmean

from variants import VARIANTS

from jevons.proxy.routing.rows import PAIRS, Row, read_rows
from jevons.proxy.routing.training import Example, Settings, fit

HERE = Path(__file__).parent
SHIPPED = HERE.parent / "policies" / "score" / "difficulty.json"
LEFT_OUT = "Qwen3"
"""Results from a repository without a licence: facts for evaluation, which must not go into an artefact."""
PAIR_SHARE = 0.6
"""How much of a label is the committed pair's; the rest is the mean over all models, which is less noisy."""
WORD_PROBLEM_WEIGHT = 3.0
"""Of gsm8k: prompts like free-form hard ones on which reasoning buys nothing, and there are few of them."""
HARD_WEIGHT = 1.5
EVERYDAY_WEIGHT = 3.0
"""Of our own prompts: one that goes to reasoning in vain is the dearer mistake."""
SEED = 20_260_101
THRESHOLD = 0.40


def label(row: Row) -> float | None:
    """The probability that reasoning was needed: the direct model wrong, and the reasoning one right."""
    known = {name: result for name, result in row.results.items() if LEFT_OUT not in name}
    direct = [one.share for one in known.values() if not one.is_reasoning]
    reasoning = [one.share for one in known.values() if one.is_reasoning]
    if not direct or not reasoning:
        return None
    soft = (1 - fmean(direct)) * fmean(reasoning)
    first, second = (known.get(name) for name in PAIRS[row.source])
    if first is None or second is None:
        return soft
    return PAIR_SHARE * (1 - first.share) * second.share + (1 - PAIR_SHARE) * soft


def benchmark_examples(data: Path, split: str) -> Iterator[Example]:
    """The rows of the benchmarks and of everyday requests."""
    for row in read_rows(sorted([*data.glob("*.jsonl.gz"), *data.glob("*.jsonl")])):
        if row.split != split:
            continue
        if row.simple is not None:
            yield Example(row.prompt, 0.02, 2.0) if row.simple else Example(row.prompt, 0.5, 0.5)
        elif (target := label(row)) is not None:
            yield Example(row.prompt, target, WORD_PROBLEM_WEIGHT if row.source == "gsm8k" else 1.0)


def own_examples(lines: Iterable[str]) -> Iterator[Example]:
    """Our own prompts: what is asked last in each, as it stands and in each of its variants."""
    dice = random.Random(SEED)
    for line in lines:
        prompt = json.loads(line)
        text, is_hard = prompt["messages"][-1]["content"], prompt["kind"] == "hard"
        weight = HARD_WEIGHT if is_hard else EVERYDAY_WEIGHT
        yield Example(text, float(is_hard), weight)
        for vary in VARIANTS.values():
            yield Example(vary(text, dice), float(is_hard), weight / len(VARIANTS))


def main() -> None:
    """Train and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of labelled rows")
    parser.add_argument("--prompts", type=Path, default=HERE / "prompts" / "train.jsonl")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    examples = [
        *benchmark_examples(arguments.data, "train"),
        *own_examples(arguments.prompts.read_text(encoding="utf-8").splitlines()),
    ]
    note = {"examples": len(examples), "card": "docs/difficulty.md"}
    artefact = fit(examples, Settings(), threshold=THRESHOLD, note=note)
    text = json.dumps(artefact, separators=(",", ":")) + "\n"
    arguments.out.write_text(text, encoding="utf-8")
    print(f"{arguments.out}: {len(text)} bytes from {len(examples)} examples")


if __name__ == "__main__":
    main()
