"""Physics fitted to the table: near its rows, and within what the cards can draw."""

import pytest

from jevons.proxy.study.hardware import PROMPT_TOKENS, fit, load_hardware


def test_the_fit_finds_what_is_exactly_so():
    """Two coefficients behind exact values come back."""
    first, second = [1.0, 0.5, 0.1], [1.0, 1.0, 1.0]
    assert fit(first, second, [3 * u + 2 * v for u, v in zip(first, second, strict=True)]) == pytest.approx((3, 2))


@pytest.mark.parametrize("hardware", load_hardware(), ids=lambda one: one.name)
def test_the_physics_give_the_rows_back(hardware):
    """Joules per token and throughput of each row come back within the table's own scatter, 17 % at worst."""
    energy, tokens = hardware.physics.energy, hardware.mean_tokens
    for row in hardware.rows:
        context = PROMPT_TOKENS + tokens / 2
        prompt = energy.joules_per_prompt_token * PROMPT_TOKENS / tokens
        joules = (
            energy.fixed_joules_per_step / row.batch
            + energy.joules_per_token
            + energy.joules_per_context_token * context
            + prompt
        )
        assert joules == pytest.approx(row.joules_per_token, rel=0.17)
        seconds = hardware.physics.seconds_per_step + hardware.physics.seconds_per_sequence * row.batch
        assert row.batch / seconds == pytest.approx(row.tokens_per_second, rel=0.25)


def test_power_stays_within_the_cards():
    """At batch 1 a step draws some hundred watts a card and less than the limit."""
    for hardware in load_hardware():
        physics = hardware.physics
        watts = (physics.energy.fixed_joules_per_step + physics.energy.joules_per_token) / physics.seconds_per_step
        assert 0.1 * hardware.limit_watts < watts < hardware.limit_watts
        assert min(vars_of(physics.energy)) > 0


def vars_of(energy):
    """The four coefficients."""
    return (
        energy.fixed_joules_per_step,
        energy.joules_per_token,
        energy.joules_per_context_token,
        energy.joules_per_prompt_token,
    )
