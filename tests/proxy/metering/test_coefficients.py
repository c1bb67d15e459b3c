"""Start values of the energy model, from names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.metering.coefficients import active_billions_of, billions_of, prior

H100 = "NVIDIA H100 80GB HBM3"


@pytest.mark.parametrize(
    ("model", "billions", "active"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", 8.0, 8.0),
        ("Qwen/Qwen2.5-0.5B", 0.5, 0.5),
        ("llama3.2:3b", 3.0, 3.0),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", 56.0, 14.0),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", 30.0, 3.0),
        ("Qwen/Qwen3-235B-A22B-Instruct-2507-FP8", 235.0, 22.0),
        ("openai/gpt-oss-120b", 120.0, 120.0),
        ("gpt-4o", None, None),
        ("bge-base-en", None, None),
        ("", None, None),
    ],
)
def test_sizes_are_in_names(model, billions, active):
    """The parameters, and those that a token passes through where the name says so."""
    assert billions_of(model) == billions
    assert active_billions_of(model) == active


def test_a_measured_model_has_its_own_row():
    """The newest measurement of the model on the card, with the term of the context taken out of the token's."""
    coefficients = prior("meta-llama/Llama-3.1-8B-Instruct", H100)
    assert coefficients.fixed_joules_per_step == 3.1626
    assert coefficients.joules_per_context_token == pytest.approx(3.4e-5)
    assert coefficients.joules_per_token == pytest.approx(0.0665 - 3.4e-5 * (100 + 397 / 2))
    assert coefficients.joules_per_prompt_token == pytest.approx(2 * 8e9 * 700 / (0.5 * 989e12))


def test_an_unknown_model_takes_the_nearest_in_size():
    """A 3B that was never measured has the row of the nearest; one without a size that of an 8B."""
    assert (
        prior("acme/Nova-65B", H100).fixed_joules_per_step
        == prior("meta-llama/Llama-3.3-70B-Instruct", H100).fixed_joules_per_step
    )
    assert prior("mystery", H100) == prior("mystery-8B", H100)


@pytest.mark.parametrize(
    ("gpu", "same_as"),
    [
        (None, H100),
        ("NVIDIA GeForce RTX 4090", H100),
        ("NVIDIA H200", H100),
        ("NVIDIA RTX A1000", H100),
        ("NVIDIA H100 80GB HBM3 (simulated)", H100),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA GB200", "B200"),
    ],
)
def test_the_card_is_in_its_name(gpu, same_as):
    """The family is known by its mark, which a longer number does not hold; an unknown card is taken for an H100."""
    assert prior("Llama-3.1-8B-Instruct", gpu) == prior("Llama-3.1-8B-Instruct", same_as)


def test_cards_differ():
    """A prompt token costs more on the older card."""
    assert prior("x-8B", "A100").joules_per_prompt_token > 1.5 * prior("x-8B", H100).joules_per_prompt_token


def test_only_active_parameters_read_a_prompt():
    """A mixture of experts reads a prompt as cheaply as its active part."""
    mixture, dense = prior("Qwen3-30B-A3B", H100), prior("Qwen3-32B", H100)
    assert mixture.joules_per_prompt_token == pytest.approx(dense.joules_per_prompt_token * 3 / 32)


@given(st.floats(0.1, 2000.0), st.sampled_from(["H100", "A100", "B200", "other"]))
def test_start_values_are_sane(billions, gpu):
    """Every term is above 0 whatever the size, and a token costs less than a step."""
    coefficients = prior(f"some-{billions:.1f}B", gpu)
    assert coefficients.joules_per_token > 0
    assert coefficients.joules_per_context_token > 0
    assert coefficients.joules_per_prompt_token > 0
    assert coefficients.fixed_joules_per_step > coefficients.joules_per_token
