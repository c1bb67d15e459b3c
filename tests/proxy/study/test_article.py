"""The simulation gives the article's ratios from its lengths, and the table's batch curve; no coefficient is tuned."""

from pathlib import Path

import pytest

from jevons.proxy.study.article import (
    LIE,
    META,
    R1,
    article_lengths,
    chosen_by_rules,
    simulate_article,
)
from jevons.proxy.study.article_page import joules_per_token, lie_joules, mean_joules, table_row, totals
from jevons.proxy.study.hardware import load_hardware
from jevons.proxy.study.prompts import load_prompts

PROMPTS = load_prompts("article", Path())


@pytest.fixture(scope="module")
def study():
    """One in flight, on all cards."""
    return simulate_article(levels=(1,))


@pytest.fixture(scope="module")
def busy_run():
    """The cards of the 512 J, at its batch."""
    return simulate_article(levels=(1, 192), hardware=load_hardware()[:1]).runs[0]


def test_the_lengths_are_the_articles():
    """1.41 on its prompt, 1.87 over all forty, both to a token's rounding."""
    plain, thinking = article_lengths(PROMPTS)
    assert thinking[LIE] == 1350
    assert thinking[LIE] / plain[LIE] == pytest.approx(1.41, abs=0.001)
    assert sum(thinking.values()) / sum(plain.values()) == pytest.approx(1.87, abs=0.002)


def test_the_ratios_are_those_of_the_lengths(study):
    """At one in flight, joules per token are equal within 0.1 %, so that +87 % and +41 % come out."""
    for run in study.runs:
        energy, length, rate = totals(run, 1)
        assert rate == pytest.approx(1, abs=0.001)
        assert energy == pytest.approx(1.87, abs=0.003)
        assert energy == pytest.approx(length * rate)
        plain, thinking = lie_joules(run)
        assert thinking / plain == pytest.approx(1.41, abs=0.002)


def test_the_batch_curve_is_about_the_tables(busy_run):
    """At batch 192 joules per token lie within the fit's error of the row; on eight A100 that is about 512 J a response."""
    row = table_row(busy_run, 192)
    assert row is not None
    assert joules_per_token(busy_run, META, 192) == pytest.approx(row.joules_per_token, rel=0.05)
    assert mean_joules(busy_run, META, 192) == pytest.approx(512, rel=0.02)
    assert mean_joules(busy_run, META, 1) > 40 * mean_joules(busy_run, META, 192)


def test_the_absolute_figure_is_not_tuned(study):
    """The article's 17,800 J are missed by two to four times, and this is printed and not mended."""
    assert len(study.runs) == 4
    assert all(30_000 < lie_joules(run)[1] < 75_000 for run in study.runs)


def test_routing_saves_less_than_never_thinking(study):
    """The demo's rules find some of the prompts; never thinking bounds the saving at 1 - 1/1.87."""
    chosen = chosen_by_rules(PROMPTS)
    assert "mathematics-5" in chosen
    assert LIE not in chosen
    by_name = {one.name: one for one in study.routings}
    never = by_name["never thinking"]
    assert never.saved == pytest.approx(1 - 1 / 1.87, abs=0.002)
    assert all(0 < one.saved <= never.saved for one in study.routings)
    assert study.runs[0].data.arms == [META, R1]
