"""A study without a clock: full batches, every prompt equally often, no joule lost."""

from collections import Counter
from pathlib import Path

import pytest

from jevons.proxy.study.hardware import load_hardware
from jevons.proxy.study.prompts import load_prompts
from jevons.proxy.study.virtual import Asked, run_virtually

HARDWARE = load_hardware()[2]
PROMPTS = load_prompts("article", Path(), limit=8)
ASKED = Asked("arm", {prompt.id: 40 + 10 * place for place, prompt in enumerate(PROMPTS)})


def test_alone_a_request_costs_its_steps():
    """At one in flight each prompt is asked once, and its joules are the sum of its own steps."""
    replies = run_virtually(HARDWARE, ASKED, PROMPTS, 1)
    assert [reply.prompt for reply in replies] == [prompt.id for prompt in PROMPTS]
    energy = HARDWARE.physics.energy
    for reply in replies:
        steps = reply.completion_tokens
        contexts = sum(100 + place for place in range(1, steps))
        expected = (
            steps * energy.fixed_joules_per_step
            + 100 * energy.joules_per_prompt_token
            + (steps - 1) * energy.joules_per_token
            + contexts * energy.joules_per_context_token
        )
        assert reply.joules == pytest.approx(expected)


def test_in_company_every_prompt_counts_equally():
    """In a batch each prompt is counted as often as any other, and for less than alone."""
    replies = run_virtually(HARDWARE, ASKED, PROMPTS, 16)
    assert set(Counter(reply.prompt for reply in replies).values()) == {4}
    alone = {reply.prompt: reply.joules for reply in run_virtually(HARDWARE, ASKED, PROMPTS, 1)}
    assert all(alone[reply.prompt] / 20 < reply.joules < alone[reply.prompt] / 8 for reply in replies)
    assert {reply.method for reply in replies} == {"simulated"}
