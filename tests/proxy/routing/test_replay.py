"""Replay: what moves, what it costs and what cannot be told."""

import pytest

from jevons.proxy.config import Config
from jevons.proxy.exchange import Tier
from jevons.proxy.routing.past import Past
from jevons.proxy.routing.replay import render, replay

UPSTREAMS = [
    {"name": "chat", "url": "http://chat/v1", "model": "a"},
    {"name": "thinker", "url": "http://thinker/v1", "model": "b", "reasoning": "always"},
]
PROOFS = {"type": "rules", "rules": [{"name": "proofs", "when": {"keywords": ["prove"]}, "to": "reasoning"}]}


def config(*policies, **fields):
    """A configuration to try."""
    return Config.model_validate({"upstreams": UPSTREAMS, "policies": policies, **fields})


def past(number, prompt, joules=10.0, upstream="chat", route="default:direct;to=chat", **fields):
    """One request of the past."""
    tier = Tier.REASONING if upstream == "thinker" else Tier.DIRECT
    given = {"tenant": "alice", "decision": tier, "prompt_tokens": 5, "completion_tokens": 100, "reasoning_tokens": None}
    values = {**given, "request_id": f"r{number}", "started_at": float(number), "joules": joules, **fields}
    return Past(upstream=upstream, tier=tier, route=route, prompt=prompt, **values)


ROWS = [
    past(1, "Hello", 10.0),
    past(2, "Prove it", 20.0, tenant="bob"),
    past(3, "prove that", 400.0, "thinker", "rules:proofs;to=thinker"),
    past(4, "Sing", 600.0, "thinker", "caller:x-jevons-tier=reasoning;to=thinker"),
]


def test_what_a_rule_would_have_moved():
    """The one proof that went direct; its joules are the mean of the thinker's answers, and said to be imputed."""
    report = replay(ROWS, config(PROOFS))
    overall = report["overall"]
    assert (overall["requests"], overall["moved"], overall["unknown"]) == (4, 1, 0)
    assert overall["joules"] == {"before": 1030.0, "after": 1510.0, "imputed_requests": 1, "requests_left_out": 0}
    assert report["routes_moved"] == [{"from": "chat (direct)", "to": "thinker (reasoning)", "requests": 1}]
    assert report["by_tenant"]["bob"]["joules"]["after"] == 500.0
    assert report["by_tenant"]["alice"]["moved"] == 0
    assert overall["predicted_quality_change"] is None


def test_the_callers_word_stays():
    """Whoever asked for reasoning has it under any policy."""
    report = replay(ROWS, config())
    assert report["routes_moved"] == [{"from": "thinker (reasoning)", "to": "chat (direct)", "requests": 1}]


def test_predicted_quality_is_what_the_score_says_of_the_moves():
    """More where reasoning is given, less where it is taken; nothing of what stays."""
    assert replay(ROWS, config(PROOFS), lambda _: 0.4)["overall"]["predicted_quality_change"] == pytest.approx(0.4 / 4)
    assert replay(ROWS, config(), lambda _: 0.4)["overall"]["predicted_quality_change"] == pytest.approx(-0.4 / 4)


def test_without_prompts_only_what_can_be_told_is():
    """A rule of the same name is taken to hold; who was routed by another reading of the text is unknown."""
    rows = [
        past(1, None),
        past(2, None, 400.0, "thinker", "rules:proofs;to=thinker"),
        past(3, None, 400.0, "thinker", "rules:gone;to=thinker"),
        past(4, None, 400.0, "thinker", "difficulty:0.83;to=thinker"),
    ]
    overall = replay(rows, config(PROOFS))["overall"]
    assert (overall["moved"], overall["unknown"], overall["without_prompt"]) == (0, 2, 4)
    assert overall["joules"] == {"before": 410.0, "after": 410.0, "imputed_requests": 0, "requests_left_out": 2}


def test_a_budget_is_replayed_in_the_order_of_the_times():
    """With the joules of the past: the first proof fits, the second does not, and the next day's does."""
    rows = [
        past(number, "prove", 400.0, "thinker", "rules:proofs;to=thinker", started_at=at)
        for number, at in enumerate((0.0, 60.0, 90_000.0))
    ]
    tight = {"type": "budget", "reserve_joules": 100, "budgets": [{"name": "day", "joules": 450}]}
    cheap = past(9, "Hello", 10.0, started_at=0.5)
    report = replay(sorted([*rows, cheap], key=lambda row: row.started_at), config(PROOFS, tight))
    assert report["routes_moved"] == [{"from": "thinker (reasoning)", "to": "chat (direct)", "requests": 1}]
    refusing = {**tight, "budgets": [{"name": "day", "joules": 50, "then": "refuse"}]}
    assert replay(rows, config(PROOFS, refusing))["overall"]["refused"] == 3


def test_unknown_joules_are_in_no_sum():
    """Nor are those of a target that nobody has asked before."""
    overall = replay([past(1, "prove", None), past(2, "prove", 10.0)], config(PROOFS))["overall"]
    assert overall["joules"] == {"before": None, "after": None, "imputed_requests": 0, "requests_left_out": 2}


def test_an_upstream_that_is_gone():
    """What was pinned to it cannot be told; what was routed goes elsewhere."""
    rows = [past(1, "Hi", upstream="old", decision="pinned", route="caller:model;to=old"), past(2, "Hi", upstream="old")]
    report = replay(rows, config())
    assert report["overall"]["unknown"] == 1
    assert report["routes_moved"] == [{"from": "old (direct)", "to": "chat (direct)", "requests": 1}]


def test_the_report_in_words():
    """By tenant, with the change in joules, and the routes that changed."""
    text = render(replay(ROWS, config(PROOFS), lambda _: 0.4))
    assert "all: 4 requests, 1 moved, 0 refused, 0 cannot be told" in text
    assert "joules 1,030 -> 1,510 (+47%), of 1 imputed, 0 requests left out" in text
    assert "right answers, as predicted by the difficulty score: +10.0%" in text
    assert "       1  chat (direct) -> thinker (reasoning)" in text
