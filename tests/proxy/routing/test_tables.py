"""The figures for people."""

from __future__ import annotations

import pytest
from routing_rows import many_rows, write_rows

from jevons.policies.score.trees import shipped
from jevons.proxy.routing.evaluation import Setting, default_routers, differences, judge_all, report
from jevons.proxy.routing.rows import pair_rows, read_rows
from jevons.proxy.routing.tables import comparison_table, cost_table, figures_table, front_table
from jevons.proxy.routing.tuning import Label, tune


@pytest.fixture
def judged(tmp_path):
    rows = read_rows([write_rows(tmp_path / "rows.jsonl", many_rows(40))])
    pairs, _ = pair_rows(rows, {}, ("small", "thinker:on"))
    return rows, judge_all(pairs, default_routers(shipped()), Setting(resamples=10))


def test_figures_have_a_line_each(judged):
    """The score, its sources and each baseline are one line each, and what is unknown says n/a."""
    rows, routers = judged
    text = figures_table(report(routers, rows, shipped(), Setting()))
    starts = [line.split("|")[1].strip() for line in text.splitlines()[2:] if line.startswith("|")]
    assert starts == ["score", "· own", "keywords", "random", "oracle", "always", "never"]
    assert "n/a" in text.splitlines()[-3]


def test_a_comparison_shows_the_lead(judged):
    """Every router has its line, and the lead of the score with its interval."""
    _, routers = judged
    text = comparison_table(routers, differences(routers, 10))
    [line] = [line for line in text.splitlines() if line.startswith("| random")]
    assert "+0." in line


def test_a_right_answer_has_a_price(judged):
    """Tokens per right answer are those per prompt over the share that is right: 400 where all reason and all are right."""
    _, routers = judged
    text = cost_table(routers, threshold=0.4, is_imputed=False, unit="tokens")
    assert "| always | 100.0% | 100.0% | 400 | 400 |" in text
    assert "imputed" not in text
    assert "imputed" in cost_table(routers, threshold=0.4, is_imputed=True, unit="tokens")


def test_the_front_shows_what_calls_buy():
    """The front runs from no call to all, and names the threshold."""
    rows = many_rows(120)
    text = front_table(
        tune([Label(one["prompt"], one["models"]["small"]["correct"], 1) for one in rows], shipped(), refits=False)
    )
    assert "| 0% |" in text
    assert "| 100% | 100.0% |" in text
    assert "Threshold " in text
