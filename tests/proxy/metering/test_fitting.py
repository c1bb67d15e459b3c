"""Tests of learning an engine's energy coefficients from settled bins."""

import random

import pytest

from jevons.proxy.exchange import Coefficients
from jevons.proxy.metering.account import Quantities
from jevons.proxy.metering.fitting import FURTHEST, GIVEN_DOUBT, TABLE_DOUBT, Fit, Regression, Seen

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
        fit.regression.see([Seen(work)], scale * work.joules(TRUE) * source.gauss(1.0, noise), seconds=WIDTH)
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
        fit.regression.see([Seen(work)], 5 * work.joules(TRUE), seconds=WIDTH)
    common = fit.regression.solve()
    assert all(common / FURTHEST - 1e-9 <= factor <= common * FURTHEST + 1e-9 for factor in fit.factors[:4])


def test_an_unclean_bin_ends_its_window():
    """The sums of before it are dropped, since energy at their edge may belong to it."""
    fit = Fit(TRUE, doubt=0.5)
    for _ in range(1000):
        fit.regression.see([Seen(Quantities(steps=10, tokens=80))], 100.0, seconds=WIDTH)
        fit.regression.skip()
    assert fit.regression.seconds == 0.0


def test_what_was_learned_makes_surer():
    """The doubt of each term is less than at the start, and none is negative."""
    fit = play(Fit(TRUE, doubt=0.5))
    variances = [fit.covariance[term][term] for term in range(4)]
    assert all(0.0 <= variance < 0.25 for variance in variances)


def test_what_is_noisy_is_less_sure():
    """The same loads, seen through errors eight times as great, leave more doubt of every term, however many there are."""
    calm, noisy = (play(Fit(TRUE, doubt=0.5), noise=noise) for noise in (0.01, 0.08))
    assert all(4.0 * calm.covariance[term][term] < noisy.covariance[term][term] for term in range(4))


def test_each_term_has_a_doubt_of_its_own():
    """Before anything is seen they are the start's; whatever was sure then, what was wrong is put right."""
    start, doubts = Coefficients(3.0, 0.1, 3e-5, 0.02), (0.02, 0.33, 0.33, 0.02)
    fit = Fit(start, doubt=doubts)
    assert [fit.covariance[term][term] for term in range(4)] == pytest.approx([doubt**2 for doubt in doubts])
    play(fit)
    assert ratios(fit.coefficients) == pytest.approx(ratios(TRUE), rel=0.1)


def test_rivals_begin_as_unsure_as_their_terms():
    """What one load costs at two engines compares as far as both are known: by a table, poorly; calibrated, well."""
    table, calibrated = Fit(TRUE, doubt=TABLE_DOUBT), Fit(TRUE, doubt=(0.02, 0.03, 0.05, 0.02))
    assert 0.7 * TABLE_DOUBT < table.rival_doubt < 2**0.5 * TABLE_DOUBT
    assert calibrated.rival_doubt < 0.03


def test_calibrated_engines_that_always_step_together_stay_sure():
    """Where nothing tells their steps apart it is what was calibrated that stays, and its small doubt with it."""
    starts = [Coefficients(4.5, 0.075, 4.5e-5, 0.03), Coefficients(1.5, 0.025, 1.5e-5, 0.01)]
    fits = [Fit(start, doubt=(0.02, 0.03, 0.05, 0.02)) for start in starts]
    regression = Regression(fits)
    for fit in fits:
        fit.regression = regression
    for _ in range(300):
        works = [Quantities(steps=20, tokens=160, context=80_000) for _ in fits]
        regression.see([Seen(work) for work in works], work_joules(works), seconds=1.0)
    assert all(fit.rival_doubt < 0.03 for fit in fits)
    first, second = (fit.coefficients.fixed_joules_per_step for fit in fits)
    assert first / second == pytest.approx(3.0, rel=0.01)


def test_the_idle_power_is_its_own_term():
    """Seconds with nobody in flight are not laid on the requests."""
    fit = Fit(TRUE, doubt=0.5)
    source = random.Random(3)
    for _ in range(2400):
        idle = source.choice([0.0, 0.1, 0.2])
        work = Quantities(steps=10 * source.random(), tokens=40 * source.random(), context=20_000 * source.random())
        fit.regression.see([Seen(work)], work.joules(TRUE) + 80.0 * idle, seconds=WIDTH, idle_seconds=idle)
    assert fit.regression.idle_watts == pytest.approx(80.0, rel=0.1)


