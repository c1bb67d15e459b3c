"""The article's question, simulated: do the public coefficients and the article's lengths give its ratios?

What goes in: the coefficients of four series of the ML.ENERGY tables, and lengths of answers. What the article says of lengths is
little: 1,000 words on one prompt, and by its equal joules per token that the ratio of lengths is the ratio of energies, 1.41 on
that prompt and 1.87 over all. The lengths of the other prompts are laid down (log-normal around the table's mean) and scaled to
1.87. What comes out: everything in joules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from jevons.policies.policy import Facts
from jevons.policies.rules import Rule, RulesPolicy

from ..exchange import Endpoint, Plan, Reasoning, Tier, Upstream
from ..marked_yaml import read_yaml
from ..simulation.demo_stack import CONFIG
from ..wire.parsing import parse
from .dataset import Dataset
from .hardware import Hardware, load_hardware
from .imposing import Lengths, quantile_of
from .prompts import StudyPrompt, load_prompts, prompts_hash
from .raw import Header, Raw
from .virtual import Asked, run_virtually

META: Final = "Llama-3.1-70B"
R1: Final = "DeepSeek-R1-Distill-70B"
LIE: Final = "ethics-1"
"""The prompt of the article."""
LIE_WORDS: Final = 1000
LIE_RATIO: Final = 1.41
RATIO: Final = 1.87
TOKENS_PER_WORD: Final = 1.35
"""Of English prose, a usual figure; the article gives no tokens."""
SIGMA: Final = 0.6
RATIO_SIGMA: Final = 0.3
"""Standard deviations of the logarithms of lengths and of their ratios: assumptions, which change no total."""
MEAN_TOKENS: Final = 455.5
"""Of the table's row that is the article's 512 J."""
LEVELS: Final = (1, 8, 32, 64, 128, 192)
SEED: Final = 1


@dataclass(frozen=True, slots=True)
class Simulated:
    """One hardware's whole study."""

    hardware: Hardware
    data: Dataset


@dataclass(frozen=True, slots=True)
class Routing:
    """What would have been asked of whom, and what that would have taken, at one in flight."""

    name: str
    to_reasoning: int
    joules: float
    saved: float
    """Against asking the reasoning model everything, as a share."""


@dataclass(frozen=True, slots=True)
class ArticleStudy:
    """All of it."""

    prompts: Sequence[StudyPrompt]
    runs: Sequence[Simulated]
    routings: Sequence[Routing]


def simulate_article(levels: Sequence[int] = LEVELS, hardware: Sequence[Hardware] | None = None) -> ArticleStudy:
    """Run all of it, without a clock; on all four series of cards where none are given."""
    prompts = load_prompts("article", Path())
    plain, thinking = article_lengths(prompts)
    runs = [_simulate(cards, prompts, [Asked(META, plain), Asked(R1, thinking)], levels) for cards in hardware or load_hardware()]
    return ArticleStudy(prompts, runs, route(prompts, runs[0].data))


def article_lengths(prompts: Sequence[StudyPrompt]) -> tuple[dict[str, int], dict[str, int]]:
    """Tokens of each answer by the plain model and by the reasoning one: 1.41 on the article's prompt, 1.87 over all."""
    lie = {META: LIE_WORDS / LIE_RATIO * TOKENS_PER_WORD, R1: LIE_WORDS * TOKENS_PER_WORD}
    others = [prompt.id for prompt in prompts if prompt.id != LIE]
    drawn = {prompt: float(Lengths(MEAN_TOKENS, SIGMA).tokens(prompt, SEED)) for prompt in others}
    plain = _scaled(drawn, MEAN_TOKENS * len(prompts) - lie[META])
    wanted = RATIO * (sum(plain.values()) + lie[META]) - lie[R1]
    ratios = {prompt: math.exp(RATIO_SIGMA * quantile_of(prompt, SEED + 1)) for prompt in others}
    thinking = _scaled({prompt: tokens * ratios[prompt] for prompt, tokens in plain.items()}, wanted)
    return _whole({**plain, LIE: lie[META]}), _whole({**thinking, LIE: lie[R1]})


def _scaled(values: Mapping[str, float], total: float) -> dict[str, float]:
    factor = total / sum(values.values())
    return {name: value * factor for name, value in values.items()}


def _whole(values: Mapping[str, float]) -> dict[str, int]:
    return {name: max(1, round(value)) for name, value in values.items()}


def _simulate(hardware: Hardware, prompts: Sequence[StudyPrompt], arms: Sequence[Asked], levels: Sequence[int]) -> Simulated:
    raw = Raw()
    raw.add(
        Header(
            fingerprint="",
            started_at="",
            name=f"The article's question on {hardware.name}",
            method="simulated",
            study={"arms": [{"name": arm.name} for arm in arms], "baseline": META},
            prompts_hash=prompts_hash(prompts),
            versions={},
            devices=[f"{hardware.name} (simulated)"],
        )
    )
    for level in levels:
        for arm in arms:
            for reply in run_virtually(hardware, arm, prompts, level):
                raw.add(reply)
    return Simulated(hardware, Dataset(raw))


def route(prompts: Sequence[StudyPrompt], data: Dataset) -> list[Routing]:
    """The same prompts, each sent to one of the two: by the demo's rules, by their own labels, and never to the reasoning one."""
    plain, thinking = data.cells(META, 1), data.cells(R1, 1)
    everything = sum(cell.joules for cell in thinking.values())
    by_rules = chosen_by_rules(prompts)
    chosen = {
        "the demo's rules (keywords and code)": by_rules,
        "a perfect router by the labels of the shipped prompts": {prompt.id for prompt in prompts if prompt.thinking_helps},
        "never thinking": set[str](),
    }
    found = []
    for name, to_reasoning in chosen.items():
        joules = sum((thinking if prompt.id in to_reasoning else plain)[prompt.id].joules for prompt in prompts)
        found.append(Routing(name, len(to_reasoning), joules, 1 - joules / everything))
    return found


def chosen_by_rules(prompts: Sequence[StudyPrompt]) -> set[str]:
    """Which prompts the demo's configuration sends to the reasoning model."""
    policy = RulesPolicy(_demo_rules())
    upstreams = [Upstream("plain", "http://plain", META), Upstream("thinking", "http://thinking", R1, Reasoning.ALWAYS)]
    facts = Facts(upstreams={upstream.name: upstream for upstream in upstreams})
    chosen = set()
    for prompt in prompts:
        body = msgspec.json.encode({"model": "auto", "messages": [{"role": "user", "content": prompt.text}]})
        request = parse(Endpoint.CHAT, "application/json", body, request_id=prompt.id, headers={}, started_at=0.0)
        verdict = policy.decide(request, Plan(), facts)
        if isinstance(verdict, Plan) and verdict.decision == Tier.REASONING:
            chosen.add(prompt.id)
    return chosen


def _demo_rules() -> list[Rule]:
    data = read_yaml(CONFIG.format(listen=0, admin=0, direct="plain", reasoner="thinking", gpu="gpu")).data
    policies = data["policies"] if isinstance(data, dict) else []
    return [
        Rule(rule["name"], rule["to"], tuple(rule["when"]["keywords"]), has=frozenset(rule["when"].get("has", ())))
        for rule in policies[0]["rules"]
    ]
