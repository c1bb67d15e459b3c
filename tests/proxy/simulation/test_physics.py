"""The coefficients: what they say of an H100, against the measurements they come from."""

import pytest

from jevons.proxy.simulation.physics import LLAMA_3_1_8B, PHYSICS, QWEN_3_8B

CHAT_PROMPT = 100

# The ML.ENERGY Benchmark v3, H100, vLLM 0.11.1: batch, mean output tokens, J per output token, median ms between tokens
MEASURED = [
    (LLAMA_3_1_8B, 7.98, 388.7, 0.4548, 7.32),
    (LLAMA_3_1_8B, 31.91, 390.3, 0.16506, 8.91),
    (LLAMA_3_1_8B, 127.62, 404.6, 0.09511, 16.48),
    (QWEN_3_8B, 7.97, 646.6, 0.44402, 8.2),
    (QWEN_3_8B, 31.94, 646.8, 0.16328, 10.57),
    (QWEN_3_8B, 31.99, 8170.4, 0.3173, 16.87),
]


@pytest.mark.parametrize(("physics", "batch", "output", "joules", "milliseconds"), MEASURED)
def test_the_coefficients_reproduce_the_measurements(physics, batch, output, joules, milliseconds):
    """Energy per token and time between tokens come out within a tenth of the published figures."""
    context = CHAT_PROMPT + output / 2
    prefill = physics.prefill_joules(CHAT_PROMPT) / output
    assert physics.energy.fixed_joules_per_step / batch + physics.decode_joules(context) + prefill == pytest.approx(
        joules, rel=0.1
    )
    seconds = physics.step_seconds(sequences=batch, context_tokens=batch * context, prompt_tokens=0)
    assert seconds * 1000 == pytest.approx(milliseconds, rel=0.1)


@pytest.mark.parametrize("physics", PHYSICS.values(), ids=PHYSICS)
def test_faster_keeps_the_power(physics):
    """Ten times faster is ten times fewer joules a step: no meter sees another power."""
    fast = physics.faster(10)
    work = {"sequences": 8, "context_tokens": 4000, "prompt_tokens": 100}
    assert fast.step_seconds(**work) == pytest.approx(physics.step_seconds(**work) / 10)
    assert fast.decode_joules(500) == pytest.approx(physics.decode_joules(500) / 10)
    assert fast.prefill_joules(100) == pytest.approx(physics.prefill_joules(100) / 10)
    assert fast.energy.fixed_joules_per_step == pytest.approx(physics.energy.fixed_joules_per_step / 10)
