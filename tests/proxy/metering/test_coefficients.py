"""Start values of the energy model, from names."""

import json
import math
import statistics
from collections import defaultdict
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_laws import family, fit_law, fixed, foretell, token

from jevons.proxy.metering.coefficients import (
    FIXED_LAW,
    LISTED_DOUBT,
    TOKEN_LAW,
    active_billions_of,
    billions_of,
    doubts_of,
    load_fits,
    prior,
)
from jevons.proxy.metering.fitting import TABLE_DOUBT

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


@pytest.mark.parametrize("name", ["Llama-3.1-8B", "acme/Llama-3.1-8B-chat", "meta-llama/Llama-3.1-8B-Instruct"])
def test_how_a_model_was_trained_changes_nothing(name):
    """The same layers in the same row, under the name of the base or of a tuned model."""
    assert prior(name, H100).fixed_joules_per_step == 3.1626


def test_an_unknown_model_follows_the_laws():
    """F grows with the size, a token's energy with less than that, and experts at rest cost little; no size is an 8B's."""
    small, large, mixture = prior("acme/Nova-7B", H100), prior("acme/Nova-70B", H100), prior("acme/Nova-70B-A7B", H100)
    assert large.fixed_joules_per_step == pytest.approx(10**1.011 * small.fixed_joules_per_step)
    assert large.joules_per_token == pytest.approx(10**0.755 * small.joules_per_token)
    assert mixture.joules_per_token == pytest.approx(10**-0.388 * large.joules_per_token)
    assert prior("mystery", H100) == prior("mystery-8B", H100)


@pytest.mark.parametrize(("law", "term"), [(FIXED_LAW, fixed), (TOKEN_LAW, token)], ids=["fixed", "token"])
def test_the_laws_are_those_of_the_table(law, term):
    """Fitted anew they are what stands in the module, to its three digits."""
    found = fit_law(term)
    assert found.joules == pytest.approx(law.joules, rel=1e-3)
    assert (found.by_size, found.by_experts) == pytest.approx((law.by_size, law.by_experts), abs=1e-3)
    assert found.cards == pytest.approx(law.cards, rel=1e-3)


def nearest(row, term):
    """The term of the other model on that card that is nearest in size: what is beaten."""
    others = [other for other in load_fits() if family(other) != family(row) and other.gpu[:4] == row.gpu[:4]]
    return term(min(others, key=lambda other: abs(math.log(other.billions / row.billions))))


def test_the_doubt_is_what_the_table_shows():
    """F over a token's energy, foretold for each row by the other models: its error is no more than two doubts together.

    Nor is it a tenth less; and by the row that is nearest in size it would be half as much again.
    """
    errors, by_nearest = [], []
    for row in load_fits():
        ratio = fixed(row) / token(row)
        errors.append(math.log(foretell(row, fixed) / foretell(row, token) / ratio))
        by_nearest.append(math.log(nearest(row, fixed) / nearest(row, token) / ratio))
    assert 0.9 * math.sqrt(2.0) * TABLE_DOUBT < statistics.stdev(errors) <= math.sqrt(2.0) * TABLE_DOUBT
    assert statistics.stdev(by_nearest) > 1.5 * statistics.stdev(errors)


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


def test_a_row_of_its_own_is_surer_on_the_same_cards():
    """In F and the token's term; on another number of cards, on an unknown one, and without a row it is as unsure as a law."""
    assert doubts_of("Llama-3.1-8B-Instruct", H100, 1) == (LISTED_DOUBT, LISTED_DOUBT, TABLE_DOUBT, TABLE_DOUBT)
    for model, gpu, boards in (("Llama-3.1-8B-Instruct", H100, 2), ("Llama-3.1-8B-Instruct", None, 1), ("x-8B", H100, 1)):
        assert doubts_of(model, gpu, boards) == (TABLE_DOUBT,) * 4


def test_rows_of_one_model_are_as_near_to_each_other_as_is_said():
    """F at short and at long answers, on as many H100: within `LISTED_DOUBT`, and not by far."""
    table = json.loads(files("jevons.proxy.metering").joinpath("ml_energy_fit.json").read_text())
    place = {name: index for index, name in enumerate(table["meta"]["columns"])}
    own = defaultdict(list)
    for row in table["rows"]:
        if row[place["gpu"]] == "H100" and row[place["task"]] in {"lm-arena-chat", "gpqa"}:
            own[row[place["model"]], row[place["num_gpus"]]].append(row[place["a_j_per_step"]])
    apart = [math.log(one / other) for one, other in (rows for rows in own.values() if len(rows) == 2)]
    assert len(apart) == 5
    assert 0.7 * LISTED_DOUBT < math.sqrt(statistics.fmean(each**2 for each in apart) / 2) <= LISTED_DOUBT


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
