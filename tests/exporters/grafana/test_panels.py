"""Tests of the words that expressions are made of."""

from jevons.exporters.grafana.panels import increase, quantile, rate, ratio


def test_expressions_are_of_the_chosen_proxies():
    """Every one of them selects by the variable; a pattern is marked by its tilde."""
    assert rate("m") == 'sum(rate(m{job=~"$job"}[$__rate_interval]))'
    assert rate("m", "a, b", kind="x") == 'sum by (a, b) (rate(m{job=~"$job", kind="x"}[$__rate_interval]))'
    assert rate("m", kind="~x|y") == 'sum(rate(m{job=~"$job", kind=~"x|y"}[$__rate_interval]))'


def test_the_past_is_an_offset():
    """The same window, earlier."""
    assert increase("m", over="1d", offset="7d") == 'sum(increase(m{job=~"$job"}[1d] offset 7d))'


def test_nothing_is_no_ratio():
    """Where the lower is 0 there is no sample, and no division by zero."""
    assert ratio("a", "b") == "a / (b > 0)"


def test_a_quantile_keeps_its_label():
    """And with none, only the buckets' own."""
    assert quantile(0.5, "h", "upstream").startswith("histogram_quantile(0.5, sum by (le, upstream) (rate(h_bucket{")
    assert "sum by (le) (" in quantile(0.5, "h", "")
