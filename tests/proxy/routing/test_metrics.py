"""AUROC, APGR, CPT and calls, by hand and by property."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.routing.metrics import Case, Ranking, at_threshold, bootstrap_weights, estimate, paired_difference

PERFECT = [Case(0.9, 0, 1), Case(0.8, 0, 1), Case(0.2, 1, 1), Case(0.1, 1, 1)]
REVERSED = [Case(-case.score, case.direct, case.reasoning) for case in PERFECT]
case_lists = st.lists(
    st.builds(Case, st.sampled_from([0.1, 0.2, 0.3, 0.4]), st.sampled_from([0, 1]), st.sampled_from([0, 1])),
    min_size=1,
    max_size=30,
)


def test_a_perfect_ranking_by_hand():
    """Two of four need reasoning and come first: half of the calls reach everything."""
    figures = Ranking(PERFECT).figures()
    assert figures["auroc"] == 1
    assert figures["apgr"] == pytest.approx(0.75)
    assert (figures["cpt50"], figures["cpt80"]) == (pytest.approx(0.25), pytest.approx(0.4))
    assert figures["calls95"] == pytest.approx(0.45)


def test_the_reverse_by_hand():
    """Those that need reasoning come last."""
    figures = Ranking(REVERSED).figures()
    assert (figures["auroc"], figures["apgr"], figures["cpt50"]) == (0, pytest.approx(0.25), pytest.approx(0.75))


def test_ties_count_as_chance():
    """A router that knows nothing has the figures of chance, whatever the order of the rows."""
    for rows in (PERFECT, PERFECT[::-1]):
        figures = Ranking([Case(0, case.direct, case.reasoning) for case in rows]).figures()
        assert [figures[name] for name in ("auroc", "apgr", "cpt50", "cpt80")] == pytest.approx([0.5, 0.5, 0.5, 0.8])


def test_what_is_not_defined_is_none():
    """Where reasoning is no better there is nothing to recover, and unknown lengths save nothing known."""
    figures = Ranking([Case(0.5, 1, 1), Case(0.4, 0, 0)]).figures()
    assert [figures[name] for name in ("auroc", "apgr", "cpt50", "tokens_saved", "joules_saved")] == [None] * 5


def test_savings_are_at_the_calls_that_keep_95_percent():
    """Tokens are counted where 95 % of reasoning's accuracy is reached, against always reasoning."""
    rows = [Case(case.score, case.direct, case.reasoning, (100, 500), (10, 100)) for case in PERFECT]
    figures = Ranking(rows).figures()
    assert figures["tokens_saved"] == pytest.approx(1 - (100 + 0.45 * 400) / 500)
    assert figures["joules_saved"] == pytest.approx(1 - (10 + 0.45 * 90) / 100)


@given(case_lists)
def test_the_curve_joins_never_and_always(rows):
    """The ends of every curve are the two accuracies, and calls never fall along it."""
    points = Ranking(rows).curve()
    count = len(rows)
    assert points[0].accuracy == pytest.approx(sum(case.direct for case in rows) / count)
    assert points[-1].accuracy == pytest.approx(sum(case.reasoning for case in rows) / count)
    assert [point.calls for point in points] == sorted(point.calls for point in points)


@given(case_lists)
def test_weights_are_repetitions(rows):
    """A row that is drawn twice counts as two rows."""
    weights = next(bootstrap_weights(len(rows), 1))
    ranking = Ranking(rows)
    repeated = [case for weight, case in zip(weights, ranking.rows, strict=True) for _ in range(weight)]
    plain, weighted = Ranking(repeated).figures(), ranking.figures(weights)
    assert {name: value and pytest.approx(value) for name, value in plain.items()} == weighted


def test_intervals_hold_their_value():
    """An interval lies around the value; the same seed gives the same one."""
    rows = PERFECT * 10 + REVERSED * 3
    first, second = estimate(rows, 50), estimate(rows, 50)
    assert first == second
    assert all(one.low <= one.value <= one.high for one in first.values() if one)
    assert first["apgr"].low < first["apgr"].high


def test_the_difference_is_paired():
    """A router has no lead over itself, and a sure one over its reverse."""
    assert paired_difference(PERFECT, PERFECT, resamples=20).high == 0
    lead = paired_difference(PERFECT * 10, REVERSED * 10, resamples=50)
    assert lead.value == pytest.approx(0.5)
    assert lead.low > 0.2
    assert paired_difference([Case(1, 1, 1)], [Case(1, 1, 1)], resamples=5) is None


def test_a_threshold_is_a_point():
    """What reaches the threshold goes to reasoning."""
    assert at_threshold(PERFECT, 0.8).calls == 0.5
    assert at_threshold(PERFECT, 0.95).calls == 0
    assert at_threshold(PERFECT, 0.0).calls == 1
