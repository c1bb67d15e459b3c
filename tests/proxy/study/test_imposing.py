"""Imposed lengths: the distribution asked for, the same for the same prompt."""

import math
import statistics

import pytest

from jevons.proxy.study.imposing import Lengths, quantile_of


def test_lengths_have_the_mean_and_the_scatter():
    """Over many prompts the mean is the one given and the logarithm scatters by sigma."""
    drawn = [Lengths(400, 0.6).tokens(f"p{number}", 1) for number in range(5000)]
    assert statistics.fmean(drawn) == pytest.approx(400, rel=0.05)
    assert statistics.stdev(math.log(one) for one in drawn) == pytest.approx(0.6, rel=0.05)


def test_a_prompt_keeps_its_place():
    """A prompt that is long for one arm is long for the other, and the seed moves it."""
    assert Lengths(800, 0.6).tokens("p", 1) == pytest.approx(2 * Lengths(400, 0.6).tokens("p", 1), rel=0.01)
    assert quantile_of("p", 1) == quantile_of("p", 1) != quantile_of("p", 2)


def test_no_answer_is_empty():
    """The shortest has one token, and without scatter all are alike."""
    assert Lengths(0.01).tokens("p", 1) == 1
    assert {Lengths(64).tokens(f"p{number}", 1) for number in range(9)} == {64}
