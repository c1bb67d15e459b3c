"""What a check comes to, and how much of everything there is."""

import math

import pytest

from jevons.proxy.bench.gpu.outcome import QUICK, SHORT, Outcome, Scale


@pytest.mark.parametrize(
    ("value", "is_floor", "is_passed"),
    [
        (0.01, False, True),
        (0.02, False, True),
        (0.021, False, False),
        (math.nan, False, False),
        (0.021, True, True),
        (0.02, True, False),
        (math.nan, True, False),
    ],
)
def test_an_outcome_is_judged(value, is_floor, is_passed):
    """At most the limit, or more than it; what is not a number never holds."""
    assert Outcome("x", "X", value, 0.02, "", is_floor=is_floor).is_passed is is_passed


def test_the_full_scale_is_that_of_the_specification():
    """Sixteen identical requests, thirty repetitions, batches from 1 to 128, answers from 16 tokens to ones that think."""
    full = Scale()
    assert (full.identical, full.marginal, full.batches[0], full.batches[-1]) == (16, 30, 1, 128)
    assert full.lengths[0] == 16
    assert full.lengths[-1] >= 1024


@pytest.mark.parametrize("scale", [Scale(), SHORT, QUICK])
def test_three_batches_or_more(scale):
    """Through two points there is always a line."""
    assert len(scale.batches) >= 3
