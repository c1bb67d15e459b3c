"""Our own prompts: wide, frozen, and what the default configuration makes of the frozen part."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from source_tree import ROOT

from jevons.policies.policy import Facts
from jevons.proxy.config import to_upstreams
from jevons.proxy.config_file import load_config
from jevons.proxy.exchange import Endpoint, Tier
from jevons.proxy.policy_factory import make_chain
from jevons.proxy.wire.parsing import parse

PROMPTS = ROOT / "training" / "prompts"
FROZEN_SHA256 = "c0f80f7acfe361bbf236dd9e028e9796aa17f58acff0901f99b63fa649a68ba8"


def prompts(part: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (PROMPTS / f"{part}.jsonl").read_text().splitlines()]


def reasoning_share(part: str, kind: str) -> float:
    """The share of prompts of a kind that the shipped configuration sends to reasoning, rules and score together."""
    config = load_config(ROOT / "config.yaml", {})
    chain, facts = make_chain(config), Facts(upstreams={one.name: one for one in to_upstreams(config)})
    sent = []
    for prompt in prompts(part):
        if prompt["kind"] == kind:
            body = json.dumps({"model": "auto", "messages": prompt["messages"]}).encode()
            request = parse(Endpoint.CHAT, "application/json", body, request_id="r", headers={}, started_at=0)
            sent.append(chain.decide(request, facts).plan.candidates[0].tier is Tier.REASONING)
    return sum(sent) / len(sent)


def test_the_corpus_is_wide():
    """At least 400 prompts of each kind, in at least 12 languages, with several turns, system prompts and typos; none twice."""
    every = [*prompts("train"), *prompts("test")]
    for kind in ("everyday", "hard"):
        chosen = [one for one in every if one["kind"] == kind]
        assert len(chosen) >= 400
        assert len({one["language"] for one in chosen}) >= 12
        assert {"typo", "multi", "system", "paste", "code"} <= {one["style"] for one in chosen}
    assert len({json.dumps(one["messages"]) for one in every}) == len(every)


def test_the_test_part_is_frozen():
    """The part that judges was fixed before training and has not been touched since."""
    assert hashlib.sha256((PROMPTS / "test.jsonl").read_bytes()).hexdigest() == FROZEN_SHA256


@pytest.mark.parametrize("part", ["train", "test"])
def test_everyday_prompts_stay_direct(part):
    """At most one in twenty everyday prompts is sent to reasoning by the shipped configuration."""
    assert reasoning_share(part, "everyday") <= 0.05


@pytest.mark.parametrize("part", ["train", "test"])
def test_hard_prompts_reach_reasoning(part):
    """At least four in five free-form hard prompts reach reasoning by the shipped configuration."""
    assert reasoning_share(part, "hard") >= 0.8
