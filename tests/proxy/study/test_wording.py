"""Numbers as the report writes them."""

import pytest

from jevons.proxy.study.bootstrap import Interval
from jevons.proxy.study.wording import change, figure, methods_text, percent, span


@pytest.mark.parametrize(
    ("value", "text"),
    [(17_812.3, "17,800"), (512.84, "513"), (1.8697, "1.87"), (0.09996, "0.100"), (0, "0"), (None, "n/a"), (-3.671, "-3.67")],
)
def test_three_figures(value, text):
    """Three significant figures, whatever the size; unknown is not 0."""
    assert figure(value) == text


def test_intervals_changes_and_shares():
    """In brackets where there is one; ratios as people say them."""
    assert span(Interval(1.87, 1.6, 2.2)) == "1.87 (1.60 … 2.20)"
    assert span(Interval(1.87)) == "1.87"
    assert span(None) == "n/a"
    assert (change(1.87), change(0.5)) == ("+87 %", "-50 %")
    assert (percent(0.5), percent(None)) == ("50%", "n/a")
    assert methods_text(frozenset({"simulated", "estimated"})) == "estimated and simulated"