def play_pair(fits, *, seconds=600.0, alone=0.3):
    """Two engines on one device, each with a load of its own, and for a part of the time only one of them."""
    regression = Regression(fits)
    for fit in fits:
        fit.regression = regression
    source = random.Random(5)
    scales = (1.0, 2.0)
    for _ in range(int(seconds)):
        resting = source.choice([0, 1]) if source.random() < alone else None
        works = []
        for number in range(2):
            steps = 0.0 if number == resting else source.uniform(10, 40)
            tokens = steps * source.choice([1, 4, 16])
            works.append(Quantities(steps, tokens, tokens * source.uniform(50, 4000), source.choice([0, 500]) if steps else 0.0))
        joules = sum(scale * work.joules(TRUE) for scale, work in zip(scales, works, strict=True))
        regression.see([Seen(work) for work in works], joules * source.gauss(1.0, 0.01), seconds=1.0)
    return regression


def test_engines_on_one_device_are_told_apart():
    """One takes twice what the table says of both: their prices differ by two, and the doubt of how they compare is small."""
    fits = [Fit(TRUE, doubt=0.4), Fit(TRUE, doubt=0.4)]
    play_pair(fits)
    small, large = (fit.coefficients.fixed_joules_per_step for fit in fits)
    assert large / small == pytest.approx(2.0, rel=0.1)
    assert all(fit.rival_doubt < 0.1 for fit in fits)


def test_engines_that_always_step_together_stay_in_doubt():
    """Where both make the same steps, nothing tells whose are the dearer ones: the doubt stays, and the start values do too."""
    fits = [Fit(TRUE, doubt=0.4), Fit(TRUE, doubt=0.4)]
    regression = Regression(fits)
    for fit in fits:
        fit.regression = regression
    for _ in range(300):
        works = [Quantities(steps=20, tokens=160, context=80_000) for _ in fits]
        regression.see([Seen(work) for work in works], work_joules(works), seconds=1.0)
    assert all(fit.rival_doubt > 0.25 for fit in fits)
    first, second = (fit.coefficients.fixed_joules_per_step for fit in fits)
    assert first == pytest.approx(second, rel=1e-6)


def work_joules(works):
    """The first engine takes half as much again as the table says, the second half of it."""
    return sum(scale * work.joules(TRUE) for scale, work in zip((1.5, 0.5), works, strict=True))


def test_a_longer_window_is_waited_for():
    """A bin that wants a window of four seconds is not taken before."""
    fit = Fit(TRUE, doubt=0.4)
    for second in range(8):
        assert fit.regression.seconds == pytest.approx(4.0 * (second // 4), rel=0.01)
        fit.regression.see([Seen(Quantities(steps=10, tokens=80))], 100.0, seconds=1.0, wanted=4.0)


def test_what_is_given_is_left_less_easily():
    """The same bins, at a load that tells little, move values that the configuration gives by less than the table's."""
    moved = []
    for doubt in (TABLE_DOUBT, GIVEN_DOUBT):
        fit = Fit(Coefficients(6.0, 0.05, 3e-5, 0.02), doubt=doubt)
        source = random.Random(1)
        for _ in range(240):
            work = Quantities(steps=10, tokens=80 * source.uniform(0.97, 1.03), context=80_000)
            fit.regression.see([Seen(work)], work.joules(TRUE), seconds=WIDTH)
        moved.append(abs(ratios(fit.coefficients)[0] / ratios(fit.start)[0] - 1.0))
    assert moved[1] < 0.8 * moved[0]


def test_noise_does_not_divide_engines_that_step_together():
    """Two that are busy all the time, seen through errors of a per cent: how they compare stays near where it began."""
    fits = [Fit(TRUE, doubt=TABLE_DOUBT), Fit(TRUE, doubt=TABLE_DOUBT)]
    regression = Regression(fits)
    for fit in fits:
        fit.regression = regression
    source = random.Random(4)
    for _ in range(300):
        works = [Quantities(20 * source.gauss(1, 0.01), 160 * source.gauss(1, 0.01), 80_000) for _ in fits]
        joules = sum(work.joules(TRUE) for work in works) * source.gauss(1.0, 0.01)
        regression.see([Seen(work) for work in works], joules, seconds=1.0)
    first, second = (fit.coefficients.fixed_joules_per_step for fit in fits)
    assert first == pytest.approx(second, rel=0.05)
