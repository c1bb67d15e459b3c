"""Figures, table and plot of the rounds through the whole proxy."""

from xml.etree import ElementTree as ET

import pytest

from jevons.proxy.exchange import Tier
from jevons.proxy.routing.rows import Pair, Result
from jevons.proxy.routing.whole import Answered, Sample, Setup
from jevons.proxy.routing.whole_report import ORDER, draw, figures, joules_per_right, render

PROMPT = "A prompt that nobody may see."


def rounds():
    """Two sources; who reasons is right and takes four times as much."""
    made = {}
    for name, share in {"always": 1.0, "never": 0.0, "random": 0.5, "ours": 0.5, "oracle": 0.5}.items():
        rows = []
        for number in range(20):
            reasons = number < 20 * share
            is_right = 1.0 if reasons or number % 2 else 0.0
            joules = 400.0 if reasons else 100.0
            tier = Tier.REASONING if reasons else Tier.DIRECT
            rows.append(Answered("a" if number % 4 else "b", tier, is_right, joules, joules))
        made[name] = rows
    return made


def sample(imputed=0):
    """As many prompts of these sources."""
    result = Result(1.0, 10.0, is_reasoning=False, share=1.0)
    pairs = tuple(Pair(PROMPT, "a" if number % 4 else "b", result, result) for number in range(20))
    return Sample(pairs, imputed)


def test_figures_of_each_way_of_deciding():
    """Joules of all answers over the right ones, as a multiple of always reasoning, with an interval around it."""
    found = figures(rounds(), sample(), Setup({}))
    assert (found["simulated"], found["imputed"], found["sources"]) == (True, None, {"a": 15, "b": 5})
    never = found["overall"]["never"]
    assert never["joules_per_right"] == 200.0
    assert never["times_always"] == 0.5
    assert never["interval"]["low"] < 200.0 < never["interval"]["high"]
    assert found["overall"]["ours"]["calls"] == 0.5
    assert found["by_source"]["a"]["always"]["joules_per_right"] == 400.0


def test_nothing_right_has_no_price():
    """Absent rather than infinite, in the table too."""
    wrong = [Answered("a", Tier.DIRECT, 0.0, 100.0, 100.0)] * 20
    assert joules_per_right(wrong) is None
    found = figures({**rounds(), "never": wrong}, sample(), Setup({}))
    assert found["overall"]["never"]["joules_per_right"] is None
    assert "| never | 0.0% | 0.0% | 100 | n/a | n/a | 1.000 |" in render(found)
    assert ">never<" not in draw(found)


@pytest.mark.parametrize("imputed", [0, 20])
def test_the_page_says_what_it_rests_on(imputed):
    """Simulated always, imputed where it is; no prompt is in it."""
    found = figures(rounds(), sample(imputed), Setup({}))
    page = render(found, command="jevons bench routing DIR", plot="plot.svg")
    assert "**Simulated**" in page
    assert ("**imputed** for 20 reasoning answers" in page) == bool(imputed)
    assert PROMPT not in page
    assert page.endswith("![Right answers against joules per right answer](plot.svg)\n\n`jevons bench routing DIR`\n")


def test_a_dot_for_everybody():
    """With its name, and what the picture rests on."""
    svg = ET.fromstring(draw(figures(rounds(), sample(20), Setup({}))))  # noqa: S314 - our own text
    texts = [element.text for element in svg.iter() if element.text]
    assert set(ORDER) <= set(texts)
    assert any("imputed" in text for text in texts)
    assert len([element for element in svg.iter() if element.tag.endswith("circle")]) == len(ORDER)
