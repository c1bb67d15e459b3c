"""Tests of the table of metrics."""

import re

import pytest

from jevons.exporters import catalogue, catalogue_routing
from jevons.exporters.catalogue import CATALOGUE
from jevons.exporters.metric import Metric

METRICS = list({value for value in (vars(catalogue) | vars(catalogue_routing)).values() if isinstance(value, Metric)})


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_prometheus(metric):
    """Our prefix, base units in the name, `_total` on counters and on nothing else, and a help text that is a sentence."""
    assert re.fullmatch(r"jevons(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not metric.name.endswith(("_ms", "_kwh", "_percent"))
    assert metric.help.endswith(".")
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))
    if metric.unit and metric.name != "jevons_coefficient":
        assert metric.name.removesuffix("_total").endswith(metric.unit)


def test_the_list_holds_all_of_them():
    """A metric that is made and not listed would be served and on no page."""
    assert set(CATALOGUE) == set(METRICS)
    assert len(CATALOGUE) == len(METRICS)


def test_no_name_twice():
    """One row, one metric."""
    assert len({metric.name for metric in METRICS}) == len(METRICS) > 10
