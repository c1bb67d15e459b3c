"""Tests of learning an engine's energy coefficients from settled bins."""

import random

import pytest

from jevons.proxy.exchange import Coefficients
from jevons.proxy.metering.account import Quantities
from jevons.proxy.metering.fitting import FURTHEST, Fit

TRUE = Coefficients(3.0, 0.05, 3e-5, 0.02)
WIDTH = 0.25


def play(fit, *, seconds=600.0, scale=1.0, seed=0, noise=0.01):
    """Bins of very different loads, as an engine with the true coefficients times `scale` would draw for them."""
    source = random.Random(seed)
    for _ in range(int(seconds / WIDTH)):
        steps = source.uniform(5, 30)
        tokens = steps * source.choice([1, 2, 8, 32, 64])
        work = Quantities(
            steps=steps, tokens=tokens, context=tokens * source.uniform(50, 4000), prompt=source.choice([0, 0, 500, 3000])
        )
        fit.see(work, scale * work.joules(TRUE) * source.gauss(1.0, noise), seconds=WIDTH)
    return fit


def ratios(coefficients):
    """Every term over the fixed one, which is all that matters for who pays what."""
    fixed = coefficients.fixed_joules_per_step
    return [
        coefficients.joules_per_token / fixed,
        coefficients.joules_per_context_token / fixed,
        coefficients.joules_per_prompt_token / fixed,
    ]


def test_right_start_values_stay():
    """Where nothing is wrong, nothing moves by more than the noise."""
    fit = play(Fit(TRUE, doubt=0.5))
    assert ratios(fit.coefficients) == pytest.approx(ratios(TRUE), rel=0.1)


@pytest.mark.parametrize(
    "start",
    [Coefficients(6.0, 0.05, 3e-5, 0.02), Coefficients(3.0, 0.05, 3e-5, 0.05), Coefficients(1.5, 0.1, 3e-5, 0.02)],
    ids=["fixed x2", "prompt x2.5", "fixed /2 and token x2"],
)
def test_wrong_start_values_are_put_right(start):
    """At loads that tell the terms apart, the ratios come to within a tenth of the truth."""
    fit = play(Fit(start, doubt=0.5))
    assert ratios(fit.coefficients) == pytest.approx(ratios(TRUE), rel=0.1)
    assert ratios(start) != pytest.approx(ratios(TRUE), rel=0.4)


def test_the_measured_ones_are_in_joules():
    """A card that draws half as much again is told in the measured values, not in the ratios."""
    fit = play(Fit(TRUE, doubt=0.5), scale=1.5)
    assert fit.measured is not None
    assert fit.measured.fixed_joules_per_step == pytest.approx(4.5, rel=0.1)
    assert ratios(fit.coefficients) == pytest.approx(ratios(TRUE), rel=0.1)


def test_little_is_no_evidence():
    """Until enough has been seen the start values are used as they are."""
    fit = play(Fit(Coefficients(6.0, 0.05, 3e-5, 0.02), doubt=0.5), seconds=10.0)
    assert fit.coefficients == fit.start
    assert fit.measured is None


def test_no_term_runs_away():
    """What cannot be told apart, at one even load, stays within three times what all have in common."""
    fit = Fit(TRUE, doubt=0.5)
    for _ in range(4000):
        work = Quantities(steps=10, tokens=80, context=80_000)
        fit.see(work, 5 * work.joules(TRUE), seconds=WIDTH)
    common = fit.solve()
    assert all(common / FURTHEST - 1e-9 <= factor <= common * FURTHEST + 1e-9 for factor in fit.factors[:4])


def test_an_unclean_bin_ends_its_window():
    """The sums of before it are dropped, since energy at their edge may belong to it."""
    fit = Fit(TRUE, doubt=0.5)
    for _ in range(1000):
        fit.see(Quantities(steps=10, tokens=80), 100.0, seconds=WIDTH)
        fit.skip()
    assert fit.seconds == 0.0


def test_what_was_learned_makes_surer():
    """The doubt of each term is less than at the start, and none is negative."""
    fit = play(Fit(TRUE, doubt=0.5))
    variances = [fit.covariance[term][term] for term in range(4)]
    assert all(0.0 <= variance < 0.25 for variance in variances)


def test_the_idle_power_is_its_own_term():
    """Seconds with nobody in flight are not laid on the requests."""
    fit = Fit(TRUE, doubt=0.5)
    source = random.Random(3)
    for _ in range(2400):
        idle = source.choice([0.0, 0.1, 0.2])
        work = Quantities(steps=10 * source.random(), tokens=40 * source.random(), context=20_000 * source.random())
        fit.see(work, work.joules(TRUE) + 80.0 * idle, seconds=WIDTH, idle_seconds=idle)
    assert fit.idle_watts == pytest.approx(80.0, rel=0.1)
