"""Energy ratio = length ratio x ratio of joules per token, without a remainder."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.study.decomposition import PromptPair, by_geometric_means, by_totals, waterfall

POSITIVE = st.floats(1e-3, 1e6)


@st.composite
def prompt_pairs(draw):
    """Any joules and tokens, with thinking counted."""
    found = []
    for number in range(draw(st.integers(1, 30))):
        tokens = draw(st.tuples(POSITIVE, POSITIVE))
        shares = draw(st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)))
        visible = (tokens[0] * shares[0], tokens[1] * shares[1])
        found.append(PromptPair(f"p{number}", "all", draw(st.tuples(POSITIVE, POSITIVE)), tokens, visible))
    return found


@given(prompt_pairs())
def test_totals_factorise_exactly(pairs):
    """Over any prompts the ratio of total energies is the product of the other two ratios."""
    found = by_totals(pairs, resamples=9)
    assert found.energy.value == pytest.approx(found.length.value * found.per_token.value, rel=1e-9)
    assert found.energy.value == pytest.approx(sum(p.joules[1] for p in pairs) / sum(p.joules[0] for p in pairs), rel=1e-9)


@given(prompt_pairs())
def test_geometric_means_factorise_exactly(pairs):
    """So do the geometric means of the prompts' own ratios."""
    found = by_geometric_means(pairs, resamples=9)
    assert found.energy.value == pytest.approx(found.length.value * found.per_token.value, rel=1e-9)


@given(prompt_pairs())
def test_the_waterfall_ends_where_it_should(pairs):
    """The steps sum to the difference of the means, and their factors multiply to its ratio."""
    start, steps, end = waterfall(pairs)
    assert math.prod(step.factor for step in steps) == pytest.approx(end / start, rel=1e-9)
    scale = abs(start) + abs(end) + sum(abs(step.joules) for step in steps)
    assert start + sum(step.joules for step in steps) == pytest.approx(end, abs=1e-9 * scale)
    assert [step.name for step in steps] == ["answer length", "thinking", "joules per token"]


def test_without_a_count_of_thinking_there_is_one_step_of_length():
    """Where it is not known how much was thinking, the length is not split."""
    pairs = [PromptPair("p", "all", (100.0, 300.0), (10.0, 30.0), (10.0, None))]
    _, steps, _ = waterfall(pairs)
    assert [(step.name, round(step.factor, 9)) for step in steps] == [("length", 3.0), ("joules per token", 1.0)]
    assert steps[0].joules == pytest.approx(200)


def test_equal_arms_differ_by_nothing():
    """No difference is shared out as none, though its logarithm is 0."""
    start, steps, end = waterfall([PromptPair("p", "all", (5.0, 5.0), (10.0, 20.0))])
    assert start == end
    assert sum(step.joules for step in steps) == pytest.approx(0)
    assert steps[0].joules > 0 > steps[1].joules
