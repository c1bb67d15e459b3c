"""Studies made up for tests, whose truth is known."""

from __future__ import annotations

import math
import random

from jevons.proxy.study.raw import OK, Header, Idle, Raw, Reply

CATEGORIES = ("ethics", "code")


def header(**changes) -> Header:
    """Of a study of two arms."""
    fields = {
        "fingerprint": "f",
        "started_at": "2026-01-01T00:00:00+00:00",
        "name": "A study",
        "method": "simulated",
        "study": {"arms": [{"name": "plain"}, {"name": "thinker"}], "prompts": "article"},
        "prompts_hash": "p",
        "versions": {"jevons": "0.1.0"},
        "devices": ["NVIDIA H100 80GB HBM3 (simulated)"],
        "upstreams": {"chat": "meta-llama/Llama-3.1-8B-Instruct"},
    }
    return Header(**{**fields, **changes})


def reply(arm="plain", prompt="p0", *, tokens=100, joules=50.0, level=1, **changes) -> Reply:
    """One that ended well."""
    fields = {
        "category": "ethics",
        "repetition": 0,
        "outcome": OK,
        "model": "meta-llama/Llama-3.1-8B-Instruct",
        "completion_tokens": tokens,
        "reasoning_tokens": 0,
        "words": tokens // 2,
        "reasoning_words": 0,
        "joules": joules,
        "low": 0.9 * joules,
        "high": 1.1 * joules,
        "method": "simulated",
        "seconds": tokens / 100,
    }
    return Reply(arm=arm, prompt=prompt, level=level, **{**fields, **changes})


def raw_study(prompts=20, *, length_ratio=2.0, rate=0.5, levels=(1, 8), seed=0) -> Raw:
    """Two arms on so many prompts; the thinker's answers are longer by a factor that scatters around the ratio."""
    dice = random.Random(seed)
    raw = Raw()
    raw.add(header())
    raw.add(Idle("before", 10.0, 100.0))
    for number in range(prompts):
        tokens = round(math.exp(dice.gauss(5, 0.5)))
        longer = round(tokens * length_ratio * math.exp(dice.gauss(0, 0.2)))
        for level in levels:
            for arm, count in (("plain", tokens), ("thinker", longer)):
                thinking = 0 if arm == "plain" else count - tokens // 2
                raw.add(
                    reply(
                        arm,
                        f"p{number}",
                        tokens=count,
                        joules=count * rate / level * math.exp(dice.gauss(0, 0.02)),
                        level=level,
                        category=CATEGORIES[number % 2],
                        reasoning_tokens=thinking,
                        score=float(number % 3 > 0) if number % 2 else None,
                    )
                )
    raw.add(Idle("after", 10.0, 101.0))
    return raw
