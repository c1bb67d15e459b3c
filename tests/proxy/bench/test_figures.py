"""From counts and clocks to figures: per request and per event, medians over rounds, ratios within rounds."""

import pytest
from bench_world import measurement, visit
from hypothesis import given
from hypothesis import strategies as st

from jevons.proxy.bench.figures import FIGURES, Figure, Spread, is_failing, tabulate

AMOUNTS = st.floats(min_value=0.01, max_value=1e6)


def figure(name):
    return next(one for one in FIGURES if one.name == name)


def table_of(*visits):
    return tabulate(visits, FIGURES)


def test_cpu_is_divided_among_requests():
    """User and system time over the requests that were served."""
    cells = table_of(visit("nginx", 1, measurement("request", ok=50_000, cpu=0.5)))["nginx"]
    assert cells["request"].spread.median == pytest.approx(10.0)


def test_cpu_is_divided_among_events():
    """In streams the events count, and not the requests."""
    cells = table_of(visit("nginx", 1, measurement("paced-32-10", ok=25, events=3200, cpu=0.16)))["nginx"]
    assert cells["paced-32-10"].spread.median == pytest.approx(50.0)


def test_what_was_not_served_has_no_figure():
    """Neither no events at all nor failures in number give one."""
    none = visit("nginx", 1, measurement("flood", events=0), measurement("request", ok=1000, bad=2))
    assert {"flood", "request"} & set(table_of(none)["nginx"]) == set()


def test_a_few_failures_are_tolerated():
    """One in a thousand, and no more."""
    assert [is_failing(999, 1), is_failing(998, 2), is_failing(0, 0), is_failing(0, 1)] == [False, True, False, True]


def test_latency_is_what_is_added():
    """The median of a proxy less that without one in the same round, in milliseconds."""
    cells = table_of(
        visit("direct", 1, measurement("calm", p50=100.0, cpu=None)),
        visit("direct", 2, measurement("calm", p50=400.0, cpu=None)),
        visit("nginx", 1, measurement("calm", p50=600.0)),
        visit("nginx", 2, measurement("calm", p50=500.0)),
    )["nginx"]
    assert cells["added-p50"].spread.values == pytest.approx((0.5, 0.1))
    assert cells["added-p99"].spread.values == pytest.approx((1.5, 0.3))


def test_nothing_is_added_to_what_is_not_known():
    """Where the round without a proxy is missing, there is no added latency."""
    assert "added-p50" not in table_of(visit("nginx", 1, measurement("calm")))["nginx"]


def test_ratios_are_taken_within_rounds():
    """A slow round slows both: the ratio stays."""
    visits = [
        visit(name, number, measurement("request", ok=1000, cpu=cpu * slowness))
        for number, slowness in ((1, 1.0), (2, 3.0), (3, 1.5))
        for name, cpu in (("jevons", 0.2), ("nginx", 0.1), ("vllm-router", 0.4))
    ]
    table = table_of(*visits)
    assert table["jevons"]["request"].ratios["nginx"].values == pytest.approx((2.0, 2.0, 2.0))
    assert table["jevons"]["request"].ratios["vllm-router"].median == pytest.approx(0.5)
    assert set(table["nginx"]["request"].ratios) == {"vllm-router"}


def test_a_ratio_to_nothing_is_none():
    """Where the reference has no figure, or none above 0, there is no ratio."""
    doubtful = Figure("f", "f", "µs", lambda one, _: {"jevons": 1.0, "nginx": -0.1}.get(one.subject))
    cells = tabulate([visit("jevons", 1), visit("nginx", 1), visit("vllm-router", 1)], [doubtful])
    assert cells["jevons"]["f"].ratios == {}
    assert "vllm-router" not in cells


def test_the_time_between_arrivals_needs_a_pace_that_was_kept():
    """Events that come late come in bursts, whose short distances would look good."""
    kept, late = (visit("nginx", 1, measurement("paced-256-10", events=count, p50=5000.0)) for count in (25_600, 10_000))
    assert table_of(kept)["nginx"]["gap-p99"].spread.median == 15.0
    assert "gap-p99" not in table_of(late)["nginx"]


def test_going_without_a_proxy_has_no_row():
    """It is what others are compared with."""
    assert table_of(visit("direct", 1, measurement("calm", cpu=None))) == {}


def test_memory_and_start_are_shown():
    """In megabytes and seconds, for who has them."""
    cells = table_of(visit("nginx", 1))["nginx"]
    assert (cells["memory"].spread.median, cells["memory-idle"].spread.median, cells["start"].spread.median) == (50, 40, 0.5)


@given(st.lists(AMOUNTS, min_size=1))
def test_the_median_lies_within_the_spread(values):
    """The lowest round, the median and the highest are in this order."""
    spread = Spread(tuple(values))
    assert spread.low <= spread.median <= spread.high


def test_names_of_figures_are_unique():
    """A name finds one figure."""
    assert len({one.name for one in FIGURES}) == len(FIGURES)
    assert figure("request").unit == "µs CPU per request"
