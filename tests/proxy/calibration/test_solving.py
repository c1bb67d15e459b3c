"""From windows to coefficients: right where the load can tell, and silent where it cannot."""

import math
from dataclasses import astuple

import pytest
from calibration_world import VirtualServer
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.calibration.solving import TERMS, fit, invert, r_squared
from jevons.proxy.calibration.stages import plan_stages
from jevons.proxy.calibration.windows import Rates, Window, cut_windows
from jevons.proxy.errors import JevonsError
from jevons.proxy.exchange import Coefficients
from jevons.proxy.metering.coefficients import prior
from jevons.proxy.simulation.physics import LLAMA_3_1_8B, QWEN_3_8B

START = Coefficients(3.0, 0.05, 3e-5, 0.02)


def window(truth, steps, tokens, context, prompt):
    """A window that follows the law exactly."""
    amounts = (steps, tokens, context, prompt)
    return Window(*amounts, sum(amount * value for amount, value in zip(amounts, astuple(truth), strict=True)))


VARIED = [
    (150, 150, 4e3, 0),
    (120, 1920, 6e4, 0),
    (90, 1440, 2.2e6, 0),
    (40, 160, 1e5, 9e3),
    (30, 30, 4e4, 12e3),
    (130, 520, 2e4, 0),
    (110, 440, 6e5, 0),
    (115, 1840, 6e4, 900),
]


@pytest.mark.parametrize("physics", [LLAMA_3_1_8B, QWEN_3_8B], ids=["llama", "qwen"])
@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_calibration_in_virtual_time(physics, noise):
    """The truth is found within 10 %, a few standard errors; steps are counted by arrivals, hence not exactly even without noise.

    5 % of scatter per step is far more than a real counter adds over a window of half a second (some 70 steps).
    """
    server = VirtualServer(physics, seed=1, noise=noise)
    stages = [server.play(stage) for stage in plan_stages(40.0, 16)]
    rates = Rates.of(stream for played in stages for stream in played.streams)
    fitted = fit(cut_windows(stages, server.joules, rates), prior("Llama-3.1-8B", None))
    assert fitted.r_squared > 0.98
    assert fitted.windows > 40
    for term, truth in zip(fitted.terms, astuple(physics.energy), strict=True):
        assert term.joules == pytest.approx(truth, rel=0.10), term.name
        assert term.error is not None
        assert abs(term.joules - truth) < max(6 * term.error, 0.03 * truth), term.name


@given(st.tuples(*(st.floats(0.3, 3.0) for _ in TERMS)))
def test_an_exact_law_is_found_exactly(factors):
    """Without noise every set of coefficients comes back."""
    truth = Coefficients(*(value * factor for value, factor in zip(astuple(START), factors, strict=True)))
    fitted = fit([window(truth, *each) for each in VARIED], START)
    assert astuple(fitted.coefficients) == pytest.approx(astuple(truth), rel=1e-5)
    assert fitted.r_squared > 1 - 1e-9


def test_a_term_that_no_load_shows_is_not_identified():
    """Without prompt work its coefficient is no figure: it keeps its start's ratio to the others, and says why."""
    truth = Coefficients(6.0, 0.1, 6e-5, 0.5)
    fitted = fit([window(truth, steps, tokens, context, 0) for steps, tokens, context, _ in VARIED], START)
    prompt = fitted.terms[3]
    assert (prompt.joules, prompt.error) == (None, None)
    assert prompt.reason == "the load had next to none of it"
    assert prompt.used == pytest.approx(2 * START.joules_per_prompt_token)
    assert [term.joules for term in fitted.terms[:3]] == pytest.approx([6.0, 0.1, 6e-5])


def test_terms_that_always_come_together_are_not_told_apart():
    """With one batch size only, steps and tokens are one quantity: one of the two is said not to be identified."""
    fitted = fit([window(START, 100, 400, 1e5 * k, 500 * (k % 3)) for k in range(1, 10)], START)
    assert [term.joules is None for term in fitted.terms[:2]].count(True) == 1
    assert [term.joules is None for term in fitted.terms[2:]] == [False, False]


def test_nothing_is_less_than_zero():
    """A term that would be best below zero is zero, and so not identified."""
    against = [
        Window(100, tokens, 1e5 * k, 1e3 * (k % 4), 500 - 0.02 * tokens + 2 * k) for k, tokens in enumerate(range(100, 1000, 90))
    ]
    fitted = fit(against, START)
    assert all(value >= 0 for value in astuple(fitted.coefficients))
    assert fitted.terms[1].joules is None


def test_energy_that_does_not_follow_the_work():
    """Where the device is another one, no term is identified and it is an error."""
    windows = [
        Window(steps, tokens, context, prompt, 10.0 ** (k % 4)) for k, (steps, tokens, context, prompt) in enumerate(VARIED)
    ]
    with pytest.raises(JevonsError, match="right device"):
        fit(windows, START)


def test_too_few_windows():
    """Fewer windows than terms and a few more are refused with what to do about it."""
    with pytest.raises(JevonsError, match="--seconds"):
        fit([window(START, *VARIED[0])] * 7, START)


@given(st.lists(st.floats(0.5, 2.0), min_size=3, max_size=3), st.lists(st.floats(-0.1, 0.1), min_size=6, max_size=6))
def test_an_inverse_inverts(diagonal, others):
    """A matrix times its inverse is one."""
    rows = [[diagonal[i] if i == j else others[i * 2 + j - (j > i)] for j in range(3)] for i in range(3)]
    inverse = invert(rows)
    assert inverse is not None
    for i in range(3):
        for j in range(3):
            assert sum(rows[i][k] * inverse[k][j] for k in range(3)) == pytest.approx(float(i == j), abs=1e-9)


def test_a_singular_matrix_has_none():
    """Proportional rows have no inverse."""
    assert invert([[1.0, 2.0], [2.0, 4.0]]) is None


def test_r_squared_of_what_does_not_vary():
    """There is no variance to explain, and no figure."""
    assert math.isnan(r_squared([1.0, 1.0], [1.0, 1.0]))
    assert r_squared([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) == 1.0
