"""What the card of the score says, measured again; `docs/results/difficulty.json` is what this printed.

Own prompts by cross-validation, each source left out once, and how often another wording changes the route.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

from train_difficulty import HERE, SEED, THRESHOLD, benchmark_examples, label, own_examples
from variants import VARIANTS

from jevons.policies.score.trees import Trees, shipped
from jevons.proxy.routing.metrics import Ranking, cases
from jevons.proxy.routing.rows import PAIRS, Pair, pair_rows, read_rows
from jevons.proxy.routing.training import Example, Settings, as_trees, fit
from jevons.proxy.routing.tuning import labels_of, refit

FOLDS = 3
NEW_LABELS = 500
THRESHOLDS = (0.3, 0.35, 0.4, 0.45, 0.5)


def held_out(data: Path, lines: list[str]) -> dict[str, Any]:
    """The share of our own training prompts that goes to reasoning, by a score that has not seen them."""
    rest = list(benchmark_examples(data, "train"))
    found: dict[str, list[float]] = {"everyday": [], "hard": []}
    for fold in range(FOLDS):
        inside = [line for number, line in enumerate(lines) if number % FOLDS != fold]
        model = as_trees(fit([*rest, *own_examples(inside)], Settings(), threshold=THRESHOLD))
        for line in lines[fold::FOLDS]:
            prompt = json.loads(line)
            found[prompt["kind"]].append(model.score(prompt["messages"][-1]["content"]).probability)
    return {kind: {str(at): round(fmean(one >= at for one in scores), 3) for at in THRESHOLDS} for kind, scores in found.items()}


def left_out(data: Path) -> dict[str, Any]:
    """APGR on each source by a score trained on the other benchmarks alone."""
    rows = [row for row in read_rows(sorted(data.glob("*.jsonl.gz"))) if row.source in PAIRS]
    found = {}
    for source in PAIRS:
        examples = [
            Example(row.prompt, target)
            for row in rows
            if row.source != source and row.split == "train" and (target := label(row)) is not None
        ]
        model = as_trees(fit(examples, Settings(), threshold=THRESHOLD))
        pairs, _ = pair_rows([row for row in rows if row.source == source and row.split == "dev"], {})
        found[source] = _apgr(pairs, model)
    return found


def everyday_by_benchmarks(data: Path, lines: list[str]) -> float:
    """The share of everyday prompts that a score trained on the benchmarks alone sends to reasoning, at the base rate."""
    rows = [row for row in read_rows(sorted(data.glob("*.jsonl.gz"))) if row.source in PAIRS and row.split == "train"]
    examples = [Example(row.prompt, target) for row in rows if (target := label(row)) is not None]
    model = as_trees(fit(examples, Settings(), threshold=THRESHOLD))
    base_rate = fmean(example.target for example in examples)
    prompts = [json.loads(line) for line in lines]
    texts = [prompt["messages"][-1]["content"] for prompt in prompts if prompt["kind"] == "everyday"]
    return round(fmean(model.score(text).probability >= base_rate for text in texts), 3)


def new_domain(data: Path) -> dict[str, Any]:
    """APGR on mmlu-pro of a score that has never seen it, before and after `route tune --refit` on 500 labels of it."""
    rows = [row for row in read_rows(sorted(data.glob("*.jsonl.gz"))) if row.source in PAIRS]
    rest = [row for row in rows if row.source != "mmlu-pro" and row.split == "train"]
    examples = [Example(row.prompt, target) for row in rest if (target := label(row)) is not None]
    model = as_trees(fit(examples, Settings(), threshold=THRESHOLD))
    own, _ = pair_rows([row for row in rows if row.source == "mmlu-pro" and row.split == "train"], {})
    judged, _ = pair_rows([row for row in rows if row.source == "mmlu-pro" and row.split == "dev"], {})
    found: dict[str, Any] = {"before": _apgr(judged, model)}
    for seed in range(SEED, SEED + 3):
        sample = random.Random(seed).sample(own, NEW_LABELS)
        artefact, _ = refit(labels_of(sample), model)
        found.setdefault("after", []).append(_apgr(judged, as_trees(artefact)))
    return found


def _apgr(pairs: list[Pair], model: Trees) -> float | None:
    apgr = Ranking(cases(pairs, [model.score(pair.prompt).probability for pair in pairs])).figures()["apgr"]
    return None if apgr is None else round(apgr, 3)


def flips(model: Trees, lines: list[str]) -> dict[str, float]:
    """The share of prompts whose side of the threshold another wording changes."""
    dice = random.Random(SEED + 1)
    texts = [json.loads(line)["messages"][-1]["content"] for line in lines]
    before = [model.score(text).probability >= model.threshold for text in texts]
    found = {}
    for name, vary in VARIANTS.items():
        after = [model.score(vary(text, dice)).probability >= model.threshold for text in texts]
        found[name] = round(fmean(a != b for a, b in zip(before, after, strict=True)), 3)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="the folder of labelled rows")
    parser.add_argument("--only", help="one of the figures, by its name in the report")
    arguments = parser.parse_args()
    train, test = ((HERE / "prompts" / f"{part}.jsonl").read_text(encoding="utf-8").splitlines() for part in ("train", "test"))
    data: Path = arguments.data
    figures: dict[str, Callable[[], Any]] = {
        "cross_validated_share_to_reasoning": lambda: held_out(data, train),
        "leave_one_source_out_apgr": lambda: left_out(data),
        "everyday_to_reasoning_when_trained_on_benchmarks_alone": lambda: everyday_by_benchmarks(data, train),
        "new_domain_apgr_with_500_labels": lambda: new_domain(data),
        "flip_rate_on_the_frozen_part": lambda: flips(shipped(), test),
    }
    report = {name: measure() for name, measure in figures.items() if arguments.only in {None, name}}
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
