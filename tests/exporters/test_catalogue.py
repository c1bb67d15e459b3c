"""Tests of the table of metrics."""

import pytest

from jevons.exporters import catalogue
from jevons.exporters.catalogue import Metric

METRICS = [value for value in vars(catalogue).values() if isinstance(value, Metric)]


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_follow_prometheus(metric):
    """Our prefix, base units, `_total` on counters and on nothing else, and a help text that is a sentence."""
    assert metric.name.startswith("jevons_")
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not metric.name.endswith(("_ms", "_kwh", "_percent"))
    assert metric.help.strip()
    assert bool(metric.buckets) == (metric.kind == "histogram")


def test_no_name_twice():
    """One row, one metric."""
    assert len({metric.name for metric in METRICS}) == len(METRICS) > 10
