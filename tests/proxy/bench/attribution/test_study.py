"""Tests of the scoring."""

import math
from dataclasses import replace

import pytest
from attribution_world import workload
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.bench.attribution.methods import METHODS
from jevons.proxy.bench.attribution.study import QUICK_SEEDS, SEEDS, Score, gain_share, quantile, run_study
from jevons.proxy.bench.attribution.workloads import WORKLOADS


def test_bounds_are_held_against_every_gain():
    """As wide as the sensor's limits they hold all cards; half as wide, half; beside it, none."""
    assert gain_share(95.0, 105.3, 100.0) == pytest.approx(1.0)
    assert gain_share(100 / 1.025, 100 / 0.975, 100.0) == pytest.approx(0.5)
    assert gain_share(120.0, 130.0, 100.0) == 0.0
    assert gain_share(0.0, 1000.0, 100.0) == pytest.approx(1.0)


@given(st.floats(1.0, 100.0), st.floats(0.0, 1.0), st.floats(0.0, 100.0))
def test_it_is_a_share(joules, below, above):
    """Whatever the bounds."""
    assert 0.0 <= gain_share(joules * below, joules + above, 50.0) <= 1.0


def test_quantiles():
    """Of values in any order; of none there is no such thing."""
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert math.isnan(quantile([], 0.5))


def test_a_method_without_bounds_has_no_coverage():
    """Unknown, and not 0."""
    assert Score().coverage is None
    assert Score().half_width is None


def test_what_is_reported_is_not_what_is_quick_alone():
    """The quick run's seeds are among those of the full one, which has enough of them for every workload."""
    assert set(QUICK_SEEDS) < set(SEEDS)
    assert max(workload.draws for workload in WORKLOADS) <= len(set(SEEDS))


def test_a_workload_has_as_many_runs_as_it_asks_for():
    """Each with another seed, from the first on."""
    [row] = run_study([replace(workload("mixed", seconds=6.0), draws=2)], is_quick=False, say=lambda _: None).rows
    assert row.seeds == SEEDS[:2]


def test_runs_are_joined_in_the_order_of_the_rows():
    """However many are under way at once, each row has its own and no other's, and is told of once."""
    said = []
    wanted = [replace(workload(name, seconds=4.0), draws=2) for name in ("mixed", "short")]
    rows = run_study(wanted, is_quick=False, say=said.append).rows
    assert [row.workload.name for row in rows] == ["mixed", "short"]
    assert [line.split(":")[0] for line in said] == ["mixed", "short"]
    for row in rows:
        assert row.requests == len(row.scores["fitted"].errors) == len(row.scores["fitted"].half_widths)
        assert row.scores["start-end"].residual is None


def test_joining_keeps_the_worst_of_conservation():
    """And adds up the rest."""
    score = Score([0.1], [0.2], 1.0, 5.0, 6.0, 1e-15)
    score.add(Score([0.3], [0.4], 0.5, 1.0, 1.0, 3e-15))
    assert score == Score([0.1, 0.3], [0.2, 0.4], 1.5, 6.0, 7.0, 3e-15)


def test_a_row_has_every_method():
    """Played once: ours are near, the counter's difference is not, and it is said as it goes."""
    said = []
    study = run_study([workload("mixed", seconds=60.0)], is_quick=True, say=said.append)
    [row] = study.rows
    assert row.scores.keys() == {method.name for method in METHODS}
    assert row.scores["true"].median < 0.03 < row.scores["wall-time"].median
    assert row.scores["start-end"].median > 5.0
    assert row.scores["fitted"].residual <= 1e-9
    assert 0.5 <= row.scores["fitted"].coverage <= 1.0
    assert row.scores["wall-time"].residual is None
    assert said == [f"mixed: {row.requests} requests, fitted {row.scores['fitted'].median:.1%} / {row.scores['fitted'].p95:.1%}"]
